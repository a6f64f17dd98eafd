"""The tools, in the order in which a host shows them: at most ten."""

from typing import Any, Final

from northstar_mcp.server.tool import Offer
from northstar_mcp.server.tools import (
    inject_message,
    list_tasks,
    pause,
    resume,
    start_task,
    stop_task,
    task_screenshot,
    task_status,
    wait_for_tasks,
)

OFFERS: Final[tuple[Offer[Any], ...]] = (
    start_task.OFFER,
    task_status.OFFER,
    wait_for_tasks.OFFER,
    pause.OFFER,
    resume.OFFER,
    inject_message.OFFER,
    stop_task.OFFER,
    task_screenshot.OFFER,
    list_tasks.OFFER,
)

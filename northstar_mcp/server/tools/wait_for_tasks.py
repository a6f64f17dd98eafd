"""wait_for_tasks: the first of several to change."""

import json
from dataclasses import replace
from typing import Annotated, Any, Final

from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BeforeValidator, Field

from northstar_mcp.server import outputs
from northstar_mcp.server.arguments import Arguments, TaskId, WaitSeconds
from northstar_mcp.server.door import step_in
from northstar_mcp.server.lists import waited_told
from northstar_mcp.server.progress import reporting, wait_seconds
from northstar_mcp.server.tool import Call, Offer
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.watching import find, wait


def _several(value: Any) -> Any:
    """One id alone, or a list written as JSON text, means what it says."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.lstrip().startswith("[") else [value]
    except ValueError:
        return [value]


class WaitForTasks(Arguments):
    """Which tasks, and how long."""

    task_ids: Annotated[list[TaskId], Field(min_length=1, max_length=20), BeforeValidator(_several)]
    wait_seconds: Annotated[WaitSeconds, Field(description="45 is usual.")] = None


async def _wait(call: Call, asked: WaitForTasks) -> CallToolResult:
    task_ids = list(dict.fromkeys(asked.task_ids))
    tasks = [await find(call.engine, task_id, principal=call.principal) for task_id in task_ids]
    seconds = wait_seconds(call, asked.wait_seconds)
    known = {task.task_id: task.seq for task in tasks}
    async with reporting(call, start=sum(known.values())) as tell:
        waited = await wait(call.engine, task_ids, principal=call.principal, seconds=seconds, since=known, tell=tell)
    said = [await step_in(call, task.task_id) for task in waited.changed if task.state is State.NEEDS_INPUT]
    if said:
        waited = replace(
            waited,
            changed=tuple([await find(call.engine, task.task_id, principal=call.principal) for task in waited.changed]),
        )
    return waited_told(waited, now=call.engine.clock.now(), opening=" ".join(filter(None, said)))


OFFER: Final = Offer(
    name="wait_for_tasks",
    title="Wait for tasks",
    description=(
        "Wait until the first of several tasks ends, needs a person, or is paused or resumed. Returns those in tasks, "
        "with results, and the others in waiting. Call it again with the others."
    ),
    arguments=WaitForTasks,
    answer=_wait,
    output=outputs.of_tasks(**outputs.WAITING),
    annotations=ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
    ),
)

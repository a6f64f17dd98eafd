"""Unfinished tasks that this process cannot follow, since they were started with another key or at another address.

Whoever has that key may follow them. Where nobody has for long after their time was over, they are not left as running for ever.
"""

from typing import Final

from northstar_mcp.tasks.model import EventType, Task
from northstar_mcp.tasks.parts import Parts
from northstar_mcp.tasks.record import Record
from northstar_mcp.tasks.states import Happening

WAIT_SECONDS: Final = 24 * 3600.0
"""How long after its own limit a task is left to a process that has its key."""

_TEXT: Final = (
    "It was started with another Lightcone key or address than this server has, and nobody has followed it since its time was over: "
    "how it ended is not known."
)


async def settle_orphan(parts: Parts, task: Task, *, holder: str) -> None:
    """Write down that nobody knows how it ended, if its time is long over and no process follows it.

    Raises:
        LedgerUnavailable: If it cannot be written now.
    """
    allowed = task.request.max_duration_seconds + parts.timing.grace_seconds + WAIT_SECONDS
    if (parts.clock.now() - task.created_at).total_seconds() < allowed:
        return
    lease = await parts.ledger.acquire(task.task_id, holder=holder, seconds=parts.timing.lease_seconds)
    if lease is None:
        return
    try:
        await Record(parts, task.task_id, lease).tell(EventType.LOST, _TEXT, happening=Happening.LOST)
    finally:
        await parts.ledger.release(lease)

"""What takes the room of a Lightcone account, as far as this ledger knows: told where a start is refused for want of it."""

from collections.abc import Sequence
from typing import Final

from northstar_mcp.tasks.model import Task
from northstar_mcp.tasks.ports import Ledger

_MOST_NAMED: Final = 10


async def what_takes_room(ledger: Ledger, own: Task) -> str:
    """One sentence. Tasks of other principals are counted and not named.

    Args:
        own: The task that found no room.
    """
    unfinished = [task for task in await _unfinished_beside(ledger, own) if task.account == own.account]
    known = [f"{task.task_id} ({task.state})" for task in unfinished if task.principal == own.principal]
    others = len(unfinished) - len(known)
    told = known[:_MOST_NAMED] + ([f"{others} of others"] if others else [])
    if not told:
        return "This server knows of no other unfinished task: the room is taken elsewhere."
    return f"Unfinished here: {', '.join(told)}."


async def _unfinished_beside(ledger: Ledger, own: Task) -> Sequence[Task]:
    found = [await ledger.get(task_id) for task_id in await ledger.unfinished() if task_id != own.task_id]
    return [task for task in found if task is not None]

"""Read a task, decide, record; and decide again where another was quicker."""

from collections.abc import Callable
from typing import Final

from northstar_mcp.errors import LedgerUnavailable, NotFound
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.model import Task
from northstar_mcp.tasks.ports import Clock, Ledger, Moved

_TRIES: Final = 50  # two writers of one task take turns; more than a few rounds means that something else is wrong


async def amend(ledger: Ledger, task_id: str, decide: Callable[[Draft], None], *, clock: Clock) -> Task:
    """Let `decide` change the task as it stands, and answer it as it stands then. Whoever is cancelled has changed all or nothing.

    `decide` may run several times, each time on a newer task; it must have no effect but on the draft.

    Raises:
        NotFound: If there is no such task.
        LedgerUnavailable: If it cannot be read or written.
    """
    for _ in range(_TRIES):
        task = await ledger.get(task_id)
        if task is None:
            raise NotFound(f"There is no task {task_id}.")
        draft = Draft(task, at=clock.now(), receipts=tuple(await ledger.receipts(task_id)))
        decide(draft)
        if not draft.changed:
            return draft.task
        change = draft.change()
        try:
            await ledger.record(change)
        except Moved:
            continue
        return change.task
    raise LedgerUnavailable(f"Task {task_id} changed too often to be written to.")

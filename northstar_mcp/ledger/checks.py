"""What every change must keep, whichever database holds the record.

These are bugs of the caller, not answers that a caller waits for (those are `Moved` and `LeaseLost`): so they are
ValueErrors, and nothing is written. No SQL here: the PostgreSQL ledger asks the same questions.
"""

from northstar_mcp.tasks.model import Change, Task


class ChangeInvalid(ValueError):
    """The change contradicts the record or itself. Nothing was written."""


class RepeatedFrame(ChangeInvalid):
    """An event of this task with this `upstream_id` is recorded already: the core filters these before."""


def check_change(stored: Task, change: Change) -> None:
    """Refuse what would leave a gap in the numbers, mix two tasks, or rewrite what a task is.

    Raises:
        ChangeInvalid: With the first thing that is wrong.
    """
    _check_identity(stored, change.task)
    _check_numbers(stored, change)
    _check_parts(change)


def _check_identity(stored: Task, task: Task) -> None:
    for name in ("task_id", "principal", "fingerprint", "created_at", "request"):
        if getattr(stored, name) != getattr(task, name):
            raise ChangeInvalid(f"{name} of {stored.task_id} is written once and cannot change")
    if task.caller_key not in (stored.caller_key, None):
        raise ChangeInvalid(f"caller_key of {stored.task_id} is written once, and can only be given back")


def _check_numbers(stored: Task, change: Change) -> None:
    numbers = [event.seq for event in change.events]
    expected = list(range(stored.seq + 1, stored.seq + 1 + len(numbers)))
    if numbers != expected:
        raise ChangeInvalid(f"events of {stored.task_id} must go on from seq {stored.seq}, not {numbers[:5]}")
    if change.task.seq != stored.seq + len(numbers):
        raise ChangeInvalid(f"seq of {stored.task_id} must be that of its last event, not {change.task.seq}")


def _check_parts(change: Change) -> None:
    task_id = change.task.task_id
    named = {event.task_id for event in change.events} | {receipt.task_id for receipt in change.receipts}
    if change.lease is not None:
        named.add(change.lease.task_id)
    if named - {task_id}:
        raise ChangeInvalid(f"a change of {task_id} holds parts of another task")
    beyond = [seq for seq in change.screens if not 1 <= seq <= change.task.seq]
    if beyond:
        raise ChangeInvalid(f"screens of {task_id} name events that do not exist: {beyond[:5]}")

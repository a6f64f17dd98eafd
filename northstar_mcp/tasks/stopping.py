"""Stop a task, and say honestly what was confirmed and what may still run."""

from dataclasses import dataclass

from northstar_mcp.tasks.amending import amend
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.halting import halt
from northstar_mcp.tasks.model import EventType, Task
from northstar_mcp.tasks.states import Happening
from northstar_mcp.tasks.watching import find


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The task, whether it is certain that nothing of it can act any more, and what was tried: a sentence each."""

    task: Task
    confirmed: bool
    done: tuple[str, ...]


async def stop(engine: Engine, task_id: str, *, principal: str) -> Stopped:
    """Stop it. An aborted call frees the caller; the stopping goes on.

    Raises:
        NotFound: If there is no such task.
        KeyMissing, KeyRejected: If Lightcone cannot be called.
        LedgerUnavailable: If it could not be written down; then nothing was done.
    """
    task = await find(engine, task_id, principal=principal)
    if task.state.rests:
        return Stopped(task=task, confirmed=True, done=(f"It had ended before: {task.state}.",))
    (await engine.agent()).check_ready()
    return await engine.see_through(lambda: _stop(engine, task))


async def _stop(engine: Engine, task: Task) -> Stopped:
    task = await amend(engine.ledger, task.task_id, _ask, clock=engine.clock)
    if task.state.rests:
        return Stopped(task=task, confirmed=True, done=("It ended before anything was sent to Lightcone.",))
    halted = await halt(engine, task, end=Happening.STOPPED)

    def settle(draft: Draft) -> None:
        if halted.confirmed:
            draft.tell(EventType.STOPPED, "Stopped on request: " + " ".join(halted.done), happening=Happening.STOPPED)

    task = await amend(engine.ledger, task.task_id, settle, clock=engine.clock)
    return Stopped(task=task, confirmed=halted.confirmed or task.state.rests, done=halted.done)


def _ask(draft: Draft) -> None:
    if draft.task.start_sent_at is None:
        # The follower sends nothing for a task that has ended, and it cannot have begun: the revision says so.
        draft.tell(EventType.STOPPED, "Stopped before it was sent to Lightcone.", happening=Happening.STOPPED)
    else:
        draft.tell(EventType.STOP_REQUESTED, "Asked to stop.")

"""Make a running task do nothing more. Lightcone has no call for it, so this climbs a ladder and says how far it got.

The rungs: pause it, so that nothing more is clicked; terminate the computer, where Lightcone made it for this task alone;
elsewhere tell Northstar to stop, let it read that, and pause it again if it does not. Nothing here writes down an end: who asked does.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio

from northstar_mcp.errors import NorthstarError, NotFound
from northstar_mcp.tasks.amending import amend
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.model import EventType, Task
from northstar_mcp.tasks.naming import northstar_id
from northstar_mcp.tasks.parts import Parts
from northstar_mcp.tasks.ports import Agent
from northstar_mcp.tasks.states import Happening, State

STOP_MESSAGE: Final = "Stop now. Do nothing more: end the task at once and report what was done so far."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """How far it got.

    Attributes:
        confirmed: Nothing of the task can act any more.
        done: What was tried and what was answered, a sentence each.
    """

    confirmed: bool
    done: tuple[str, ...]


async def halt(parts: Parts, task: Task, *, end: Happening) -> Halted:
    """Climb the ladder. Raises nothing of the tree: what failed is told in `done`.

    Args:
        end: What the task's end is called where this brings it about.
    """
    said: list[str] = []
    try:
        confirmed = await _climb(parts, await parts.agent(), task, end, said)
    except NorthstarError as error:
        said.append(f"It could not be stopped: {error.message}")
        confirmed = False
    return Halted(confirmed=confirmed, done=tuple(said))


async def _climb(parts: Parts, agent: Agent, task: Task, end: Happening, said: list[str]) -> bool:
    name = await _name(parts, task, said)
    if name is not None and await _try(said, agent.pause(name), "Lightcone confirmed the pause.", "Pausing failed"):
        await _write_down(parts, task, _paused)
    task = await _newest(parts, task)
    if task.computer_id is not None and task.owns_computer:
        # Before it is done: the task may be seen to fail of it at once.
        await _write_down(parts, task, lambda draft: draft.begin_stopping(end))
        ended = await _end_computer(agent, task.computer_id, said)
        if not ended:
            await _write_down(parts, task, Draft.give_up_stopping)
        return ended
    return name is not None and await _persuade(parts, agent, task, name, end, said)


async def _name(parts: Parts, task: Task, said: list[str]) -> str | None:
    try:
        return await northstar_id(parts, task)
    except NorthstarError as error:
        said.append(f"It cannot be paused: {error.message}")
        return None


async def _try(said: list[str], asking: Awaitable[str], done: str, failed: str) -> bool:
    try:
        await asking
    except NorthstarError as error:
        said.append(f"{failed}: {error.message}")
        return False
    said.append(done)
    return True


async def _end_computer(agent: Agent, computer_id: str, said: list[str]) -> bool:
    try:
        await agent.end_computer(computer_id)
    except NotFound:
        said.append("Its computer was gone already.")
    except NorthstarError as error:
        said.append(f"Its computer could not be terminated: {error.message}")
        return False
    else:
        said.append("Its computer was terminated.")
    return True


async def _persuade(parts: Parts, agent: Agent, task: Task, name: str, end: Happening, said: list[str]) -> bool:
    """Where the computer may serve others: Northstar has to end by itself."""
    said.append("Its computer is not the task's own, or not known, and was left alone.")
    asked = await _try(
        said, agent.inject(name, STOP_MESSAGE), "Northstar was told to stop.", "Telling it to stop failed"
    )
    if not asked:
        return False
    await _write_down(parts, task, lambda draft: draft.begin_stopping(end))
    if await _try(said, agent.resume(name), "It was resumed to read that.", "Resuming it to read that failed"):
        await _write_down(parts, task, _resumed)
    if await _ended(parts, agent, task, name):
        said.append("It ended.")
        return True
    paused, failed = "It did not end, and was paused again.", "It did not end, and pausing it again failed"
    if await _try(said, agent.pause(name), paused, failed):
        await _write_down(parts, task, _paused)
    return False


async def _write_down(parts: Parts, task: Task, decide: Callable[[Draft], None]) -> None:
    """Where the record cannot be written just now, the halt goes on: it is what was asked for."""
    try:
        await amend(parts.ledger, task.task_id, decide, clock=parts.clock)
    except NorthstarError as error:
        _log.warning("what was done to stop task %s was not written down: %s", task.task_id, error)


def _paused(draft: Draft) -> None:
    if draft.task.state is not State.PAUSED:
        draft.tell(EventType.PAUSED, "Paused, to stop it.", happening=Happening.PAUSE_CONFIRMED)


def _resumed(draft: Draft) -> None:
    draft.tell(EventType.RESUMED, "Resumed, to read that it shall stop.", happening=Happening.RESUME_CONFIRMED)


async def _ended(parts: Parts, agent: Agent, task: Task, name: str) -> bool:
    """Whether its end is seen, on the stream or by asking, before the time for that is up."""
    if await until_ended(parts, task, seconds=parts.timing.stopping_seconds):
        return (await _newest(parts, task)).state.rests
    try:
        if not (await agent.status(name)).ends:
            return False
    except NorthstarError:
        return False
    # Its report is on the stream: whoever follows the task may be about to read it.
    await until_ended(parts, task, seconds=parts.timing.stopping_seconds)
    return True


async def until_ended(parts: Parts, task: Task, *, seconds: float) -> bool:
    """Wait until the record says that the task has ended; False where it does not in that time.

    Raises:
        LedgerUnavailable: If it cannot be read.
    """
    with parts.feed.watch(task.task_id) as watch, anyio.move_on_after(seconds):
        while not (await _newest(parts, task)).state.ended:
            await watch.changed()
        return True
    return False


async def _newest(parts: Parts, task: Task) -> Task:
    return await parts.ledger.get(task.task_id) or task

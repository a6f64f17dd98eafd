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


async def halt(parts: Parts, task: Task) -> Halted:
    """Climb the ladder. Raises nothing of the tree: what failed is told in `done`."""
    said: list[str] = []
    agent = await parts.agent()
    name = await _name(parts, task, said)
    if name is not None and await _try(said, agent.pause(name), "Lightcone confirmed the pause.", "Pausing failed"):
        await _write_down(parts, task, _paused)
    task = await parts.ledger.get(task.task_id) or task
    if task.computer_id is not None and task.owns_computer:
        return Halted(confirmed=await _end_computer(agent, task.computer_id, said), done=tuple(said))
    if name is None:
        return Halted(confirmed=False, done=tuple(said))
    return Halted(confirmed=await _persuade(parts, agent, task, name, said), done=tuple(said))


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


async def _persuade(parts: Parts, agent: Agent, task: Task, name: str, said: list[str]) -> bool:
    """Where the computer may serve others: Northstar has to end by itself."""
    said.append("Its computer is not the task's own, or not known, and was left alone.")
    asked = await _try(
        said, agent.inject(name, STOP_MESSAGE), "Northstar was told to stop.", "Telling it to stop failed"
    )
    if not asked:
        return False
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
        _log.warning("a pause of task %s was not written down: %s", task.task_id, error)


def _paused(draft: Draft) -> None:
    if draft.task.state is not State.PAUSED:
        draft.tell(EventType.PAUSED, "Paused, to stop it.", happening=Happening.PAUSE_CONFIRMED)


def _resumed(draft: Draft) -> None:
    draft.tell(EventType.RESUMED, "Resumed, to read that it shall stop.", happening=Happening.RESUME_CONFIRMED)


async def _ended(parts: Parts, agent: Agent, task: Task, name: str) -> bool:
    """Whether its end is seen, on the stream or by asking, before the time for that is up."""
    with parts.feed.watch(task.task_id) as watch:
        with anyio.move_on_after(parts.timing.stopping_seconds):
            while not (await parts.ledger.get(task.task_id) or task).state.ended:
                await watch.changed()
            return True
    try:
        return (await agent.status(name)).ends
    except NorthstarError:
        return False

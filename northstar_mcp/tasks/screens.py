"""Pictures of a task's screen: those that came with its events, and the screen as it is now."""

from dataclasses import dataclass
from datetime import datetime

from northstar_mcp.errors import NotFound
from northstar_mcp.tasks.capturing import keep
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import Screen, Task
from northstar_mcp.tasks.watching import find


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A picture with its bytes. `seq` is the event that it came with; None for one that was taken just now."""

    task: Task
    screen: Screen
    seq: int | None
    at: datetime


async def show(engine: Engine, task_id: str, *, principal: str, seq: int | None = None, live: bool = False) -> Shot:
    """The newest picture, that of the event `seq`, or (`live`) the screen as it is now.

    Bytes that are kept go before a new fetch. Where the newest picture was not kept and its address has expired, or there is none yet:
    the screen as it is now, if the task still runs, else the newest picture that was kept.

    Raises:
        NotFound: If there is no such task or picture.
        PolicyRefused: If the picture lies where this server may not fetch from.
        NorthstarError: If Lightcone could not be asked.
    """
    task = await find(engine, task_id, principal=principal)
    if live:
        return await _live(engine, task)
    found = await engine.ledger.last_screen(task_id, seq=seq)
    if found is None:
        remedy = (
            "Leave seq out for the newest one; task_status says which events came with one."
            if seq is not None
            else None
        )
        return await _instead(engine, task, seq, NotFound(_why_none(task, seq), remedy=remedy))
    event, screen = found
    if screen.url is None:
        return Shot(task=task, screen=screen, seq=event.seq, at=event.at)
    try:
        fetched = await (await engine.agent()).fetch(screen.url)
    except NotFound as error:
        return await _instead(engine, task, seq, error)
    await keep(engine, task_id, event.seq, fetched)
    return Shot(task=task, screen=fetched, seq=event.seq, at=event.at)


async def _instead(engine: Engine, task: Task, seq: int | None, error: NotFound) -> Shot:
    if seq is not None:
        raise error
    if not task.state.ended and task.computer_id is not None:
        return await _live(engine, task)
    found = await engine.ledger.last_screen(task.task_id, kept=True)
    if found is None or found[1].data is None:
        raise error
    event, screen = found
    return Shot(task=task, screen=screen, seq=event.seq, at=event.at)


async def _live(engine: Engine, task: Task) -> Shot:
    if task.state.ended and task.owns_computer:
        raise NotFound(
            "The task has ended, and its computer is gone.",
            remedy="Leave live out: the last picture that came is kept.",
        )
    if task.computer_id is None:
        raise NotFound("It is not known yet which computer this task runs on.", remedy="Try again in a few seconds.")
    screen = await (await engine.agent()).look(task.computer_id)
    return Shot(task=task, screen=screen, seq=None, at=engine.clock.now())


def _why_none(task: Task, seq: int | None) -> str:
    if seq is not None:
        return f"Event {seq} of this task has no screenshot."
    return (
        "No screenshot of this task has arrived." if task.state.ended else "No screenshot of this task has arrived yet."
    )

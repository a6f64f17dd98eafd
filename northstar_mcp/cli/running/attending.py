"""Sits with a task until it ends, or until whoever is at the terminal decides otherwise.

One thing is waited for at a time, in a loop: that the task moves, that a signal comes, or that Enter is pressed. The task itself
lives in the engine; leaving here stops nothing.
"""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import anyio

from northstar_mcp.cli.endings import NOT_FOLLOWED, exit_code
from northstar_mcp.cli.main import INTERRUPTED
from northstar_mcp.cli.running.keyboard import read_line
from northstar_mcp.cli.running.view import View
from northstar_mcp.cli.words import one_line
from northstar_mcp.errors import NorthstarError
from northstar_mcp.tasks import steering, stopping, watching
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import LOCAL, Event, Task
from northstar_mcp.tasks.states import State

_ONE_WAIT_SECONDS: Final = 3600.0
_LOOK_SECONDS: Final = 0.5
_SETTLING_SECONDS: Final = 2.0
_QUESTION: Final = "Stop the task, detach and leave it running, or continue watching? [s/d/C] "


class _Turn(Enum):
    """What ended one wait."""

    MOVED = auto()
    INTERRUPTED = auto()  # Ctrl-C
    TERMINATED = auto()  # SIGTERM, or the terminal has gone
    ENTER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The task as it was left, the command's exit code, and what else there is to say, a line each."""

    task: Task
    code: int
    words: tuple[str, ...] = ()


class Attendant:
    """Watches one task.

    Args:
        signals: Those that arrive while it watches; SIGINT asks, any other detaches.
        since_seq: Events up to here are not shown.
    """

    def __init__(
        self, engine: Engine, task: Task, view: View, *, signals: AsyncIterator[signal.Signals], since_seq: int = 0
    ) -> None:
        self._engine = engine
        self._task = task
        self._view = view
        self._signals = signals
        self._seq = since_seq

    async def attend(self) -> Left:
        """Until the task ends, is left, or needs a person where none can be asked."""
        self._view.see(self._task)
        left: Left | None = None
        while left is None:
            left = await self._after(await self._next_turn())
        return left

    async def _next_turn(self) -> _Turn:
        if self._task.state is not State.NEEDS_INPUT:
            return await _first(self._moved, self._signalled)
        self._view.say(_how_to_help(self._task))
        return await _first(self._moved_on, self._signalled, self._enter_pressed)

    async def _after(self, turn: _Turn) -> Left | None:
        match turn:
            case _Turn.MOVED:
                return await self._unless_it_goes_on()
            case _Turn.INTERRUPTED:
                return await self._interrupted()
            case _Turn.TERMINATED:
                return self._detached()
            case _Turn.ENTER:
                return await self._resume()

    async def _unless_it_goes_on(self) -> Left | None:
        if self._task.state.ended:
            return Left(task=self._task, code=exit_code(self._task.state))
        if self._task.state is State.NEEDS_INPUT and not self._view.can_ask:
            # A stream that was reopened tells once more of a wait that is over: what follows comes at once.
            with anyio.move_on_after(_SETTLING_SECONDS):
                await self._moved_on()
                return await self._unless_it_goes_on()
            return Left(task=self._task, code=exit_code(State.NEEDS_INPUT), words=_how_to_help_later(self._task))
        return None

    # ---- what can be waited for

    async def _moved(self) -> _Turn:
        waited = await watching.wait(
            self._engine,
            [self._task.task_id],
            principal=LOCAL,
            seconds=_ONE_WAIT_SECONDS,
            since={self._task.task_id: self._seq},
            tell=self._tell,
        )
        self._see(*waited.changed, *waited.waiting)
        return _Turn.MOVED

    async def _moved_on(self) -> _Turn:
        """Somebody did what the task waited for, and told Lightcone so elsewhere."""
        while self._task.state is State.NEEDS_INPUT:
            await anyio.sleep(_LOOK_SECONDS)
            await self._look()
        self._view.say("")
        return _Turn.MOVED

    async def _signalled(self) -> _Turn:
        return _Turn.INTERRUPTED if await anext(self._signals) == signal.SIGINT else _Turn.TERMINATED

    async def _enter_pressed(self) -> _Turn:
        return _Turn.TERMINATED if await read_line() is None else _Turn.ENTER

    async def _look(self) -> None:
        seen = await watching.look(self._engine, self._task.task_id, principal=LOCAL, since_seq=self._seq)
        for event in seen.events:
            await self._tell(seen.task, event)
        self._see(seen.task)

    async def _tell(self, task: Task, event: Event) -> None:
        self._seq = event.seq
        self._view.tell(event)
        self._see(task)

    def _see(self, *tasks: Task) -> None:
        for task in tasks:
            self._task = task
            self._view.see(task)

    # ---- what can be done

    async def _resume(self) -> Left | None:
        try:
            resumed = await steering.resume(self._engine, self._task.task_id, principal=LOCAL)
        except NorthstarError as error:
            self._view.say(f"It could not be resumed: {error.message} Press Enter to try again.")
            return None
        self._see(resumed.task)
        self._view.say("")
        return None

    async def _interrupted(self) -> Left | None:
        answer = await self._ask() if self._view.can_ask else "s"
        if answer.startswith("s"):
            return await self._stop()
        return self._detached() if answer.startswith("d") else None

    async def _ask(self) -> str:
        answers: list[str] = []

        async def answered() -> _Turn:
            line = await read_line()
            answers.append("d" if line is None else line.lower())
            return _Turn.ENTER

        with self._view.aside():
            ask(_QUESTION)
            turn = await _first(answered, self._signalled)
        if turn is _Turn.INTERRUPTED:
            return "s"
        return answers[0] if answers else "d"

    async def _stop(self) -> Left:
        self._view.say("Asking Lightcone to stop it … (Ctrl-C again: do not wait)")
        outcome: list[stopping.Stopped] = []

        async def stopped() -> _Turn:
            outcome.append(await stopping.stop(self._engine, self._task.task_id, principal=LOCAL))
            return _Turn.MOVED

        await _first(stopped, self._signalled)
        if not outcome:
            return Left(task=self._task, code=INTERRUPTED, words=_not_waited_for(self._task))
        (answer,) = outcome
        await self._look()
        ended_by_itself = answer.task.state.ended and answer.task.state is not State.STOPPED
        code = exit_code(answer.task.state) if ended_by_itself else INTERRUPTED
        return Left(task=answer.task, code=code, words=words_of(answer))

    def _detached(self) -> Left:
        return Left(task=self._task, code=NOT_FOLLOWED, words=_how_to_return(self._task))


async def _first(*works: Callable[[], Awaitable[_Turn]]) -> _Turn:
    """What the first of them says; the others are given up. A signal goes before what came at the same moment."""
    said: list[_Turn] = []
    async with anyio.create_task_group() as group:

        async def run(work: Callable[[], Awaitable[_Turn]]) -> None:
            said.append(await work())
            group.cancel_scope.cancel()

        for work in works:
            group.start_soon(run, work)
    return _Turn.INTERRUPTED if _Turn.INTERRUPTED in said else said[0]


def ask(question: str) -> None:
    """Put a question on stderr, for an answer on the same line."""
    import sys

    print(question, end="", file=sys.stderr, flush=True)


def words_of(stopped: stopping.Stopped) -> tuple[str, ...]:
    """What was tried, and what is certain."""
    if stopped.confirmed:
        return stopped.done
    return (
        *stopped.done,
        "Not confirmed: it may still be running. Look again with:",
        f"  northstar-mcp tasks show {stopped.task.task_id}",
    )


def _not_waited_for(task: Task) -> tuple[str, ...]:
    return (
        "Not waited for: it may still be running. Look with:",
        f"  northstar-mcp tasks show {task.task_id}",
    )


def _how_to_return(task: Task) -> tuple[str, ...]:
    return (
        "Detached. The task goes on at Lightcone; see later how it went with:",
        f"  northstar-mcp tasks show {task.task_id}",
        f"  northstar-mcp tasks watch {task.task_id}",
    )


def _how_to_help(task: Task) -> str:
    url = task.live_view_url
    where = f"Open {url} and do what it waits for" if url else "Do what it waits for"
    return f"Northstar needs you. {where}, then press Enter here. {_why(task)}"


def _how_to_help_later(task: Task) -> tuple[str, ...]:
    url = task.live_view_url
    where = f"Open {url}, do what it waits for, then:" if url else "Do what it waits for, then:"
    return (_why(task), f"Northstar needs a person. {where}", f"  northstar-mcp tasks resume {task.task_id}")


def _why(task: Task) -> str:
    return f"It says: {one_line(task.waits_for or 'nothing')}"

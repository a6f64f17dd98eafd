"""A plain model of Lightcone, and of what must be on record: dictionaries and lists, moved by hand, one thing at a time.

It stands in for the simulator where a test must say in which order things happen: it fulfils `tasks.ports.Agent` and does nothing by
itself. Everything runs on one event loop.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio

from northstar_mcp.errors import Disconnected, NotFound, WrongState
from northstar_mcp.tasks.model import EventType, Identified, Observation, Screen, TaskRequest, UpstreamStatus
from northstar_mcp.tasks.states import Happening, State

_WORDS = {
    State.RUNNING: ("running", None),
    State.PAUSED: ("paused", Happening.PAUSE_CONFIRMED),
    State.NEEDS_INPUT: ("paused", Happening.PAUSE_CONFIRMED),
    State.COMPLETED: ("completed", Happening.COMPLETED),
    State.FAILED: ("failed", Happening.FAILED),
    State.STOPPED: ("cancelled", Happening.STOPPED),
}


@dataclass
class Upstream:
    """One task at Lightcone.

    Attributes:
        frames: All that was ever sent of it, in order.
        messages: What it was told and has not read.
        cuts: Grows with each break of its streams.
    """

    name: str
    state: State = State.RUNNING
    frames: list[Observation] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    steps: int = 0
    cuts: int = 0
    moved: anyio.Event = field(default_factory=anyio.Event)

    def send(self, type: EventType, happening: Happening | None, *, result: str | None = None) -> None:  # noqa: A002 - its own word
        number = len(self.frames) + 1
        frame = Observation(
            type=type,
            text=f"{type} {number}",
            happening=happening,
            upstream_id=f"{self.name}-{number}",
            upstream_type=str(type),
            northstar_task_id=self.name,
            computer_id=f"computer-of-{self.name}",
            step=self.steps,
            result=result,
        )
        self.frames.append(frame)
        self.wake()

    def wake(self) -> None:
        self.moved.set()
        self.moved = anyio.Event()


@dataclass
class Lightcone:
    """The account. `starts` counts what was started for each key, which must never be more than one."""

    tasks: dict[str, Upstream] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    # ---- moved by hand

    def act(self, task: Upstream) -> None:
        """One step: Northstar thinks, which reads its messages, and acts."""
        task.steps += 1
        task.messages.clear()
        task.send(EventType.THINKING, Happening.ACTED)
        task.send(EventType.ACTION, Happening.ACTED)

    def park(self, task: Upstream) -> None:
        task.state = State.NEEDS_INPUT
        task.send(EventType.NEEDS_INPUT, Happening.PERSON_NEEDED)

    def end(self, task: Upstream, state: State) -> None:
        task.state = state
        type_, happening = (
            (EventType.COMPLETED, Happening.COMPLETED)
            if state is State.COMPLETED
            else (EventType.FAILED, Happening.FAILED)
        )
        task.send(type_, happening, result=f"the answer of {task.name}" if state is State.COMPLETED else None)

    def cut(self, task: Upstream) -> None:
        task.cuts += 1
        task.wake()

    # ---- what `tasks.ports.Agent` asks for

    def check_ready(self) -> None:
        """It always is."""

    @asynccontextmanager
    async def start(self, request: TaskRequest, *, idempotency_key: str) -> AsyncIterator["Stream"]:
        if idempotency_key not in self.keys:
            name = f"up{len(self.tasks)}"
            self.tasks[name] = Upstream(name)
            self.keys[idempotency_key] = name
            self.tasks[name].send(EventType.STARTED, Happening.STARTED)
        yield Stream(self.tasks[self.keys[idempotency_key]], 0)

    @asynccontextmanager
    async def reattach(
        self, request: TaskRequest, *, northstar_task_id: str, idempotency_key: str, after: str | None
    ) -> AsyncIterator["Stream"]:
        yield Stream(self._task(northstar_task_id), int(after.rpartition("-")[2]) if after else 0)

    async def identify(self, request: TaskRequest, *, idempotency_key: str) -> Identified:
        raise AssertionError("each frame tells the name")

    async def status(self, northstar_task_id: str) -> UpstreamStatus:
        word, happening = _WORDS[self._task(northstar_task_id).state]
        return UpstreamStatus(word=word, happening=happening)

    async def pause(self, northstar_task_id: str) -> str:
        task = self._living(northstar_task_id)
        task.state = State.NEEDS_INPUT if task.state is State.NEEDS_INPUT else State.PAUSED
        return "paused"

    async def resume(self, northstar_task_id: str) -> str:
        self._living(northstar_task_id).state = State.RUNNING
        return "running"

    async def inject(self, northstar_task_id: str, message: str) -> str:
        self._living(northstar_task_id).messages.append(message)
        return "queued"

    async def end_computer(self, computer_id: str) -> None:
        task = self._task(computer_id.removeprefix("computer-of-"))
        if not task.state.ended:
            task.state = State.STOPPED  # its stream stays silent

    async def look(self, computer_id: str) -> Screen:
        raise NotFound("There is no screen.")

    async def fetch(self, url: str) -> Screen:
        raise NotFound("There is no screen.")

    def _task(self, name: str) -> Upstream:
        return self.tasks[name]

    def _living(self, name: str) -> Upstream:
        task = self.tasks[name]
        if task.state.ended:
            raise WrongState("It has ended.")
        return task


class Stream:
    """One open stream, from behind a frame on."""

    def __init__(self, task: Upstream, after: int) -> None:
        self.northstar_task_id: str | None = task.name
        self._task = task
        self._next = after
        self._cuts = task.cuts

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Observation:
        while True:
            if self._cuts != self._task.cuts:
                raise Disconnected("The connection to Lightcone broke.")
            if self._next < len(self._task.frames):
                self._next += 1
                return replace(self._task.frames[self._next - 1])
            if self._task.state.ended and self._task.state is not State.STOPPED:
                raise StopAsyncIteration
            await self._task.moved.wait()

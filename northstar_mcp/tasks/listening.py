"""Listening to a task's stream: what is new is written down, and silence is told from an end that nobody announced."""

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import anyio
from anyio import CancelScope

from northstar_mcp.errors import NorthstarError, NotFound
from northstar_mcp.tasks.beside import beside
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.model import EventType, Observation, Task, UpstreamStatus
from northstar_mcp.tasks.parts import Parts
from northstar_mcp.tasks.ports import EventStream
from northstar_mcp.tasks.record import Record
from northstar_mcp.tasks.states import Happening, State
from northstar_mcp.tasks.verdict import heed_steps

_FIRST: Final = 50  # events among which there is a frame, if any was recorded

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a stream may be silent. Seconds.

    Attributes:
        silence: Until Lightcone is asked how the task is.
        last_frames: What is left for the last frames to come where it then says that the task has ended.
    """

    silence: float
    last_frames: float


class Listener:
    """Takes in what arrives on the streams of one task, one stream after the other.

    Attributes:
        name: Lightcone's id of the task, as soon as it is known: a frame of another task is not taken in.
        seen: Lightcone's ids of all frames on record.
        has_frames: Whether any frame is on record, with or without an id.
        took_in: How many frames were taken in here.
        was_resumed: Set by who opens a stream: whether the task was resumed after the last frame on record.
    """

    def __init__(self, parts: Parts, record: Record) -> None:
        self.name: str | None = None
        self.seen: set[str] = set()
        self.has_frames = False
        self.took_in = 0
        self.was_resumed = False
        self._parts = parts
        self._record = record
        self._heard_at = 0.0
        self._is_taking_in = False

    async def recall(self, task: Task) -> None:
        """Learn from the record what was seen of the task before."""
        self.seen |= await self._parts.ledger.upstream_ids(task.task_id)
        events = await self._parts.ledger.events(task.task_id, limit=_FIRST)
        self.name = task.northstar_task_id
        self.has_frames = any(event.upstream_type is not None for event in events)

    async def listen(self, stream: EventStream, *, only_ends: bool, patience: Patience | None) -> None:
        """Take in what is new until the stream breaks, the task ends, or it is over and nothing more comes.

        Args:
            only_ends: Whether nothing of it can be told from what was seen before, but an end.
            patience: Where it differs from the usual.

        Raises:
            NorthstarError: If the stream broke.
        """
        timing = self._parts.timing
        waits = patience or Patience(silence=timing.stall_seconds, last_frames=timing.settle_seconds)
        self._heard_at, self._is_taking_in = anyio.current_time(), False
        async with beside(partial(self._ask_when_silent, patience=waits)):
            async for seen in stream:
                self._is_taking_in = True
                seen = await self._as_of_now(seen)
                if self.is_new(seen, only_ends=only_ends):
                    task = await self.take_in(seen)
                    if task.state.ended:
                        return
                    if seen.happening is Happening.ACTED:
                        await self._doubt_pause(task)
                self._is_taking_in = False
                self._heard_at = anyio.current_time()

    def is_new(self, seen: Observation, *, only_ends: bool) -> bool:
        """Whether it is this task's, and not on record."""
        if self.name is not None and seen.northstar_task_id not in (None, self.name):
            _log.warning("a frame of another task (%s) came on the stream of %s", seen.northstar_task_id, self.name)
            return False
        if seen.upstream_id is not None:
            return seen.upstream_id not in self.seen
        # Without ids, what a reopened stream repeats cannot be told from what is new; an end can only come once.
        return not only_ends or (seen.happening is not None and seen.happening.ends)

    async def _as_of_now(self, seen: Observation) -> Observation:
        """That a person is needed may be told again, behind a break, when it was resumed long ago. Lightcone's state decides."""
        if seen.happening is not Happening.PERSON_NEEDED or not self.was_resumed:
            return seen
        status, _ = await self.ask()
        waits = status is not None and status.happening is Happening.PAUSE_CONFIRMED
        return seen if waits else replace(seen, happening=None)

    async def take_in(self, seen: Observation) -> Task:
        """Write it down; the task as it stands then."""
        task = await self._record.write(partial(Draft.observe, seen=seen))
        self.name = task.northstar_task_id
        self.has_frames = True
        self.took_in += 1
        if seen.upstream_id is not None:
            self.seen.add(seen.upstream_id)
        return task

    async def _doubt_pause(self, task: Task) -> None:
        """A step long behind a pause was taken before it and comes late, or somebody has let the task go on. Lightcone's state decides.

        Shortly behind a pause neither does: a step that is under way still finishes.
        """
        if task.state not in (State.PAUSED, State.NEEDS_INPUT) or task.paused_at is None:
            return
        paused_for = (self._parts.clock.now() - task.paused_at).total_seconds()
        if paused_for < self._parts.timing.stopping_seconds:
            return
        status, _ = await self.ask()
        if status is not None:
            await self._record.write(partial(heed_steps, status=status, asked=task))

    async def _ask_when_silent(self, listening: CancelScope, *, patience: Patience) -> None:
        """Leave the stream where Lightcone says that the task has ended and its last frame does not come.

        Pings keep a dead stream open: silence of data counts, and only while nothing that came is still being written down.
        """
        while True:
            heard_at = await self._silence(patience.silence)
            status, _ = await self.ask()
            if status is not None and status.ends:
                await anyio.sleep(patience.last_frames)
            if self._is_taking_in or self._heard_at > heard_at or status is None:
                continue
            if status.ends or await self.steps_used_up(anyio.current_time() - heard_at):
                listening.cancel()

    async def _silence(self, seconds: float) -> float:
        """Wait for as much silence, from now on; when something was last heard before it."""
        began = anyio.current_time()
        while True:
            left = max(self._heard_at, began) + seconds - anyio.current_time()
            if left <= 0 and not self._is_taking_in:
                return self._heard_at
            await anyio.sleep(max(left, seconds / 4))

    async def ask(self) -> tuple[UpstreamStatus | None, bool]:
        """What Lightcone says of the task, if anything; and whether it says that there is no such task."""
        task = await self._record.task()
        if task.northstar_task_id is None:
            return None, False
        try:
            return await (await self._parts.agent()).status(task.northstar_task_id), False
        except NotFound:
            return None, True
        except NorthstarError as error:
            _log.info("a task's state could not be asked for: %s", error)
            return None, False

    async def steps_used_up(self, silent: float) -> bool:
        """Lightcone was seen to report `running` for ever after the last step: then the count has to tell."""
        task = await self._record.task()
        limit = task.request.max_steps
        if task.state is not State.RUNNING or task.steps < limit:
            return False
        text = f"All {limit} steps are used and nothing came for {silent:.0f} s, though Lightcone says that it runs."
        await self._record.tell(EventType.OUT_OF_STEPS, text, happening=Happening.STEPS_EXHAUSTED)
        return True

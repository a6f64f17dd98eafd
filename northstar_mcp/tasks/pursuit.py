"""From the start of a task to its end: its stream, the way back into it after a break, and the end that has to be asked for.

One pursuit runs at a time per task, under the lease that its record carries; the follower sees to that.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from math import inf
from typing import Final

import anyio

from northstar_mcp.errors import (
    Broken,
    ConcurrentLimit,
    Conflict,
    NoReattach,
    NorthstarError,
    NotFound,
    TimedOut,
    UnreadableReply,
)
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.listening import Listener, Patience
from northstar_mcp.tasks.model import EventType, Task, TaskError, UpstreamStatus
from northstar_mcp.tasks.naming import Nameless, StillAsking, identify, stop_second
from northstar_mcp.tasks.parts import Parts
from northstar_mcp.tasks.ports import EventStream, LeaseLost
from northstar_mcp.tasks.record import Record
from northstar_mcp.tasks.room import what_takes_room
from northstar_mcp.tasks.states import Happening
from northstar_mcp.tasks.verdict import end_as_told, heed

_MISSING_AT_LAST: Final = 3  # answers of "no such task" in a row, over settle_seconds, after which it counts as gone
_NO_STREAM_AT_LAST: Final = 2  # answers of "no such stream" in a row after which there is no way back
_LONGEST_RETRY_AFTER_SECONDS: Final = 60.0
_NEWEST: Final = 100  # events that are looked at

_TOO_LATE: Final = "The time that it was given was over before it could be sent: it is not begun now."

_log = logging.getLogger(__name__)


class Way(Enum):
    """What came of trying to get back into a stream."""

    READ = auto()  # it was read to its end, or to where Lightcone says that nothing more comes
    BROKEN = auto()  # another try may bring more
    NONE = auto()  # there is none


class Pursuit:
    """Brings one task to its end."""

    def __init__(self, parts: Parts, record: Record) -> None:
        self._parts = parts
        self._record = record
        self._listener = Listener(parts, record)
        self._has_way_back = True
        self._no_stream = 0
        self._asked_to_wait = 0.0
        self._gap_told_at: int | None = None

    async def run(self) -> None:
        """Until the task has ended.

        Raises:
            LeaseLost: If another follows it now.
        """
        task = await self._record.task()
        if task.start_sent_at is None:
            await self._start(task)
        else:
            await self._listener.recall(task)
        await self._come_back()

    # ---- the stream

    async def _start(self, task: Task) -> None:
        agent = await self._parts.agent()
        if self._is_out_of_date(task):
            await self._refuse(TimedOut(_TOO_LATE, remedy="Start it again if it is still wanted.", sent=False))
            return
        task = await self._record.write(_mark_as_sent)
        if task.state.ended:
            return
        opening = agent.start(task.request, idempotency_key=task.idempotency_key)
        await self._attend(opening, unopened=self._not_started)

    async def _start_again(self, task: Task) -> None:
        """Nothing came of the start: repeat it, the same call under the same key, as if its answer had only been late."""
        if self._is_out_of_date(task):
            await self._record.tell(
                EventType.LOST, f"It is not known whether it was started. {_TOO_LATE}", happening=Happening.LOST
            )
            return
        opening = (await self._parts.agent()).start(task.request, idempotency_key=task.idempotency_key)
        await self._attend(opening, unopened=self._not_answered, is_whole=False)

    def _is_out_of_date(self, task: Task) -> bool:
        """Whether the time that it was given is over since it was asked for: nobody expects it to begin now."""
        given = task.request.max_duration_seconds + self._parts.timing.grace_seconds
        return (self._parts.clock.now() - task.created_at).total_seconds() > given

    async def _not_started(self, error: NorthstarError) -> None:
        """A refusal ends the task; anything else leaves it open whether it runs."""
        if error.nothing_done:
            await self._refuse(error)
        else:
            self._heed_retry_after(error)
            text = f"Lightcone did not answer the start: {error.message} It is asked again under the same key."
            await self._record.tell(EventType.PROBLEM, text)

    def _heed_retry_after(self, error: NorthstarError) -> None:
        self._asked_to_wait = min(error.retry_after_seconds or 0, _LONGEST_RETRY_AFTER_SECONDS)

    async def _not_answered(self, error: NorthstarError) -> None:
        """What a repeated start is refused with does not say what became of the first."""
        self._heed_retry_after(error)
        # Room may be wanting because this very task takes it, or the first start is still under way.
        if error.is_refusal and not isinstance(error, ConcurrentLimit | Conflict):
            await self._give_up(error)

    async def _attend(
        self,
        opening: AbstractAsyncContextManager[EventStream],
        *,
        unopened: Callable[[NorthstarError], Awaitable[None]],
        is_whole: bool = True,
        only_ends: bool = False,
        patience: Patience | None = None,
    ) -> bool:
        """Open a stream and take in what comes, until it breaks or the task ends. False where it broke.

        Args:
            is_whole: Whether it begins where it was asked to.
            only_ends: Whether nothing of it can be told from what was seen before, but an end.

        Raises:
            NoReattach: If there is no way back into it.
        """
        opened = False
        try:
            async with opening as stream:
                opened = True
                self._listener.name = (
                    await self._record.write(partial(_learn_id, northstar_task_id=stream.northstar_task_id))
                ).northstar_task_id
                if only_ends:
                    await self._tell_gap(
                        "the stream broke, and its events carry no ids: of what it brings now, only the end is taken"
                    )
                if not is_whole and await self._read_from_its_beginning(stream):
                    return True
                await self._listener.listen(stream, only_ends=only_ends, patience=patience)
        except NoReattach:
            raise
        except NorthstarError as error:
            _log.info("a task's stream broke: %s", error)
            if not opened:
                await unopened(error)
            return False
        return True

    async def _read_from_its_beginning(self, stream: EventStream) -> bool:
        """A repeated start may have come to a task that runs: read all of it on another stream, if there is one; False where not.

        This stream stays open meanwhile: it may be the only one.
        """
        async for seen in stream:
            task = (
                await self._listener.take_in(seen)
                if self._listener.is_new(seen, only_ends=False)
                else await self._record.task()
            )
            taken = self._listener.took_in
            # Without ids, another stream could bring its end and nothing else.
            has_ids = task.last_upstream_id is not None
            if task.state.ended or (has_ids and await self._reattach(over=False, from_beginning=True) is Way.READ):
                return True
            if self._listener.took_in > taken:
                return True
            await self._tell_gap("the start had to be repeated, and this stream may have begun later than the task")
            return False
        return False

    # ---- after a break

    async def _come_back(self) -> None:
        """Ask how the task is and try to get back into its stream, at growing intervals, until it has ended."""
        timing = self._parts.timing
        broke_at, pause, missing = anyio.current_time(), timing.first_retry_seconds, 0
        over_since = gone_since = inf
        while not (task := await self._record.task()).state.ended:
            if task.northstar_task_id is None and not await self._learn_name(task):
                return
            taken = self._listener.took_in
            status, gone = await self._listener.ask()
            over = status is not None and status.ends
            over_since = min(over_since, anyio.current_time()) if over else inf
            way = await self._reattach(over=over)
            if self._listener.took_in > taken:
                broke_at, pause = anyio.current_time(), timing.first_retry_seconds
            missing = missing + 1 if gone else 0
            gone_since = min(gone_since, anyio.current_time()) if gone else inf
            # The stream alone brings the answer: even where the end is known, it is worth some tries.
            hopeful = way is Way.BROKEN and anyio.current_time() < over_since + timing.settle_seconds
            if not (over and hopeful):
                if over and way is Way.BROKEN:
                    await self._tell_gap(
                        "the stream broke, and could not be opened again in time; its end was asked for"
                    )
                is_gone = missing >= _MISSING_AT_LAST and anyio.current_time() >= gone_since + timing.settle_seconds
                if await self._settle(task, status, is_gone=is_gone, silent=anyio.current_time() - broke_at):
                    return
            await anyio.sleep(pause)
            pause = min(pause * 2, timing.last_retry_seconds)

    async def _settle(self, asked: Task, status: UpstreamStatus | None, *, is_gone: bool, silent: float) -> bool:
        """Write down an end that no stream brought; True where the task has ended.

        Args:
            asked: The task as it stood before Lightcone was asked for `status`.
        """
        if is_gone:
            text = "Lightcone does not know this task any more, and did not say how it ended."
            await self._record.tell(EventType.LOST, text, happening=Happening.LOST)
        elif status is not None and status.ends:
            await self._record.write(partial(end_as_told, status=status))
        elif status is not None:
            await self._record.write(partial(heed, status=status, asked=asked))
            if silent >= self._parts.timing.settle_seconds:
                await self._listener.steps_used_up(silent)
        return (await self._record.task()).state.ended

    async def _reattach(self, *, over: bool, from_beginning: bool = False) -> Way:
        """Try to get back into the stream. Where the task is `over`, what there is of it comes at once or not at all."""
        task = await self._record.task()
        if not self._has_way_back or task.northstar_task_id is None:
            return Way.NONE
        opening = (await self._parts.agent()).reattach(
            task.request,
            northstar_task_id=task.northstar_task_id,
            idempotency_key=task.idempotency_key,
            after=None if from_beginning else task.last_upstream_id,
        )
        self._listener.was_resumed = await self._resumed_since_last_frame(task)
        without_ids = self._listener.has_frames and task.last_upstream_id is None
        patience = Patience(silence=self._parts.timing.naming_seconds, last_frames=0) if over else None
        try:
            read = await self._attend(opening, unopened=self._not_reopened, only_ends=without_ids, patience=patience)
        except NoReattach as error:
            self._has_way_back = False
            if not from_beginning:
                await self._tell_gap(
                    "the stream broke, and there is no way back into it: only the task's state is asked for from here on"
                )
            await self._stop_second(task, error)
            return Way.NONE
        if read:
            self._no_stream = 0
        return Way.READ if read else Way.BROKEN

    async def _resumed_since_last_frame(self, task: Task) -> bool:
        newest = await self._parts.ledger.events(task.task_id, after=max(0, task.seq - _NEWEST))
        kinds = [event.type for event in newest if event.upstream_type is not None or event.type is EventType.RESUMED]
        return kinds[-1:] == [EventType.RESUMED]

    async def _not_reopened(self, error: NorthstarError) -> None:
        """The next round tries again; where there is no such stream, once more: a deployment may be under way."""
        self._no_stream = self._no_stream + 1 if isinstance(error, NotFound) else 0
        is_not_offered = isinstance(error, Broken) and not isinstance(error, UnreadableReply)
        if is_not_offered or self._no_stream >= _NO_STREAM_AT_LAST:
            raise NoReattach(f"Lightcone offers no stream to come back to: {error.message}") from error

    async def _tell_gap(self, why: str) -> None:
        """Say that events may be missing, and behind which; once until others come."""
        task = await self._record.task()
        if self._gap_told_at == self._listener.took_in or task.state.ended:
            return
        self._gap_told_at = self._listener.took_in
        last = f"event {task.seq}" if task.seq else "the start"
        text = f"Events after {last} may be missing: {why}."
        await self._record.tell(
            EventType.GAP, text, payload={"after_seq": task.seq, "after_upstream_id": task.last_upstream_id}
        )

    async def _stop_second(self, task: Task, error: NoReattach) -> None:
        if error.second_task_id is not None:
            await stop_second(self._parts, task, error.second_task_id)

    async def _learn_name(self, task: Task) -> bool:
        """Learn Lightcone's id; False where the task has ended or has been given up."""
        pause = self._parts.timing.first_retry_seconds
        while not task.state.ended:
            try:
                if task.started_at is not None:
                    await identify(self._parts, task)
                else:
                    await anyio.sleep(self._asked_to_wait)
                    await self._start_again(task)
            except StillAsking as error:
                _log.debug("task %s: %s", task.task_id, error)
            except Nameless as error:
                text = f"The stream broke, and nothing more can be learnt: {error.message} It may still run."
                await self._record.tell(EventType.LOST, text, happening=Happening.LOST)
            except NorthstarError as error:
                _log.info("a task's id could not be asked for: %s", error)
                await self._not_answered(error)
            task = await self._record.task()
            if task.northstar_task_id is not None and not task.state.ended:
                return True
            if not task.state.ended:
                await anyio.sleep(pause)
                pause = min(pause * 2, self._parts.timing.last_retry_seconds)
        return False

    async def _refuse(self, error: NorthstarError) -> None:
        """Lightcone did not take the task, and certainly nothing was started."""
        why = TaskError.of(error)
        if isinstance(error, ConcurrentLimit):
            occupied = await what_takes_room(self._parts.ledger, await self._record.task())
            why = replace(why, message=f"{why.message} {occupied}")
        text = f"Nothing was started: {why.message}"
        await self._record.tell(EventType.FAILED, text, happening=Happening.START_REFUSED, error=why)

    async def _give_up(self, error: NorthstarError) -> None:
        """The start may have been carried out, and Lightcone refuses to say what became of it."""
        text = f"It is not known whether it was started or how it ended: {error.message}"
        await self._record.tell(EventType.LOST, text, happening=Happening.LOST, error=TaskError.of(error))


def _mark_as_sent(draft: Draft) -> None:
    if draft.task.start_sent_at is not None:
        raise LeaseLost  # it was not sent when it was read: somebody else has taken it over meanwhile
    if not draft.task.state.ended:
        draft.learn(start_sent_at=draft.at)


def _learn_id(draft: Draft, *, northstar_task_id: str | None) -> None:
    draft.learn(northstar_task_id=northstar_task_id)

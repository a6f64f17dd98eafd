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
from anyio import CancelScope

from northstar_mcp.errors import ConcurrentLimit, Conflict, NoReattach, NorthstarError, NotFound
from northstar_mcp.tasks.beside import beside
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.model import EventType, Observation, Task, TaskError, UpstreamStatus
from northstar_mcp.tasks.naming import Nameless, identify, stop_second
from northstar_mcp.tasks.parts import Parts
from northstar_mcp.tasks.ports import EventStream
from northstar_mcp.tasks.record import Record
from northstar_mcp.tasks.states import Happening, State

_MISSING_AT_LAST: Final = 3  # answers of "no such task" in a row after which it counts as gone
_MOST_NAMED: Final = 10  # tasks that a refusal names

_ENDINGS: Final = {
    Happening.COMPLETED: EventType.COMPLETED,
    Happening.FAILED: EventType.FAILED,
    Happening.STOPPED: EventType.STOPPED,
    Happening.STEPS_EXHAUSTED: EventType.OUT_OF_STEPS,
    Happening.TIME_EXHAUSTED: EventType.OUT_OF_TIME,
    Happening.LOST: EventType.LOST,
}

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
        self._seen: set[str] = set()
        self._heard_at = 0.0
        self._has_way_back = True
        self._has_frames = False
        self._gap_told = False

    async def run(self) -> None:
        """Until the task has ended.

        Raises:
            LeaseLost: If another follows it now.
        """
        task = await self._record.task()
        if task.start_sent_at is None:
            await self._start(task)
        else:
            self._seen |= await self._parts.ledger.upstream_ids(task.task_id)
            events = await self._parts.ledger.events(task.task_id)
            self._has_frames = any(event.upstream_type is not None for event in events)
        await self._come_back()

    # ---- the stream

    async def _start(self, task: Task) -> None:
        agent = await self._parts.agent()
        task = await self._record.write(_mark_as_sent)
        if task.state.ended:
            return
        opening = agent.start(task.request, idempotency_key=task.idempotency_key)
        await self._attend(opening, unopened=self._not_started)

    async def _not_started(self, error: NorthstarError) -> None:
        """A refusal ends the task; anything else leaves it open whether it runs."""
        if error.nothing_done:
            await self._refuse(error)
        else:
            text = f"Lightcone did not answer the start: {error.message} It is asked again under the same key."
            await self._record.tell(EventType.PROBLEM, text)

    async def _attend(
        self,
        opening: AbstractAsyncContextManager[EventStream],
        *,
        unopened: Callable[[NorthstarError], Awaitable[None]],
        only_ends: bool = False,
        patience: float | None = None,
    ) -> bool:
        """Open a stream and take in what comes, until it breaks or the task ends. False where it broke.

        Raises:
            NoReattach: If there is no way back into it.
        """
        opened = False
        try:
            async with opening as stream:
                opened = True
                await self._record.write(partial(_learn_id, northstar_task_id=stream.northstar_task_id))
                if only_ends:
                    await self._tell_gap("its events carry no ids: of what it brings now, only the end is taken")
                await self._listen(stream, only_ends=only_ends, patience=patience or self._parts.timing.stall_seconds)
        except NoReattach:
            raise
        except NorthstarError as error:
            _log.info("a task's stream broke: %s", error)
            if not opened:
                await unopened(error)
            return False
        return True

    async def _listen(self, stream: EventStream, *, only_ends: bool, patience: float) -> None:
        self._heard_at = anyio.current_time()
        async with beside(partial(self._ask_when_silent, patience=patience)):
            async for seen in stream:
                self._heard_at = anyio.current_time()
                if self._is_new(seen, only_ends=only_ends) and (await self._take_in(seen)).state.ended:
                    return

    def _is_new(self, seen: Observation, *, only_ends: bool) -> bool:
        if seen.upstream_id is not None:
            return seen.upstream_id not in self._seen
        # Without ids, what a reopened stream repeats cannot be told from what is new; an end can only come once.
        return not only_ends or (seen.happening is not None and seen.happening.ends)

    async def _take_in(self, seen: Observation) -> Task:
        task = await self._record.write(partial(Draft.observe, seen=seen))
        self._has_frames = True
        if seen.upstream_id is not None:
            self._seen.add(seen.upstream_id)
        return task

    async def _ask_when_silent(self, listening: CancelScope, *, patience: float) -> None:
        """Leave the stream where Lightcone says that the task has ended. Pings keep a dead stream open: silence of data counts."""
        while True:
            asked_at = anyio.current_time()
            await anyio.sleep_until(max(self._heard_at, asked_at) + patience)
            if self._heard_at > asked_at:
                continue
            silent = anyio.current_time() - self._heard_at
            status, _ = await self._ask()
            if status is not None and (status.ends or await self._steps_used_up(silent)):
                listening.cancel()

    # ---- after a break

    async def _come_back(self) -> None:
        """Ask how the task is and try to get back into its stream, at growing intervals, until it has ended."""
        timing = self._parts.timing
        broke_at, pause, missing = anyio.current_time(), timing.first_retry_seconds, 0
        over_since = inf
        while not (task := await self._record.task()).state.ended:
            if task.northstar_task_id is None and not await self._learn_name(task):
                return
            heard_at = self._heard_at
            status, gone = await self._ask()
            over = status is not None and status.ends
            over_since = min(over_since, anyio.current_time()) if over else inf
            way = await self._reattach(patience=timing.naming_seconds if over else timing.stall_seconds)
            if self._heard_at > heard_at:
                broke_at, pause = anyio.current_time(), timing.first_retry_seconds
            missing = missing + 1 if gone else 0
            # The stream alone brings the answer: even where the end is known, it is worth some tries.
            hopeful = way is Way.BROKEN and anyio.current_time() < over_since + timing.settle_seconds
            if not (over and hopeful):
                if over and way is Way.BROKEN:
                    await self._tell_gap("it could not be opened again in time; its end was asked for")
                if await self._settle(status, missing=missing, silent=anyio.current_time() - broke_at):
                    return
            await anyio.sleep(pause)
            pause = min(pause * 2, timing.last_retry_seconds)

    async def _settle(self, status: UpstreamStatus | None, *, missing: int, silent: float) -> bool:
        """Write down an end that no stream brought; True where the task has ended."""
        if missing >= _MISSING_AT_LAST:
            text = "Lightcone does not know this task any more, and did not say how it ended."
            await self._record.tell(EventType.LOST, text, happening=Happening.LOST)
        elif status is not None and status.ends:
            await self._record.write(partial(_end, status=status))
        elif status is not None:
            await self._record.write(partial(_heed, status=status))
            if silent >= self._parts.timing.settle_seconds:
                await self._steps_used_up(silent)
        return (await self._record.task()).state.ended

    async def _reattach(self, *, patience: float) -> Way:
        task = await self._record.task()
        if not self._has_way_back or task.northstar_task_id is None:
            return Way.NONE
        opening = (await self._parts.agent()).reattach(
            task.request,
            northstar_task_id=task.northstar_task_id,
            idempotency_key=task.idempotency_key,
            after=task.last_upstream_id,
        )
        without_ids = self._has_frames and task.last_upstream_id is None
        try:
            read = await self._attend(opening, unopened=_try_again_later, only_ends=without_ids, patience=patience)
        except NoReattach as error:
            await self._tell_gap("there is no way back into it: only the task's state is asked for from here on")
            self._has_way_back = False
            await self._stop_second(task, error)
            return Way.NONE
        return Way.READ if read else Way.BROKEN

    async def _tell_gap(self, why: str) -> None:
        """Say once that events are missing, and behind which."""
        task = await self._record.task()
        if self._gap_told or task.state.ended:
            return
        self._gap_told = True
        last = f"event {task.seq}" if task.seq else "the start"
        text = f"Events after {last} may be missing: the stream broke, and {why}."
        await self._record.tell(
            EventType.GAP, text, payload={"after_seq": task.seq, "after_upstream_id": task.last_upstream_id}
        )

    async def _stop_second(self, task: Task, error: NoReattach) -> None:
        if error.second_task_id is not None:
            await stop_second(self._parts, task.task_id, error.second_task_id)

    async def _learn_name(self, task: Task) -> bool:
        """Learn Lightcone's id; False where that cannot be and the task has been given up."""
        pause = self._parts.timing.first_retry_seconds
        while not task.state.ended:
            try:
                await identify(self._parts, task)
            except Nameless as error:
                text = f"The stream broke, and nothing more can be learnt: {error.message} It may still run."
                await self._record.tell(EventType.LOST, text, happening=Happening.LOST)
            except NorthstarError as error:
                _log.info("a task's id could not be asked for: %s", error)
                # Room may be wanting because this very task takes it, or the first start is still under way.
                if error.is_refusal and not isinstance(error, ConcurrentLimit | Conflict):
                    await self._give_up(error)
            else:
                return True
            await anyio.sleep(pause)
            pause = min(pause * 2, self._parts.timing.last_retry_seconds)
            task = await self._record.task()
        return False

    async def _refuse(self, error: NorthstarError) -> None:
        """Lightcone did not take the task, and certainly nothing was started."""
        why = TaskError.of(error)
        if isinstance(error, ConcurrentLimit):
            why = replace(why, message=f"{why.message} {await self._occupied()}")
        text = f"Nothing was started: {why.message}"
        await self._record.tell(EventType.FAILED, text, happening=Happening.START_REFUSED, error=why)

    async def _give_up(self, error: NorthstarError) -> None:
        """The start may have been carried out, and Lightcone refuses to say what became of it."""
        text = f"It is not known whether it was started or how it ended: {error.message}"
        await self._record.tell(EventType.LOST, text, happening=Happening.LOST, error=TaskError.of(error))

    async def _occupied(self) -> str:
        """What takes the account's room, as far as this ledger knows."""
        own = await self._record.task()
        unfinished = [task for task in await self._unfinished() if task.account == own.account]
        known = [f"{task.task_id} ({task.state})" for task in unfinished if task.principal == own.principal]
        others = len(unfinished) - len(known)
        told = known[:_MOST_NAMED] + ([f"{others} of others"] if others else [])
        if not told:
            return "This server knows of no other unfinished task: the room is taken elsewhere."
        return f"Unfinished here: {', '.join(told)}."

    async def _unfinished(self) -> list[Task]:
        own = (await self._record.task()).task_id
        found = [await self._parts.ledger.get(each) for each in await self._parts.ledger.unfinished() if each != own]
        return [task for task in found if task is not None]

    async def _ask(self) -> tuple[UpstreamStatus | None, bool]:
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

    async def _steps_used_up(self, silent: float) -> bool:
        """Lightcone was seen to report `running` for ever after the last step: then the count has to tell."""
        task = await self._record.task()
        limit = task.request.max_steps
        if task.state is not State.RUNNING or task.steps < limit:
            return False
        text = f"All {limit} steps are used and nothing came for {silent:.0f} s, though Lightcone says that it runs."
        await self._record.tell(EventType.OUT_OF_STEPS, text, happening=Happening.STEPS_EXHAUSTED)
        return True


def _mark_as_sent(draft: Draft) -> None:
    if not draft.task.state.ended:
        draft.learn(start_sent_at=draft.at)


def _learn_id(draft: Draft, *, northstar_task_id: str | None) -> None:
    draft.learn(northstar_task_id=northstar_task_id)


def _end(draft: Draft, *, status: UpstreamStatus) -> None:
    """An end that was learnt by asking."""
    happening = status.happening
    if happening is None or draft.task.state.ended:
        return
    draft.learn(upstream_status=status.word, exit_code=status.exit_code, computer_id=status.computer_id)
    text = f"Lightcone says: {status.word}."
    if happening is Happening.COMPLETED and status.result is None:
        text += " Its answer was on the stream that was lost."
    error = None
    if happening is Happening.FAILED:
        error = TaskError(
            category="task_failed",
            message="Lightcone reports that the task failed.",
            retryable=False,
            remedy="See the task's last events for the reason.",
        )
    draft.tell(_ENDINGS[happening], text, happening=happening, result=status.result, error=error)


def _heed(draft: Draft, *, status: UpstreamStatus) -> None:
    """What Lightcone says of a task that goes on."""
    if draft.task.state.ended:
        return
    draft.learn(upstream_status=status.word, computer_id=status.computer_id)
    if status.happening is None and draft.task.state is State.STARTING:
        draft.tell(EventType.STARTED, f"Lightcone says: {status.word}.", happening=Happening.STARTED)
    if status.happening is Happening.PAUSE_CONFIRMED and draft.task.state is State.RUNNING:
        draft.tell(EventType.PAUSED, "Lightcone says that the task is paused.", happening=status.happening)


async def _try_again_later(error: NorthstarError) -> None:
    """The next round does."""

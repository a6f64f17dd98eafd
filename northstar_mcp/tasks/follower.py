"""The follower: the one worker that owns a task's stream, writes down what arrives, finds back after a break, and settles the end.

How it goes. The start is written down before its first byte is sent, so that a later process knows that it may have been sent.
What arrives is recorded before anybody sees it. When the stream breaks, or ends without saying how, Lightcone is asked for the
task's state and for a way back into the stream; a way back brings what was missed, the state alone brings at least the end. Where
an end cannot be learnt, the task ends as `unknown`, never as completed.

It works under a lease in the ledger. Whoever finds the lease lost stops at once and writes nothing more.
"""

import logging
from typing import Final

import anyio
from anyio import CancelScope

from northstar_mcp.errors import LedgerUnavailable, NorthstarError
from northstar_mcp.tasks.beside import beside
from northstar_mcp.tasks.capturing import capturing
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.halting import halt, until_ended
from northstar_mcp.tasks.model import EventType, Lease
from northstar_mcp.tasks.parts import Parts
from northstar_mcp.tasks.ports import LeaseLost
from northstar_mcp.tasks.pursuit import Pursuit
from northstar_mcp.tasks.record import Record
from northstar_mcp.tasks.states import Happening

_RELEASE_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


async def follow(parts: Parts, task_id: str, *, holder: str) -> None:
    """Follow the task until it has ended, unless another does. Returns early where the lease is lost.

    Args:
        holder: Who holds the lease: unique per start of a process.
    """
    lease = await parts.ledger.acquire(task_id, holder=holder, seconds=parts.timing.lease_seconds)
    if lease is None:
        return
    watchers = _Watchers(parts, lease)
    try:
        async with (
            capturing(parts, task_id),
            beside(watchers.hold_lease),
            beside(watchers.keep_deadline),
            beside(watchers.see_the_end),
        ):
            await Pursuit(parts, Record(parts, task_id, lease)).run()
    except LeaseLost:
        _log.info("task %s is followed by another process now", task_id)
    finally:
        with anyio.move_on_after(_RELEASE_SECONDS, shield=True):
            await watchers.release_lease()


class _Watchers:
    """What runs beside the pursuit of a task and may end it."""

    def __init__(self, parts: Parts, lease: Lease) -> None:
        self._parts = parts
        self._lease = lease
        self._record = Record(parts, lease.task_id, lease)

    async def hold_lease(self, _: CancelScope) -> None:
        """Renew the lease; an error where it is lost.

        While the ledger cannot be written, nobody else can take the lease in it either: the stream is read on, and what arrives waits.
        Should another have taken it all the same, the first write that comes through says so.
        """
        timing = self._parts.timing
        while True:
            await anyio.sleep(timing.renew_seconds)
            try:
                await self._parts.ledger.renew(self._lease, seconds=timing.lease_seconds)
            except LedgerUnavailable as error:
                _log.warning("the lease of task %s could not be renewed: %s", self._lease.task_id, error)

    async def see_the_end(self, work: CancelScope) -> None:
        """Leave where somebody else has written down the end: the stream may stay silent for ever."""
        with self._parts.feed.watch(self._lease.task_id) as watch:
            while not (await self._record.task()).state.ended:
                await watch.changed()
        work.cancel()

    async def release_lease(self) -> None:
        try:
            await self._parts.ledger.release(self._lease)
        except NorthstarError as error:
            _log.warning("the lease of task %s was not given back; it runs out: %s", self._lease.task_id, error)

    async def keep_deadline(self, work: CancelScope) -> None:
        """Past the task's own limit and a grace, try to stop it, and write down what was confirmed."""
        task = await self._record.task()
        timing = self._parts.timing
        limit = task.request.max_duration_seconds + timing.grace_seconds
        now = self._parts.clock.now()
        left = limit - ((now - task.start_sent_at).total_seconds() if task.start_sent_at is not None else 0.0)
        # A task that is found again late may have ended in time: that is learnt first.
        await anyio.sleep(max(min(left, limit), timing.stopping_seconds))
        if left <= 0 and not await self._has_ended_there():
            # Lightcone keeps its limit, and says that it runs: the clock may have jumped. This process's own tells from here on.
            await anyio.sleep(limit)
        if await self._has_ended_there():
            # The pursuit is about to read how, or to learn that it cannot.
            await until_ended(self._parts, task, seconds=timing.settle_seconds + timing.stopping_seconds)
        await self._record.write(_give_up)
        halted = await halt(self._parts, await self._record.task(), end=Happening.TIME_EXHAUSTED)
        words = " ".join(halted.done)
        if halted.confirmed:
            text = f"It ran past its limit and was stopped by this server. {words}"
            await self._record.tell(EventType.OUT_OF_TIME, text, happening=Happening.TIME_EXHAUSTED)
        else:
            text = f"It ran past its limit, and stopping it was not confirmed: it may still run. {words}"
            await self._record.tell(EventType.LOST, text, happening=Happening.LOST)
        work.cancel()

    async def _has_ended_there(self) -> bool:
        """Whether Lightcone says that the task has ended."""
        task = await self._record.task()
        if task.northstar_task_id is None:
            return False
        try:
            return (await (await self._parts.agent()).status(task.northstar_task_id)).ends
        except NorthstarError as error:
            _log.info("a task's state could not be asked for: %s", error)
            return False


def _give_up(draft: Draft) -> None:
    if not draft.task.state.ended:
        draft.tell(EventType.STOP_REQUESTED, "It ran past its limit: this server stops it.")

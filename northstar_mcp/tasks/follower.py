"""The follower: the one worker that owns a task's stream, writes down what arrives, finds back after a break, and settles the end.

How it goes. The start is written down before its first byte is sent, so that a later process knows that it may have been sent.
What arrives is recorded before anybody sees it. When the stream breaks, or ends without saying how, Lightcone is asked for the
task's state and for a way back into the stream; a way back brings what was missed, the state alone brings at least the end. Where
an end cannot be learnt, the task ends as `unknown`, never as completed.

It works under a lease in the ledger. Whoever finds the lease lost stops at once and writes nothing more.
"""

import logging
from datetime import timedelta
from typing import Final

import anyio
from anyio import CancelScope

from northstar_mcp.errors import LedgerUnavailable, NorthstarError
from northstar_mcp.tasks.beside import beside
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.halting import halt
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
        async with beside(watchers.hold_lease), beside(watchers.keep_deadline):
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

    async def hold_lease(self, work: CancelScope) -> None:
        """Renew the lease; stop the work where it is lost, or may be taken because it could not be renewed."""
        timing = self._parts.timing
        good_until = anyio.current_time() + timing.lease_seconds
        while anyio.current_time() < good_until:
            await anyio.sleep(timing.renew_seconds)
            try:
                await self._parts.ledger.renew(self._lease, seconds=timing.lease_seconds)
            except LedgerUnavailable as error:
                _log.warning("the lease of task %s could not be renewed: %s", self._lease.task_id, error)
            else:
                good_until = anyio.current_time() + timing.lease_seconds
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
        limit = timedelta(seconds=task.request.max_duration_seconds + timing.grace_seconds)
        left = (task.start_sent_at or self._parts.clock.now()) + limit - self._parts.clock.now()
        # A task that is found again late may have ended in time: that is learnt first.
        await anyio.sleep(max(left.total_seconds(), timing.stopping_seconds))
        await self._record.write(_give_up)
        halted = await halt(self._parts, task)
        words = " ".join(halted.done)
        if halted.confirmed:
            text = f"It ran past its limit and was stopped by this server. {words}"
            await self._record.tell(EventType.OUT_OF_TIME, text, happening=Happening.TIME_EXHAUSTED)
        else:
            text = f"It ran past its limit, and stopping it was not confirmed: it may still run. {words}"
            await self._record.tell(EventType.LOST, text, happening=Happening.LOST)
        work.cancel()


def _give_up(draft: Draft) -> None:
    if not draft.task.state.ended:
        draft.learn(stopping=Happening.TIME_EXHAUSTED)
        draft.tell(EventType.STOP_REQUESTED, "It ran past its limit: this server stops it.")

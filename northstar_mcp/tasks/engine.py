"""The engine: ledger, followers and change feed of one process. It belongs to the process, never to a connection.

`open_engine` owns the one task group in which followers live. What is unfinished in the ledger gets its follower back at start-up, and
whenever another process lets a lease run out.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from northstar_mcp.errors import Disconnected, LedgerUnavailable
from northstar_mcp.tasks.follower import follow
from northstar_mcp.tasks.orphans import settle_orphan
from northstar_mcp.tasks.parts import Parts
from northstar_mcp.tasks.policy import Policy
from northstar_mcp.tasks.ports import Agent, Clock, Feed, Ledger
from northstar_mcp.tasks.timing import Timing

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatistics:
    """What the engine is doing, for operators and tests."""

    following: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Engine(Parts):
    """What the use cases work with. Made by `open_engine`.

    Attributes:
        account: Fingerprint of the Lightcone address and key: only tasks of this account can be followed here.
        holder: Whose leases this engine's followers work under: unique per start of a process.
    """

    policy: Policy
    account: str
    _group: TaskGroup
    holder: str = field(default_factory=lambda: secrets.token_hex(8))
    _following: set[str] = field(default_factory=set)
    _unreadable: set[str] = field(default_factory=set)

    def follow(self, task_id: str) -> None:
        """See to it that this process follows the task, unless another does. Returns at once."""
        if task_id not in self._following:
            self._following.add(task_id)
            self._group.start_soon(self._follow, task_id, name=f"follow {task_id}")

    def statistics(self) -> EngineStatistics:
        """Which tasks this process follows, or tries to."""
        return EngineStatistics(following=tuple(sorted(self._following)))

    async def unfinished(self) -> tuple[str, ...]:
        """The tasks of this account that have not ended, whoever follows them.

        Raises:
            LedgerUnavailable: If the record cannot be read.
        """
        return tuple([task_id for task_id in await self.ledger.unfinished() if await self._is_ours(task_id)])

    async def see_through(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it in the engine's task group and wait for the outcome: an aborted call frees the waiter, and the work goes on.

        Raises:
            Disconnected: If the engine closes meanwhile.
        """
        outcome: list[T] = []
        failure: list[Exception] = []
        done = anyio.Event()

        async def run() -> None:
            try:
                outcome.append(await work())
            except Exception as error:  # noqa: BLE001 - it is the caller's, and raised there
                failure.append(error)
                if not is_awaited:
                    _log.warning("what an aborted call had begun failed: %s", error)
            finally:
                done.set()

        is_awaited = True
        self._group.start_soon(run)
        try:
            await done.wait()
        finally:
            is_awaited = False
        if failure:
            raise failure[0]
        if not outcome:
            raise Disconnected("This server is shutting down; it is not known whether that was done.")
        return outcome[0]

    async def _follow(self, task_id: str) -> None:
        try:
            await follow(self, task_id, holder=self.holder)
        except LedgerUnavailable as error:
            _log.warning("task %s cannot be followed just now; it is tried again: %s", task_id, error)
        except Exception:  # noqa: BLE001 - a fault with one task must not end the others; the sweep tries again
            _log.exception("following task %s failed; it is tried again", task_id)
        finally:
            self._following.discard(task_id)

    async def _sweep(self) -> None:
        while True:
            try:
                for task_id in await self.ledger.unfinished():
                    if task_id not in self._following:
                        await self._take_up(task_id)
            except LedgerUnavailable as error:
                _log.warning("unfinished tasks could not be looked for; it is tried again: %s", error)
            await anyio.sleep(self.timing.sweep_seconds)

    async def _take_up(self, task_id: str) -> None:
        """Follow a task that nobody may be following, if it is ours to follow. One that cannot be read harms no other."""
        try:
            task = await self.ledger.get(task_id)
            if task is not None and task.account == self.account:
                self.follow(task_id)
            elif task is not None:
                await settle_orphan(self, task, holder=self.holder)
        except LedgerUnavailable:
            raise
        except Exception:  # noqa: BLE001 - as said
            if task_id not in self._unreadable:
                self._unreadable.add(task_id)
                _log.exception("task %s cannot be taken up", task_id)

    async def _is_ours(self, task_id: str) -> bool:
        try:
            task = await self.ledger.get(task_id)
        except (ValueError, KeyError, TypeError):  # it cannot be read: the sweep says so
            return False
        return task is not None and task.account == self.account


@asynccontextmanager
async def open_engine(
    *,
    ledger: Ledger,
    feed: Feed,
    agent: Callable[[], Awaitable[Agent]],
    clock: Clock,
    policy: Policy | None = None,
    timing: Timing | None = None,
    account: str = "",
    keep_screens: bool = True,
) -> AsyncIterator[Engine]:
    """Run an engine until the block is left. Leaving ends no task: streams are closed, leases given back, and the record stays.

    Its task group belongs to this context manager; it holds the followers and the sweep.

    Args:
        keep_screens: Whether pictures that lie elsewhere are fetched and kept while a task is followed.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        engine = Engine(
            ledger=ledger,
            feed=feed,
            agent=agent,
            clock=clock,
            policy=policy or Policy(),
            timing=timing or Timing(),
            account=account,
            keep_screens=keep_screens,
            _group=group,
        )
        group.start_soon(engine._sweep)  # noqa: SLF001 - the engine's own
        try:
            yield engine
        except Exception as error:  # noqa: BLE001 - raised below, outside the group that would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure

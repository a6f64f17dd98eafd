"""The change feed: who waits for which task, and the look at what other processes wrote.

What this process commits is told directly after the commit. What others commit is noticed by looking, every
LOOK_SECONDS and only while somebody watches: `PRAGMA data_version` says whether anything was committed at all, then the
numbered changes say what. Each row names the opening of the ledger that changed it last, so this process's own changes
are not told twice.

A change made elsewhere shortly before a watch began may be told to it once: a watch begins without waiting, so it
cannot ask how far the record stood at that moment. Nothing is ever missed.

Bounds: a watch holds task ids, not events. A watch of named tasks holds at most those; a watch of all tasks holds at
most ALL_TASKS, and what goes beyond is not held but looked up in the record by its number, once the watcher comes for
it.
"""

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio
import anyio.to_thread

from northstar_mcp.errors import LedgerUnavailable
from northstar_mcp.ledger import queries, rows

LOOK_SECONDS: Final = 0.25
ALL_TASKS: Final = 10_000
_LOOK_ROWS: Final = 10_000  # taken in one look; the rest in the next

_log = logging.getLogger(__name__)

Changes: TypeAlias = Mapping[str, int]
"""The number of the last change, by task id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the record found, up to which number it has looked, and whether there may be more."""

    changes: Changes
    position: int
    more: bool = False


LookAfter: TypeAlias = Callable[[int], Awaitable[Look]]


class ChangeWatch:
    """A running look-out. One waiter at a time."""

    def __init__(self, all_after: LookAfter) -> None:
        self._all_after = all_after
        self._changed: set[str] = set()
        self._behind: int | None = None
        self._news = anyio.Event()

    def tell(self, task_id: str, number: int) -> None:
        """A watched task has changed."""
        if task_id in self._changed or len(self._changed) < ALL_TASKS:
            self._changed.add(task_id)
        else:
            self._fall_behind(number - 1)
        self._news.set()

    async def changed(self) -> frozenset[str]:
        """Wait for a change, and say which tasks have changed since the last answer."""
        while True:
            if self._changed:
                found, self._changed = frozenset(self._changed), set()
                return found
            if self._behind is not None:
                await self._catch_up(self._behind)
                continue
            self._news = anyio.Event()
            await self._news.wait()

    async def _catch_up(self, behind: int) -> None:
        # Cleared before, since more may fall behind during the look; put back if the look fails, so that nothing is
        # forgotten.
        self._behind = None
        try:
            look = await self._all_after(behind)
        except BaseException:
            self._fall_behind(behind)
            raise
        self._changed.update(look.changes)
        if look.more:
            self._fall_behind(look.position)

    def _fall_behind(self, number: int) -> None:
        self._behind = number if self._behind is None else min(self._behind, number)


class ChangeFeed:
    """All watches of this process. Changes of other processes are noticed while `run` runs."""

    def __init__(self, connection: sqlite3.Connection, *, origin: str, position: int) -> None:
        self._connection = connection
        self._origin = origin
        self._position = position
        self._data_version: int | None = None
        self._by_task: defaultdict[str, set[ChangeWatch]] = defaultdict(set)
        self._of_all: set[ChangeWatch] = set()
        self._somebody = anyio.Event()
        self._thread = anyio.CapacityLimiter(1)  # the connection's one user

    @contextmanager
    def watch(self, *task_ids: str) -> Iterator[ChangeWatch]:
        """Look out for these tasks; for all where none is named."""
        watch = ChangeWatch(self._all_after)
        groups = [self._by_task[task_id] for task_id in task_ids] or [self._of_all]
        for group in groups:
            group.add(watch)
        self._somebody.set()
        try:
            yield watch
        finally:
            for group in groups:
                group.discard(watch)
            self._forget(task_ids)

    def tell_own(self, changes: Changes) -> None:
        """This process has committed changes."""
        if self._watched:
            self._tell(changes)
        else:
            # Nobody watches, so nobody looks: what came before needs no look either.
            self._position = max(self._position, *changes.values())

    @property
    def watches(self) -> int:
        """How many watches are running."""
        return len({*self._of_all}.union(*self._by_task.values()))

    async def run(self) -> None:
        """Look at what others wrote, for as long as somebody watches; for ever."""
        while True:
            await self._somebody.wait()
            await self._look()
            await anyio.sleep(LOOK_SECONDS)

    @property
    def _watched(self) -> bool:
        return bool(self._of_all or self._by_task)

    def _forget(self, task_ids: tuple[str, ...]) -> None:
        for task_id in task_ids:
            if not self._by_task.get(task_id, True):
                del self._by_task[task_id]
        if not self._watched:
            self._somebody = anyio.Event()

    def _tell(self, changes: Changes) -> None:
        for task_id, number in changes.items():
            for watch in (*self._by_task.get(task_id, ()), *self._of_all):
                watch.tell(task_id, number)

    async def _look(self) -> None:
        try:
            look = await anyio.to_thread.run_sync(self._look_for_others, self._position, limiter=self._thread)
        except sqlite3.Error as error:
            # The position stays: the next look finds what this one did not.
            _log.warning("the ledger could not be looked at for changes of other processes: %s", error)
            return
        self._position = max(self._position, look.position)
        self._tell(look.changes)

    async def _all_after(self, position: int) -> Look:
        try:
            return await anyio.to_thread.run_sync(self._changes_after, position, None, limiter=self._thread)
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"The ledger could not be looked at for changes ({error}).") from error

    # ---- in the thread

    def _look_for_others(self, position: int) -> Look:
        version = int(self._connection.execute(queries.DATA_VERSION).fetchone()[0])
        if version == self._data_version:
            return Look(changes={}, position=position)
        look = self._changes_after(position, self._origin)
        self._data_version = None if look.more else version
        return look

    def _changes_after(self, position: int, but_not_by: str | None) -> Look:
        found = self._connection.execute(queries.CHANGED_AFTER, (position, _LOOK_ROWS)).fetchall()
        changes = {rows.text_of(task_id): number for task_id, number, by in found if by != but_not_by}
        return Look(changes=changes, position=found[-1][1] if found else position, more=len(found) == _LOOK_ROWS)

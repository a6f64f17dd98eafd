"""The ledger over SQLite: its public methods, and how it is opened and closed.

One file for any number of processes of one machine. Writing goes through one connection per process (writer.py),
reading through a few others (readers.py); no method blocks the event loop.
"""

import logging
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from northstar_mcp.errors import NorthstarError
from northstar_mcp.ledger import failures, queries, reading, schema, work
from northstar_mcp.ledger.feed import ChangeFeed, ChangeWatch
from northstar_mcp.ledger.readers import Readers
from northstar_mcp.ledger.rows import micros
from northstar_mcp.ledger.screens import TOTAL_BYTES, Pictures, ScreenFolder
from northstar_mcp.ledger.writer import Work, Writer, WriterStatistics
from northstar_mcp.tasks.model import Change, Event, Lease, Receipt, Screen, Task
from northstar_mcp.tasks.ports import Clock, Leased
from northstar_mcp.tasks.states import State

CLOSE_SECONDS: Final = 10.0
"""How long closing waits for what was handed in: twice the wait for another process's lock."""

SWEEP_SECONDS: Final = 60.0
"""How long after the opening it is looked for files that a crash left behind."""

_log = logging.getLogger(__name__)


class SystemClock:
    """The machine's time of day."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStatistics:
    """What the ledger is doing, for operators and tests."""

    writer: WriterStatistics
    watches: int


class SqliteLedger:
    """`Ledger` and `Feed` over one SQLite file. Made by `open_ledger`.

    A cancelled caller's change is either not begun, and dropped, or carried out as though nobody had been cancelled
    (see writer.py).
    """

    def __init__(
        self,
        *,
        writer: Writer,
        readers: Readers,
        feed: ChangeFeed,
        screens: ScreenFolder,
        screens_bytes: int,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._feed = feed
        self._screens = screens
        self._screens_bytes = screens_bytes
        self._clock = clock

    # ---- tasks

    async def add(
        self, task: Task, *, repeats_since: datetime, most: int | None = None, leased: Leased | None = None
    ) -> Task:
        """Write a new task, unless one stands that it repeats; answer the one that stands.

        Raises:
            TooMany: If it repeats none, and `most` tasks of its principal and account are unfinished.
            ChangeInvalid: If a task with this id stands already, or the new one claims to have events.
        """
        return await self._writer.submit(
            lambda transaction: work.add_task(
                transaction, task, repeats_since=repeats_since, most=most, leased=leased, now=self._now()
            )
        )

    async def get(self, task_id: str) -> Task | None:
        return await self._readers.ask(partial(reading.task, task_id=task_id))

    async def page(
        self, principal: str, *, states: frozenset[State] | None, limit: int, before: str | None
    ) -> Sequence[Task]:
        """A principal's tasks, newest first; nothing where `before` is not a task of this principal."""
        question = partial(reading.page, principal=principal, states=states, limit=limit, before=before)
        return await self._readers.ask(question)

    async def unfinished(self) -> Sequence[str]:
        return await self._readers.ask(reading.unfinished)

    async def record(self, change: Change) -> None:
        """Write one change, whole, durably, and wake whoever watches the task.

        Raises:
            LeaseLost: If `change.lease` no longer stands. Checked first.
            Moved: If the task's revision is not the one before, or there is no such task.
            RepeatedFrame: If an `upstream_id` is recorded already.
            ChangeInvalid: If the change contradicts the record or itself (checks.py): a bug of the caller.
        """
        pictures = self._pictures(change.task.task_id, change.screens)
        await self._write_with(pictures, partial(work.record_change, change=change, pictures=pictures))

    def _pictures(self, task_id: str, screens: Mapping[int, Screen]) -> Pictures:
        return Pictures(self._screens, task_id, screens, total_bytes=self._screens_bytes)

    async def _write_with(self, pictures: Pictures, piece: Work[None]) -> None:
        if not pictures.screens:
            await self._writer.submit(piece, settle=pictures.settle)
            return
        try:
            # Before the transaction: syncing megabytes must not keep other processes from writing.
            await self._in_thread(pictures.stage)
            await self._writer.submit(piece, settle=pictures.settle)
        except BaseException:
            # A caller that was cancelled before its work was handed in: nobody else knows of the files.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(pictures.unstage)
            raise

    async def _in_thread(self, work: Callable[[], None]) -> None:
        try:
            await anyio.to_thread.run_sync(work)
        except OSError as error:
            raise failures.unavailable(error) from error

    # ---- what belongs to a task

    async def events(self, task_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[Event]:
        return await self._readers.ask(partial(reading.events, task_id=task_id, after=after, limit=limit))

    async def last_screen(
        self, task_id: str, *, seq: int | None = None, kept: bool = False
    ) -> tuple[Event, Screen] | None:
        """The newest event with a picture (`kept`: with its bytes; or the event `seq`), and its picture.

        An event whose bytes were removed (bounds in screens.py) answers with its URL, or with None where it had none.
        """
        question = partial(reading.last_screen, folder=self._screens, task_id=task_id, seq=seq, kept=kept)
        return await self._readers.ask(question)

    async def unkept_screens(self, task_id: str, *, newest: int) -> Sequence[tuple[int, str]]:
        return await self._readers.ask(partial(reading.unkept_screens, task_id=task_id, newest=newest))

    async def keep_screen(self, task_id: str, seq: int, screen: Screen) -> None:
        """Keep the bytes of a picture that is on record with a URL only, within the bounds (screens.py)."""
        pictures = self._pictures(task_id, {seq: screen})
        await self._write_with(pictures, partial(work.keep_screen, task_id=task_id, seq=seq, pictures=pictures))
        # Not in the transaction, as elsewhere: a name that a power failure takes is no loss while the URL is there.
        await self._in_thread(pictures.sync)

    async def upstream_ids(self, task_id: str) -> frozenset[str]:
        return await self._readers.ask(partial(reading.upstream_ids, task_id=task_id))

    async def receipts(self, task_id: str) -> Sequence[Receipt]:
        return await self._readers.ask(partial(reading.receipts, task_id=task_id))

    # ---- leases

    async def acquire(self, task_id: str, *, holder: str, seconds: float) -> Lease | None:
        """The lease of a task that nobody else holds.

        `holder` is unique per start of a process: who asks again for what it holds has it renewed, with the same token.
        """
        return await self._writer.submit(
            # The clock is read when it is written: the wait for a lock must not be taken from the lease.
            lambda transaction: work.acquire_lease(
                transaction, task_id, holder=holder, seconds=seconds, now=self._now()
            )
        )

    async def renew(self, lease: Lease, *, seconds: float) -> None:
        await self._writer.submit(
            lambda transaction: work.renew_lease(transaction, lease, seconds=seconds, now=self._now())
        )

    async def release(self, lease: Lease) -> None:
        await self._writer.submit(partial(work.release_lease, lease=lease))

    # ---- keys

    async def secret(self, name: str) -> bytes:
        standing = await self._readers.ask(partial(reading.secret, name=name))
        if standing is not None:
            return standing
        return await self._writer.submit(partial(work.secret, name=name, fresh=secrets.token_bytes(32)))

    def _now(self) -> int:
        return micros(self._clock.now())

    # ---- the feed, and the operator

    def watch(self, *task_ids: str) -> AbstractContextManager[ChangeWatch]:
        """Look out for these tasks; for all tasks where none is named."""
        return self._feed.watch(*task_ids)

    async def ping(self) -> None:
        """Nothing, if the record can be read.

        Raises:
            LedgerUnavailable: If not.
        """
        await self._readers.ask(reading.ping)

    def statistics(self) -> LedgerStatistics:
        """Counts since the opening."""
        return LedgerStatistics(writer=self._writer.statistics(), watches=self._feed.watches)


@asynccontextmanager
async def open_ledger(
    folder: Path, *, clock: Clock | None = None, screens_bytes: int = TOTAL_BYTES
) -> AsyncIterator[SqliteLedger]:
    """Open the ledger that lies in `folder`, making it where there is none. Leaving it finishes what was handed in.

    The writer, the feed and the sweep run in a task group of this context manager's own.

    Args:
        screens_bytes: How large all kept pictures may be together.

    Raises:
        SettingsInvalid: If the ledger is of a newer version, or the folder cannot hold one.
        LedgerUnavailable: If the disk or the database does not allow it.
    """
    files = _Files(folder)
    try:
        try:
            await anyio.to_thread.run_sync(files.open)
        except (sqlite3.Error, OSError) as error:
            raise failures.unavailable(error) from error
        async with _running(files, clock or SystemClock(), screens_bytes) as ledger:
            yield ledger
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(files.close)


@asynccontextmanager
async def _running(files: "_Files", clock: Clock, screens_bytes: int) -> AsyncIterator[SqliteLedger]:
    origin = secrets.token_hex(8)
    feed = ChangeFeed(files.feed, origin=origin, position=files.position)
    writer = Writer(files.writer, origin=origin, on_commit=feed.tell_own)
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(writer.run)
        group.start_soon(feed.run)
        group.start_soon(_sweep_later, files)
        try:
            yield SqliteLedger(
                writer=writer,
                readers=files.readers,
                feed=feed,
                screens=files.screens,
                screens_bytes=screens_bytes,
                clock=clock,
            )
        except Exception as error:  # noqa: BLE001 - raised below, outside the group that would wrap it
            failure = error
        finally:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await writer.drain()
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _sweep_later(files: "_Files") -> None:
    # Whoever opens the ledger for a question only does not pay for this.
    await anyio.sleep(SWEEP_SECONDS)
    try:
        await sweep(files.readers, files.screens)
    except (NorthstarError, OSError) as error:
        _log.warning("files of pictures that nobody knows of were not swept: %s", error)


async def sweep(readers: Readers, screens: ScreenFolder) -> None:
    """Remove picture files that have no row: a crash left them behind."""
    for task_id in await anyio.to_thread.run_sync(screens.tasks):
        stale = await anyio.to_thread.run_sync(screens.stale_files, task_id)
        # In this order: what has a row is never taken for a stray.
        kept = await readers.ask(partial(reading.kept_files, task_id=task_id)) if stale else frozenset[str]()
        for name in set(stale) - kept:
            await anyio.to_thread.run_sync(screens.remove, task_id, name)


class _Files:
    """All that is open in the file system. Every method blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._closing = ExitStack()
        self.screens = ScreenFolder(folder / "screens")

    def open(self) -> None:
        path = schema.prepare(self._folder)
        self.screens.prepare()
        with ExitStack() as stack:
            self.writer = stack.enter_context(closing(schema.connect(path)))
            stack.callback(self._write_back)
            self.feed = stack.enter_context(closing(schema.connect(path, read_only=True)))
            self.readers = stack.enter_context(closing(Readers(path)))
            self.readers.open()
            self._closing = stack.pop_all()
        self.position = int(self.feed.execute(queries.LAST_CHANGE).fetchone()[0])

    def close(self) -> None:
        self._closing.close()

    def _write_back(self) -> None:
        try:
            # Without waiting: another process may be at work, and whoever comes last does it anyway.
            self.writer.execute("PRAGMA busy_timeout = 0")
            self.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            _log.warning("the ledger's log could not be written back on closing; nothing is lost: %s", error)

"""Group commit: many callers, one connection, one fsync for all who wait.

Callers hand in work and wait for its outcome. One task (it runs in the ledger's task group) takes all that wait, up to
BATCH, and carries it out in one transaction in a thread, each piece in a savepoint: so one that is refused undoes
nothing of the others. When `submit` has returned, the work is on the disk.

If the database fails, the whole batch is rolled back and each piece tried alone, so that a piece that cannot be written
(the one that fills the disk) fails alone. Only if not even a transaction can be begun (locked, gone) all fail at once:
the wait for the lock must not be paid once per piece.

Bounds: QUEUE pieces wait; further callers wait for room.

Cancellation: a cancelled caller is freed at once. Its work, if not begun, is dropped; if begun, it is carried out as
though nobody had been cancelled. The caller cannot tell which, and reads the record to find out.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

import anyio
import anyio.to_thread

from northstar_mcp.errors import NorthstarError
from northstar_mcp.ledger import failures, queries

QUEUE: Final = 1024
BATCH: Final = 256

T = TypeVar("T")


class Transaction:
    """What work is done with: a connection inside a transaction, and the numbers of the changes it makes."""

    def __init__(self, connection: sqlite3.Connection, origin: str) -> None:
        self.connection = connection
        self.origin = origin
        self.changes: dict[str, int] = {}

    def count_change(self, task_id: str) -> int:
        """The number of a change of this task, for the feed."""
        self.connection.execute(queries.COUNT_CHANGE)
        number = int(self.connection.execute(queries.LAST_CHANGE).fetchone()[0])
        self.changes[task_id] = number
        return number


Work: TypeAlias = Callable[[Transaction], T]
Settle: TypeAlias = Callable[[bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStatistics:
    """What the writer has done so far. `batches` counts commits."""

    operations: int
    batches: int
    largest_batch: int
    failed: int
    waiting: int


@dataclass(eq=False, slots=True, kw_only=True)
class _Pending:
    """A piece of work on its way."""

    attempt: Callable[[Transaction], None]
    settle: Settle
    done: anyio.Event = field(default_factory=anyio.Event)
    abandoned: bool = False
    error: Exception | None = None
    changes: Mapping[str, int] = field(default_factory=dict)


def _nothing(_committed: bool) -> None:
    """There is nothing to settle."""


class Writer:
    """The one who writes. `run` must be running in a task group for `submit` to answer."""

    def __init__(
        self, connection: sqlite3.Connection, *, origin: str, on_commit: Callable[[Mapping[str, int]], None]
    ) -> None:
        self._connection = connection
        self._origin = origin
        self._on_commit = on_commit
        self._send, self._receive = anyio.create_memory_object_stream[_Pending](QUEUE)
        # An own limiter: threads that others keep busy must not keep the record waiting.
        self._thread = anyio.CapacityLimiter(1)
        self._stopped = anyio.Event()
        self._operations = self._batches = self._largest = self._failed = 0

    async def submit(self, work: Work[T], *, settle: Settle = _nothing) -> T:
        """Have work done in a transaction, and wait until it is on the disk.

        Args:
            work: Runs in a thread, inside a savepoint; may run again if its batch had to be rolled back.
            settle: Called once, in a thread, when it is known whether the work was committed.

        Raises:
            LedgerUnavailable: If the database failed, or is closed. Nothing was written.
            Exception: Whatever `work` raised: the refusal. Nothing was written.
        """
        outcome: list[T] = []

        def attempt(transaction: Transaction) -> None:
            outcome[:] = [work(transaction)]

        pending = _Pending(attempt=attempt, settle=settle)
        try:
            await self._send.send(pending)
            await pending.done.wait()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise failures.closed() from None
        finally:
            # Once done, nobody asks any more.
            pending.abandoned = True
        if pending.error is not None:
            raise pending.error
        return outcome[0]

    async def run(self) -> None:
        """Carry out what is handed in, until `drain` was called and nothing is left."""
        try:
            async for first in self._receive:
                await self._serve([first, *self._waiting(BATCH - 1)])
        finally:
            _refuse(self._waiting(QUEUE))
            self._receive.close()
            self._stopped.set()

    async def drain(self) -> None:
        """Take nothing more, and wait until what was taken is done."""
        self._send.close()
        await self._stopped.wait()

    def statistics(self) -> WriterStatistics:
        """Counts since the opening."""
        buffer = self._receive.statistics()
        return WriterStatistics(
            operations=self._operations,
            batches=self._batches,
            largest_batch=self._largest,
            failed=self._failed,
            waiting=buffer.current_buffer_used + buffer.tasks_waiting_send,
        )

    # ---- in the event loop

    def _waiting(self, most: int) -> list[_Pending]:
        found: list[_Pending] = []
        while len(found) < most:
            try:
                found.append(self._receive.receive_nowait())
            except (anyio.WouldBlock, anyio.EndOfStream):
                break
        return found

    async def _serve(self, batch: Sequence[_Pending]) -> None:
        wanted = [pending for pending in batch if not pending.abandoned]
        dropped = [pending for pending in batch if pending.abandoned]
        try:
            # Not abandoned when cancelled: the thread ends first, so that outcomes are known and the connection has one
            # user.
            await anyio.to_thread.run_sync(self._carry_out, wanted, dropped, limiter=self._thread)
        except BaseException:
            # It did not begin, or broke off: nobody may take what it has not committed for done.
            _refuse(wanted)
            raise
        self._operations += len(wanted)
        for pending in wanted:
            pending.done.set()
        changes = {task_id: number for pending in wanted for task_id, number in pending.changes.items()}
        if changes:
            self._on_commit(changes)

    # ---- in the thread

    def _carry_out(self, wanted: Sequence[_Pending], dropped: Sequence[_Pending]) -> None:
        if wanted:
            self._commit(wanted)
        self._failed += sum(isinstance(pending.error, NorthstarError) for pending in wanted)
        for pending in wanted:
            pending.settle(pending.error is None)
        for pending in dropped:
            pending.settle(False)

    def _commit(self, batch: Sequence[_Pending]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            _fail(batch, error)
            return
        try:
            self._attempt_all(batch)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            self._after_failure(batch, error)
        except BaseException:
            self._roll_back()
            raise
        else:
            self._batches += 1
            self._largest = max(self._largest, len(batch))

    def _after_failure(self, batch: Sequence[_Pending], error: sqlite3.Error) -> None:
        if len(batch) == 1:
            _fail(batch, error)
            return
        for number, pending in enumerate(batch):
            self._commit([pending])
            if isinstance(pending.error, NorthstarError) and _is_busy(pending.error.__cause__):
                _fail(batch[number + 1 :], error)
                return

    def _attempt_all(self, batch: Sequence[_Pending]) -> None:
        for pending in batch:
            pending.error, pending.changes = None, {}
            transaction = Transaction(self._connection, self._origin)
            self._connection.execute("SAVEPOINT piece")
            try:
                pending.attempt(transaction)
            except sqlite3.Error:
                # The database, not the work: SQLite may have rolled everything back by itself.
                raise
            except OSError as error:
                self._undo_piece(pending, failures.unavailable(error), cause=error)
            except Exception as error:  # noqa: BLE001 - a refusal, of whatever kind, is the caller's to see
                self._undo_piece(pending, error)
            else:
                self._connection.execute("RELEASE piece")
                pending.changes = transaction.changes

    def _undo_piece(self, pending: _Pending, error: Exception, *, cause: BaseException | None = None) -> None:
        self._connection.execute("ROLLBACK TO piece")
        self._connection.execute("RELEASE piece")
        if cause is not None:
            error.__cause__ = cause
        pending.error = error

    def _roll_back(self) -> None:
        # SQLite may have done it already (a full disk); if even this fails, the next BEGIN tells.
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                return


def _refuse(batch: Sequence[_Pending]) -> None:
    for pending in batch:
        pending.error = failures.closed()
        pending.changes = {}
        pending.done.set()


def _fail(batch: Sequence[_Pending], error: sqlite3.Error) -> None:
    for pending in batch:
        # One each: an exception that is raised to two callers would mix their tracebacks.
        pending.error = failures.unavailable(error)
        pending.error.__cause__ = error
        pending.changes = {}


def _is_busy(error: BaseException | None) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY

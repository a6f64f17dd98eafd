"""The connections that only read: a few, opened beforehand, each used by one thread at a time.

Under WAL a reader neither waits for the writer nor keeps it waiting, so a question is answered while others are being
written. Bound: CONNECTIONS questions at a time; more wait their turn.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from northstar_mcp.ledger import failures, schema

CONNECTIONS: Final = 4

T = TypeVar("T")


class Readers:
    """A small pool of read-only connections."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = anyio.CapacityLimiter(CONNECTIONS)
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()  # guards the two above and below between threads; never held while reading
        self._closed = True

    def open(self) -> None:
        """Open all connections. Blocks."""
        self._idle = [schema.connect(self._path, read_only=True) for _ in range(CONNECTIONS)]
        self._closed = False

    def close(self) -> None:
        """Close all connections; one that is in use is closed by whoever uses it. Blocks."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of a question, which is asked in a thread.

        Raises:
            LedgerUnavailable: If the database cannot be read, or is closed.
        """
        try:
            return await anyio.to_thread.run_sync(self._ask, question, limiter=self._turn)
        except (sqlite3.Error, OSError) as error:
            raise failures.unavailable(error) from error

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._take()
        try:
            return question(connection)
        finally:
            self._give_back(connection)

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise failures.closed()
            return self._idle.pop()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

"""SQLite's and the file system's errors, in the words of errors.py."""

import sqlite3
from collections.abc import Mapping
from typing import Final

from northstar_mcp.errors import LedgerUnavailable

_FREE_SPACE = (
    "Ask the user to free space on the disk that holds the data directory, then try again with the same arguments."
)
_TRY_AGAIN = (
    "Try again shortly; if it stays so, ask the user which other program holds the data directory's ledger open."
)
_ALLOW = "Ask the user to check the owner and the permissions of the data directory."
_RESTORE = (
    "Ask the user to stop this server, to move ledger.sqlite3 (with its -wal and -shm files) out of the data directory,"
    " and to start it again or to restore a backup."
)
_CHECK_DISK = "Ask the user to check the disk that holds the data directory."

# By SQLite's primary result code (the low byte of the extended one).
_KNOWN: Final[Mapping[int, tuple[str, str]]] = {
    sqlite3.SQLITE_FULL: ("The disk that holds the ledger is full", _FREE_SPACE),
    sqlite3.SQLITE_BUSY: ("The ledger is locked by another process", _TRY_AGAIN),
    sqlite3.SQLITE_LOCKED: ("The ledger is locked by another process", _TRY_AGAIN),
    sqlite3.SQLITE_READONLY: ("The ledger cannot be written: it is read-only", _ALLOW),
    sqlite3.SQLITE_PERM: ("The ledger's files may not be opened", _ALLOW),
    sqlite3.SQLITE_CANTOPEN: ("The ledger's file cannot be opened", _ALLOW),
    sqlite3.SQLITE_CORRUPT: ("The ledger's file is damaged", _RESTORE),
    sqlite3.SQLITE_NOTADB: ("The ledger's file is not a database", _RESTORE),
    sqlite3.SQLITE_IOERR: ("The disk that holds the ledger failed", _CHECK_DISK),
}


def unavailable(error: sqlite3.Error | OSError) -> LedgerUnavailable:
    """What a caller is told when the database or the disk fails. To be raised `from` the error."""
    if isinstance(error, OSError):
        return LedgerUnavailable(f"The data directory cannot be used: {error.strerror or error}.")
    # The Python module's own errors ("Cannot operate on a closed database") carry no code.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    fact, remedy = (
        _KNOWN.get(code & 0xFF, ("The ledger failed", None)) if code is not None else ("The ledger failed", None)
    )
    return LedgerUnavailable(f"{fact} ({error}).", remedy=remedy)


def closed() -> LedgerUnavailable:
    """What is told to whoever still calls when the ledger is closing or closed."""
    return LedgerUnavailable(
        "The ledger is closed: this server is shutting down.", remedy="Call again once it has restarted."
    )

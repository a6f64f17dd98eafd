"""Opening a ledger's database file: its modes, its pragmas, and its schema version.

`PRAGMA user_version` is the number of the last migration. A file of a newer version is refused before anything is
touched. Two processes may open at once: whoever gets the write lock first migrates, the other finds it done. All of
this blocks: call it in a thread.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from northstar_mcp.errors import SettingsInvalid

FILE_NAME: Final = "ledger.sqlite3"

BUSY_SECONDS: Final = 5.0
"""How long to wait for another process's lock: longer than a slow fsync, shorter than any host's patience (45 s)."""

_WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024  # a burst may blow the -wal file up; this is what is left of it afterwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step from a version to the next: a file `NNNN_what_it_does.sql`."""

    version: int
    sql: str


def migrations() -> Sequence[Migration]:
    """All steps, in order."""
    folder = resources.files("northstar_mcp.ledger") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(version=int(file.name[:4]), sql=file.read_text("utf-8")) for file in files]


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection whose transactions are opened by hand, and that any one thread at a time may use."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    # FULL syncs the WAL at each commit. NORMAL, WAL's usual companion, may lose the last commits when the power fails.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def prepare(folder: Path) -> Path:
    """Create folder and file where they are missing, and bring the schema up to date. Answers the file's path.

    Raises:
        SettingsInvalid: If the file is of a newer version, or the folder cannot hold a WAL database.
        sqlite3.Error, OSError: If the disk or the database does not allow it.
    """
    path = folder / FILE_NAME
    steps = migrations()
    if path.exists():
        _refuse_newer(path, steps)
    _create(folder, path)
    connection = connect(path)
    try:
        _use_wal(connection, folder)
        migrate(connection, steps)
    finally:
        connection.close()
    return path


def version_of(connection: sqlite3.Connection) -> int:
    """The number of the last migration that was applied; 0 for an empty file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, steps: Sequence[Migration]) -> None:
    """Apply the steps that are missing, all or none."""
    if version_of(connection) == steps[-1].version:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again under the lock: another process may have migrated while this one waited.
        version = version_of(connection)
        _check_not_newer(version, steps)
        for step in steps[version:]:
            _apply(connection, step)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _apply(connection: sqlite3.Connection, step: Migration) -> None:
    for statement in _statements(step.sql):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {step.version}")


def _statements(sql: str) -> Iterator[str]:
    """The statements of a script. `executescript` would commit the transaction that all of them must share."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _refuse_newer(path: Path, steps: Sequence[Migration]) -> None:
    # mode=ro, so that looking changes nothing.
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    try:
        _check_not_newer(version_of(connection), steps)
    finally:
        connection.close()


def _check_not_newer(version: int, steps: Sequence[Migration]) -> None:
    if version > steps[-1].version:
        raise SettingsInvalid(
            f"The ledger in the data directory was written by a newer northstar-mcp: its version is {version}, this"
            f" one knows versions up to {steps[-1].version}. Nothing was changed.",
            remedy="Upgrade northstar-mcp, or set NORTHSTAR_MCP_DATA_DIR to another directory.",
        )


def _create(folder: Path, path: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Before SQLite opens it: it gives -wal and -shm the modes of the database file.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)


def _use_wal(connection: sqlite3.Connection, folder: Path) -> None:
    # Two processes that create the file at once: SQLite does not wait for this one lock by itself, so this does.
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise SettingsInvalid(
            f"The data directory {folder} lies on a file system where SQLite cannot keep a write-ahead log"
            f" (journal mode: {mode}).",
            remedy="Set NORTHSTAR_MCP_DATA_DIR to a directory on a local disk.",
        )

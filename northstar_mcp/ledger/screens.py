"""Pictures, kept as files: screens/<task_id>/<seq>.<ext>, 0600, named by a row of the ledger.

A picture is written under a temporary name and synced before the transaction, and gets its own name inside it, after
every check has passed and before the commit: so a row never names a file that is not whole, and a follower that lost
its lease never overwrites the picture of the one that has it. What is to be forgotten loses its row first and its file
after the commit, so that no reader and no other process is told of a file that goes. What a crash leaves behind is
swept: what lies in screens/.staging at the next opening, a file without a row by `sweep`.

Bounds: one picture IMAGE_BYTES (a larger one is not kept; its URL is), one task TASK_BYTES (the newest are kept), all
tasks together TOTAL_BYTES, or what the operator set: what was kept first goes first, of ended tasks before others; the
last picture of a task that has not ended never goes.
Everything here blocks: call it in a thread.
"""

import contextlib
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from northstar_mcp.ledger import queries
from northstar_mcp.ledger.checks import ChangeInvalid
from northstar_mcp.ledger.rows import column, optional_column, text_of
from northstar_mcp.tasks.model import Event, Screen

IMAGE_BYTES: Final = 16 * 1024 * 1024
"""A 4K screenshot as PNG is at most some 12 MB; what is larger is no screenshot."""

TASK_BYTES: Final = 64 * 1024 * 1024
"""About a hundred ordinary screenshots."""

TOTAL_BYTES: Final = 1024 * 1024 * 1024
"""Some two thousand ordinary screenshots."""

_MOST_FORGOTTEN: Final = 256  # at a time: a limit that was lowered is reached step by step, and no transaction is long
_STALE_SECONDS: Final = 3600.0  # another process may be writing just now; nobody writes one picture for an hour
_EXTENSIONS: Final[Mapping[str, str]] = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
}
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


class ScreenFolder:
    """The folder that holds all pictures."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._staging = path / ".staging"

    def prepare(self) -> None:
        """Create it, and sweep what crashes left behind."""
        self._staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.chmod(0o700)
        for file in _stale_files(self._staging):
            file.unlink(missing_ok=True)

    def make(self, task_id: str) -> None:
        """Create a task's folder."""
        folder = self._of(task_id)
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(self._path)

    def stage(self, data: bytes) -> Path:
        """Write bytes to the disk under a temporary name."""
        path = self._staging / secrets.token_hex(16)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def place(self, staged: Path, task_id: str, name: str) -> None:
        """Give a staged file its name. Doing it twice is harmless: a batch may be tried again."""
        path = self._of(task_id) / name
        try:
            staged.replace(path)
        except FileNotFoundError:
            if not path.exists():
                raise

    def sync(self, task_id: str) -> None:
        """Make the names in a task's folder survive a power failure."""
        _sync_folder(self._of(task_id))

    def tasks(self) -> list[str]:
        """The tasks that have a folder."""
        return [found.name for found in self._path.iterdir() if _SAFE_NAME.fullmatch(found.name) and found.is_dir()]

    def stale_files(self, task_id: str) -> list[str]:
        """The names of a task's files that nobody can be writing just now."""
        return [file.name for file in _stale_files(self._of(task_id))]

    def read(self, task_id: str, name: str) -> bytes | None:
        """A picture's bytes; None where they have been removed meanwhile."""
        try:
            return (self._of(task_id) / name).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, task_id: str, name: str) -> None:
        """Remove a picture. What cannot be removed stays: no row names it any more."""
        with contextlib.suppress(OSError):
            (self._of(task_id) / name).unlink()

    def _of(self, task_id: str) -> Path:
        # Ids are ours and of this form; a path is no place to rely on it.
        if not _SAFE_NAME.fullmatch(task_id):
            raise ChangeInvalid("a task whose id is not a plain name cannot have pictures")
        return self._path / task_id


class Pictures:
    """The pictures of one change: `stage`, then `write` in the transaction, then `settle`."""

    def __init__(self, folder: ScreenFolder, task_id: str, screens: Mapping[int, Screen], *, total_bytes: int) -> None:
        self._folder = folder
        self._task_id = task_id
        self.screens = screens
        self._total_bytes = total_bytes
        self._staged: dict[int, Path] = {}
        self._outdated: list[tuple[str, str]] = []

    def stage(self) -> None:
        """Write the bytes that are to be kept."""
        try:
            for seq, screen in self.screens.items():
                if screen.data is not None and len(screen.data) <= IMAGE_BYTES:
                    self._folder.make(self._task_id)
                    self._staged[seq] = self._folder.stage(screen.data)
        except BaseException:
            self.unstage()
            raise

    def unstage(self) -> None:
        """Remove what has not got its name. What has is not touched."""
        for path in self._staged.values():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def write(self, connection: sqlite3.Connection, events: tuple[Event, ...]) -> None:
        """Name the files, and write a row for every event with a picture."""
        urls = {event.seq: event.screen_url for event in events if event.screen_url is not None}
        for seq in sorted({*urls, *self.screens}):
            self._write_one(connection, seq, urls.get(seq))
        if self._staged:
            self._outdated = [*self._forget_own(connection), *_forget_oldest(connection, self._total_bytes)]

    def sync(self) -> None:
        """Make the names that were given survive a power failure."""
        if self._staged:
            self._folder.sync(self._task_id)

    def settle(self, committed: bool) -> None:
        """Remove what is of no use now that the outcome is known."""
        if committed:
            for task_id, name in self._outdated:
                self._folder.remove(task_id, name)
        self.unstage()

    def _write_one(self, connection: sqlite3.Connection, seq: int, url: str | None) -> None:
        screen = self.screens.get(seq, Screen())
        url = url or screen.url
        staged = self._staged.get(seq)
        if staged is None and url is None:
            return  # too large to keep, and nowhere else: the event has no picture
        name, size = None, 0
        if staged is not None:
            name, size = f"{seq}.{_EXTENSIONS.get(screen.media_type or '', 'bin')}", len(screen.data or b"")
            self._folder.place(staged, self._task_id, name)
        row = (column(self._task_id), seq, optional_column(url), optional_column(screen.media_type), name, size)
        connection.execute(queries.PUT_SCREEN, row)

    def _forget_own(self, connection: sqlite3.Connection) -> list[tuple[str, str]]:
        total, outdated = 0, []
        for seq, name, size in connection.execute(queries.KEPT_SCREENS, (column(self._task_id),)).fetchall():
            total += size
            if total > TASK_BYTES:
                connection.execute(queries.DROP_SCREEN, (column(self._task_id), seq))
                outdated.append((self._task_id, name))
        return outdated


def _forget_oldest(connection: sqlite3.Connection, most_bytes: int) -> list[tuple[str, str]]:
    """Forget pictures of all tasks until no more than `most_bytes` are kept; answers whose files they are."""
    outdated: list[tuple[str, str]] = []
    over = connection.execute(queries.KEPT_BYTES).fetchone()[0] - most_bytes
    for query in (queries.OLDEST_OF_ENDED, queries.OLDEST_OF_UNFINISHED):
        if over <= 0:
            break
        for task_id, seq, name, size in connection.execute(query, (_MOST_FORGOTTEN,)).fetchall():
            if over <= 0:
                break
            connection.execute(queries.DROP_SCREEN, (task_id, seq))
            outdated.append((text_of(task_id), name))
            over -= size
    return outdated


def _stale_files(folder: Path) -> list[Path]:
    """The files that have lain there for so long that nobody can be writing them."""
    oldest = time.time() - _STALE_SECONDS
    found = []
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < oldest:
                found.append(file)
    return found


def _sync_folder(path: Path) -> None:
    """Make a new name in a folder survive a power failure. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

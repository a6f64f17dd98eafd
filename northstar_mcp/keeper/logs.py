"""The keeper's log: a file that stays small, and beside it the lines that concern one conversation, which its host is shown too."""

import logging
import os
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from typing_extensions import override

MAX_BYTES: Final = 1024 * 1024
"""The size at which the older half of the log is dropped."""

TELL_HOST: Final[ContextVar[Callable[[str], None] | None]] = ContextVar("TELL_HOST", default=None)
"""In a conversation, and in the work that it began: what takes a line for its host. It never waits."""


class KeeperLog(logging.Handler):
    """Writes lines to a descriptor that appends to the file at `path`, and shows them to the host whose conversation they concern."""

    def __init__(self, path: Path, descriptor: int, *, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        self._path = path
        self._descriptor = descriptor
        self._max_bytes = max_bytes

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            self._write(f"{line}\n".encode("utf-8", "backslashreplace"))
            if (tell := TELL_HOST.get()) is not None:
                tell(line)
        except Exception:  # noqa: BLE001 - as every handler of logging: a line that cannot be written harms nothing else
            self.handleError(record)

    def _write(self, line: bytes) -> None:
        if os.fstat(self._descriptor).st_size + len(line) > self._max_bytes:
            self._drop_older_half()
        os.write(self._descriptor, line)

    def _drop_older_half(self) -> None:
        # The descriptor appends, and others (the interpreter's last words) share it: so the file is emptied, not replaced.
        newer = self._path.read_bytes()[-self._max_bytes // 2 :].partition(b"\n")[2]
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, newer)

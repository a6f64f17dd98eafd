"""The command line at a real (pseudo) terminal: what is shown there, and keys that are pressed."""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from .processes import COMMAND, CommandLine

CTRL_C: Final = "\x03"
ENTER: Final = "\n"

_ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CONTROLLING: Final = (
    "import fcntl,os,sys,termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Makes the terminal the process's controlling one, so that Ctrl-C becomes a signal, and becomes the command."""


class Terminal:
    """One command at a terminal of 100 by 40."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self.shown = ""

    def wait_for(self, text: str, *, seconds: float = 30) -> None:
        """Until it has been shown; what was shown so far does not count for the next wait."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} was not shown, but: {self.shown}")
        self.shown = self.shown.partition(text)[2]

    def press(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def end(self, *, seconds: float = 30) -> int:
        """The exit code, once everything was shown."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self._process.wait(timeout=seconds)

    def _read(self, deadline: float) -> bool:
        """False at the end, or at the deadline."""
        ready, _, _ = select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # Linux says so where the other end is closed
            return False
        self.shown += _ESCAPE.sub("", data.decode(errors="replace"))
        return bool(data)


@contextmanager
def at_a_terminal(northstar: CommandLine, *arguments: str) -> Iterator[Terminal]:
    """A command at a terminal of its own. It is killed where it has not ended by itself."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _CONTROLLING, *COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=northstar.folder,
        env={**northstar.environment, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
    )
    os.close(theirs)
    with process:
        try:
            yield Terminal(process, ours)
        finally:
            if process.poll() is None:
                process.kill()
            os.close(ours)

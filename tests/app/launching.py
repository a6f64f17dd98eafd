"""Starts the small server in a process of its own, and reads what its lifespan notes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[2]
BOUND_SECONDS = 20


class Launched:
    """A running small server."""

    def __init__(self, transport: str, **options: object) -> None:
        journal, written = os.pipe()
        given = [f"{name}={value}" for name, value in options.items()]
        command = [sys.executable, "-m", "tests.app.small_server", str(written), transport, *given]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=[written])
        os.close(written)
        self._journal = os.fdopen(journal)
        self._noted: list[str] = []

    def next_note(self) -> str:
        """What the process notes next. It waits for it."""
        line = self._journal.readline()
        assert line, self.process.communicate(timeout=BOUND_SECONDS)
        self._noted.append(line.strip())
        return self._noted[-1]

    def wait_for(self, note: str) -> None:
        """Until the process has noted this."""
        while self.next_note() != note:
            pass

    def journal(self) -> list[str]:
        """All that was noted by a process that has ended."""
        return self._noted + self._journal.read().split()

    def end(self) -> tuple[int, str, str]:
        """The exit code and what was left in the two outputs, without the input being closed."""
        stdin, self.process.stdin = self.process.stdin, None
        stdout, stderr = self.process.communicate(timeout=BOUND_SECONDS)
        if stdin is not None:
            stdin.close()
        return self.process.returncode, stdout.decode(), stderr.decode()

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        self._journal.close()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None and not stream.closed:
                stream.close()


LaunchedT = TypeVar("LaunchedT", bound=Launched)


@contextmanager
def bounded(launched: list[LaunchedT]) -> Iterator[list[LaunchedT]]:
    """A time limit for the block, and none of these processes left behind. Pipes are read blocking here, so it takes an alarm."""

    def too_late(*_: object) -> None:
        raise TimeoutError

    former = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(BOUND_SECONDS)
    try:
        yield launched
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
        for one in launched:
            one.close()

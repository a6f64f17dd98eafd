"""One line from whoever sits at the terminal, in a way that can be given up at any moment."""

import os
import sys

import anyio
import anyio.to_thread


async def read_line() -> str | None:
    """The next line without its end; None where the terminal has gone."""
    if sys.platform == "win32":
        line = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
    else:
        # Not sys.stdin.readline in a thread: a thread that waits for a line cannot be told to stop.
        await anyio.wait_readable(sys.stdin.fileno())
        line = os.read(sys.stdin.fileno(), 4096).decode(errors="replace")
    return line.strip() if line else None

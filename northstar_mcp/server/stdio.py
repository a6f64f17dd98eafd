"""Serves one connection over standard input and output, and ends with it: at the input's end and on a signal, in the same way.

The SDK's own reader of standard input waits in a thread that nothing can wake, so that a signal would leave the process hanging with
its lifespan open. Here the reader is a daemon thread, and the server reads from a stream that can be closed at any time. Everything
that ends a connection closes that stream; the server then cancels its handlers, leaves its lifespan, and `serve` returns.
"""

import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from threading import Thread
from typing import Any, BinaryIO, Final, cast

import anyio
from anyio.from_thread import BlockingPortal
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server import MCPServer
from mcp.server.stdio import stdio_server

from northstar_mcp.server.signals import CLOSING_SECONDS, an_end
from northstar_mcp.server.unanswered import bounded

MAX_LINE: Final = 32 * 1024 * 1024
"""Bytes of the longest message that is read."""

_log = logging.getLogger(__name__)


async def serve(server: MCPServer[Any], *, closing_seconds: float = CLOSING_SECONDS) -> None:
    """Serve until standard input ends or SIGTERM or SIGINT comes; return when the server's lifespan has been left.

    Where something does not end in time (a host that no longer reads holds up a write for ever, and no thread can be cancelled), and
    on a second signal, the process is left at once with exit code 1.
    """
    lowlevel = server._lowlevel_server  # noqa: SLF001 - run_stdio_async takes no input of the caller's
    try:
        async with (
            an_end(closing_seconds) as end,
            _standard_input(end) as lines,
            stdio_server(stdin=cast("Any", lines)) as (read, write),
        ):
            try:
                await lowlevel.run(*bounded(read, write), lowlevel.create_initialization_options())
            finally:
                end.set()
    except BrokenPipeError:
        _log.debug("the host is gone")


@asynccontextmanager
async def _standard_input(end: anyio.Event) -> AsyncIterator[MemoryObjectReceiveStream[str]]:
    """The lines of standard input, up to its end, which sets `end`, or until somebody else does.

    The portal takes lines from the reading thread, one at a time, so that a host that sends faster than it is served has to wait. The
    task group holds what closes the stream.
    """
    send, lines = anyio.create_memory_object_stream[str]()
    async with BlockingPortal() as portal, anyio.create_task_group() as group:
        with lines, _claimed_input() as descriptor:
            deliver, finish = partial(portal.call, send.send), partial(portal.call, end.set)
            Thread(target=_read, args=(descriptor, deliver, finish), name="standard input", daemon=True).start()
            group.start_soon(_close_at_end, send, end)
            yield lines


@contextmanager
def _claimed_input() -> Iterator[int]:
    """A descriptor of our own for standard input; meanwhile 0 leads nowhere, so that no child process eats a message.

    It is never closed: the thread may wait on it, and its number must not become another file's.
    """
    own = os.dup(0)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    try:
        yield own
    finally:
        os.dup2(own, 0)


def whole_lines(source: BinaryIO, *, limit: int = MAX_LINE) -> Iterator[bytes]:
    """The lines of `source`; one that is longer than `limit` bytes is left out, and costs no other."""
    while line := source.readline(limit):
        if len(line) < limit or line.endswith(b"\n"):
            yield line
            continue
        while len(rest := source.readline(limit)) == limit and not rest.endswith(b"\n"):
            pass
        _log.warning("a message was longer than %d bytes and was dropped", limit)


def _read(descriptor: int, deliver: Callable[[str], None], finish: Callable[[], None]) -> None:
    """The reading thread's work, until the input ends or nobody takes its lines any more."""
    try:
        try:
            with os.fdopen(descriptor, "rb", closefd=False) as source:
                for line in whole_lines(source):
                    deliver(line.decode("utf-8", errors="replace"))
        except OSError as error:  # a terminal that is gone
            _log.debug("standard input broke off: %s", error)
        finish()
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, CancelledError, RuntimeError):
        pass  # the server has ended


async def _close_at_end(lines: MemoryObjectSendStream[str], end: anyio.Event) -> None:
    await end.wait()
    lines.close()

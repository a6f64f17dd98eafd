"""The end of a serving process: on a signal or from within, at once but in order, and by force where it takes too long."""

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio.abc import TaskStatus

CLOSING_SECONDS: Final = 15.0
"""How long the end may take: more than the ledger needs to write what was handed in."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def an_end(closing_seconds: float = CLOSING_SECONDS) -> AsyncIterator[anyio.Event]:
    """An event that is set by the first SIGTERM or SIGINT, or by who uses it; the block is to be left soon after.

    Where it is not within `closing_seconds`, or at a second signal, the process is left. A failure of the block is raised as it is,
    without the task groups that wrapped it. The task group of this context manager holds the two watches.
    """
    end = anyio.Event()
    try:
        async with anyio.create_task_group() as group:
            await group.start(_set_on_signal, end)
            group.start_soon(_leave_in_time, end, closing_seconds)
            yield end
            group.cancel_scope.cancel()
    except BaseExceptionGroup as failures:
        raise _only(failures) from None


async def _set_on_signal(end: anyio.Event, *, task_status: TaskStatus[None]) -> None:
    if sys.platform == "win32":  # has no such signals: a host closes the input there, and Ctrl-C cancels the main task
        task_status.started()
        return
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        await anext(signals)
        end.set()
        await anext(signals)  # somebody is impatient
        _leave()


async def _leave_in_time(end: anyio.Event, seconds: float) -> None:
    await end.wait()
    await anyio.sleep(seconds)
    _log.error("the server did not end within %g seconds and is left; what was recorded is safe", seconds)
    _leave()


def _leave() -> None:
    logging.shutdown()
    os._exit(1)


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one failure in it, or all where there are several."""
    failure: BaseException = group
    while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
        failure = failure.exceptions[0]
    return failure

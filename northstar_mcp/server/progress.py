"""Progress while a call waits: what every host can show. `progress` is the seq, `message` one line, a heartbeat breaks long silence.

At most two are sent in a second; of what happens in between, the newest is told. Nothing here can end the wait: a client that is gone
is told nothing more. Of several tasks, the number is the sum of their seqs, which grows with each event.
"""

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio

from northstar_mcp.server.fence import clean_line
from northstar_mcp.server.tool import Call
from northstar_mcp.tasks.beside import beside
from northstar_mcp.tasks.model import Event, EventType, Task

USUAL_WAIT_SECONDS: Final = 20.0  # where the host can show what happens
HEARTBEAT_SECONDS: Final = 15.0
APART_SECONDS: Final = 0.5
"""The shortest time between two notifications of one call."""

_MAX_MESSAGE: Final = 200
_FLUSH_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)

Send = Callable[[float, float | None, str | None], Awaitable[None]]


def wants_progress(call: Call) -> bool:
    """Whether the request carries a progress token."""
    meta = call.context.request_context.meta
    return meta is not None and meta.get("progress_token") is not None


def wait_seconds(call: Call, asked: float | None) -> float:
    """How long a call waits: as asked, else a while if the host can show progress, else not at all; never longer than it may last."""
    usual = USUAL_WAIT_SECONDS if wants_progress(call) else 0.0
    return min(usual if asked is None else asked, call.seconds_left)


class Reporter:
    """Tells one request how its tasks go on.

    Args:
        send: Sends one notification.
        start: The sum of the tasks' seqs that the caller knows.
    """

    def __init__(
        self,
        send: Send,
        *,
        start: int,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        apart_seconds: float = APART_SECONDS,
    ) -> None:
        self._send = send
        self._seen = start
        self._sent = -1.0
        self._sent_at = -math.inf
        self._last = ""
        self._last_state = ""
        self._newest: tuple[int, str] | None = None
        self._news = anyio.Event()
        self._heartbeat_seconds = heartbeat_seconds
        self._apart_seconds = apart_seconds
        self._begun = anyio.current_time()

    async def tell(self, task: Task, event: Event) -> None:
        """Take note of an event; it is sent by `run`, unless a newer one comes first."""
        self._seen += 1
        if event.type is EventType.SCREENSHOT or self._repeats(event):
            return  # it says nothing that the step beside it does not
        step = f"step {event.step}/{task.request.max_steps}: " if event.step else _whose(event)
        said = clean_line(event.text, limit=_MAX_MESSAGE) or str(event.type)
        self._newest = self._seen, clean_line(f"{step}{said}", limit=_MAX_MESSAGE)
        self._news.set()

    def _repeats(self, event: Event) -> bool:
        if event.type is not EventType.PROGRESS:
            return False
        before, self._last_state = self._last_state, event.text
        return before == event.text

    async def run(self) -> None:
        """Send what comes, for ever."""
        while True:
            with anyio.move_on_after(self._heartbeat_seconds) as silence:
                await self._news.wait()
            if silence.cancelled_caught:
                await self._beat()
            else:
                await self._tell_newest()
            await anyio.sleep(self._apart_seconds)

    async def flush(self) -> None:
        """Send what waits to be sent, if it may be sent now."""
        if anyio.current_time() - self._sent_at >= self._apart_seconds:
            await self._tell_newest()

    async def _tell_newest(self) -> None:
        newest, self._newest = self._newest, None
        self._news = anyio.Event()
        if newest is not None and newest[1] != self._last and newest[0] > self._sent:
            await self._say(float(newest[0]), newest[1])

    async def _beat(self) -> None:
        waited = anyio.current_time() - self._begun
        # Between the last number and the next whole one: progress must grow, and the next event's number must not be reached.
        floor = max(self._sent, float(self._seen))
        await self._say((floor + math.floor(floor) + 1) / 2, f"No news from Northstar; waiting for {waited:.0f} s.")

    async def _say(self, progress: float, message: str) -> None:
        self._sent, self._sent_at, self._last = progress, anyio.current_time(), message
        await self._send(progress, None, message)


def _whose(event: Event) -> str:
    """Says that words are Northstar's, or a page's, where nothing else does: others in progress are this server's."""
    is_ours = event.upstream_type is None
    return "" if is_ours or event.text.startswith("Northstar ") else "Northstar: "


@asynccontextmanager
async def reporting(call: Call, *, start: int) -> AsyncIterator[Callable[[Task, Event], Awaitable[None]]]:
    """What a wait tells its events to, while the block runs. Where the client did not ask for progress, the SDK sends nothing.

    The sender runs in a task group of this context manager's own, and has sent its last once the block has been left.
    """
    reporter = Reporter(call.context.report_progress, start=start)
    async with beside(lambda _: _safely(reporter.run)):
        yield reporter.tell
        with anyio.move_on_after(_FLUSH_SECONDS):
            await _safely(reporter.flush)


async def _safely(send: Callable[[], Awaitable[None]]) -> None:
    try:
        await send()
    except Exception as error:  # noqa: BLE001 - whatever a broken transport raises: the task and the wait go on
        _log.info("progress is not told any more: %s", type(error).__name__)

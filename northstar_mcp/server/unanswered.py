"""A bound on the requests of one connection that wait for their answers.

The SDK works on every request at once, so the answers of a host that sends and never reads would pile up here. Beyond the bound nothing
more is read from that host until some of them were taken. For connections that are a pair of streams: stdio.py, and the keeper's.
"""

from contextvars import Context
from typing import Final, Protocol, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

MAX_UNANSWERED: Final = 256

_Read = SessionMessage | Exception


class Reader(Protocol):
    """The SDK's side that messages come from."""

    last_context: Context | None

    async def receive(self) -> _Read: ...
    async def aclose(self) -> None: ...


class Writer(Protocol):
    """The SDK's side that messages go to."""

    async def send(self, item: SessionMessage, /) -> None: ...
    async def aclose(self) -> None: ...


class Unanswered:
    """The requests of one connection without an answer."""

    def __init__(self, *, limit: int = MAX_UNANSWERED) -> None:
        self._limit = limit
        self._waiting: set[str | int] = set()
        self._fewer = anyio.Event()

    async def room(self) -> None:
        """Wait until one more may be read."""
        while len(self._waiting) >= self._limit:
            await self._fewer.wait()

    def came(self, read: _Read) -> None:
        """This was read. A request that the host gives up gets no answer that would have to be kept."""
        message = read.message if isinstance(read, SessionMessage) else None
        if isinstance(message, JSONRPCRequest):
            self._waiting.add(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._forget((message.params or {}).get("requestId"))

    def went(self, message: SessionMessage) -> None:
        """This was taken by the host."""
        if isinstance(message.message, JSONRPCResponse | JSONRPCError):
            self._forget(message.message.id)

    def _forget(self, identity: object) -> None:
        if isinstance(identity, str | int):
            self._waiting.discard(identity)
            self._fewer.set()
            self._fewer = anyio.Event()


class BoundedReader:
    """Reads no more while too much is unanswered."""

    def __init__(self, inner: Reader, unanswered: Unanswered) -> None:
        self._inner = inner
        self._unanswered = unanswered

    @property
    def last_context(self) -> Context | None:
        """The SDK runs each handler in the context that its message was read in."""
        return self._inner.last_context

    async def receive(self) -> _Read:
        await self._unanswered.room()
        read = await self._inner.receive()
        self._unanswered.came(read)
        return read

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Read:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class BoundedWriter:
    """Tells what was taken."""

    def __init__(self, inner: Writer, unanswered: Unanswered) -> None:
        self._inner = inner
        self._unanswered = unanswered

    async def send(self, item: SessionMessage, /) -> None:
        await self._inner.send(item)
        self._unanswered.went(item)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def bounded(read: Reader, write: Writer) -> tuple[BoundedReader, BoundedWriter]:
    """The same connection with a bound on what is unanswered."""
    unanswered = Unanswered()
    return BoundedReader(read, unanswered), BoundedWriter(write, unanswered)

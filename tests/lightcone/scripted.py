"""A server on a real socket that answers by script.

Its steps are those of the recordings in `wire/`, and it keeps what it was sent.

A step is an object: `status`, `json` or `text` (with `ct`, `headers`), `raw` bytes, `sse` (pieces, and numbers for
pauses), `drop` (close without a word), `abort` (break off after the pieces), `delay`. A number pauses for a moment,
`HOLD` until the client has gone: nothing here waits for a time that a test depends on.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

WIRE: Final = Path(__file__).parent / "wire"
HOLD: Final = "\0hold"

PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


def recording(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((WIRE / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def bytes_of(piece: str) -> bytes:
    """A recorded piece: one character per byte where that is possible, else plain text."""
    try:
        return piece.encode("latin-1")
    except UnicodeEncodeError:
        return piece.encode("utf-8")


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass
class Scripted:
    steps: list[Mapping[str, Any]]
    port: int = 0
    requests: list[Seen] = field(default_factory=list)
    handlers: set[asyncio.Task[None]] = field(default_factory=set)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handlers.add(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (seen := await _read(reader)) is not None:
                self.requests.append(seen)
                self.arrived.set()
                step = self.steps.pop(0) if self.steps else {"status": 500, "text": "the script is over"}
                if not await self._answer(step, reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.disconnected.set()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(
        self, step: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """True where the connection can be used again."""
        if step.get("drop"):
            return False
        if "delay" in step:
            await reader.read()  # nothing more comes: the client has gone
            return False
        headers = dict(step.get("headers", {}))
        if "sse" in step:
            headers = {"Content-Type": step.get("ct", "text/event-stream"), **headers, "Transfer-Encoding": "chunked"}
            writer.write(_head(step.get("status", 200), headers))
            return await _stream(step, reader, writer)
        body = step.get("raw")
        if body is None:
            body = json.dumps(step["json"]).encode() if "json" in step else step.get("text", "").encode()
        headers = {"Content-Type": step.get("ct", "application/json"), "Content-Length": str(len(body)), **headers}
        status = step.get("status", 200)
        writer.write(_head(status, headers) + (b"" if status == 204 else body))
        await writer.drain()
        return True


async def _stream(step: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    for piece in step["sse"]:
        if piece == HOLD:
            await reader.read()
            return False
        if isinstance(piece, int | float):
            await asyncio.sleep(0.01)
            continue
        data = piece if isinstance(piece, bytes) else bytes_of(piece)
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await writer.drain()
    if step.get("abort"):
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    if status == 204:
        headers = {name: value for name, value in headers.items() if name != "Content-Length"}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, path, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, path, headers, body)


@asynccontextmanager
async def scripted(steps: Sequence[Mapping[str, Any]]) -> AsyncIterator[Scripted]:
    """The server, while the block lasts."""
    script = Scripted(list(steps))
    server = await asyncio.start_server(script.accept, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        # `Server.wait_closed` does not wait for handlers. They end once the client has closed its connections;
        # a connection given up before it was accepted still gets its handler in the next rounds of the loop.
        for _ in range(5):
            await asyncio.sleep(0)
        if script.handlers:
            await asyncio.wait(script.handlers, timeout=5)

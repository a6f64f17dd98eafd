"""The keeper's work: one engine, one MCP server over it, a connection for each host; and its end, when nobody needs it.

Bounds: MAX_HOSTS conversations, for each of them one line that is not whole (wire.MAX_LINE) and MAX_TEXTS lines for its standard error.
A host that does not take what it asked for holds up its own conversation and no other.
"""

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server import MCPServer
from mcp.server.stdio import stdio_server

from northstar_mcp import __version__
from northstar_mcp.app import build_server, configure_logging, open_app
from northstar_mcp.errors import NorthstarError
from northstar_mcp.keeper.logs import TELL_HOST, KeeperLog
from northstar_mcp.keeper.peers import user_of
from northstar_mcp.keeper.place import Place
from northstar_mcp.keeper.wire import BYE, FRONT, FULL, STATUS, STOP, TEXT, WELCOME, Lines
from northstar_mcp.server.signals import an_end
from northstar_mcp.server.unanswered import bounded
from northstar_mcp.settings import Settings
from northstar_mcp.tasks.engine import Engine

MAX_HOSTS: Final = 256
MAX_TEXTS: Final = 100
_FIRST_WORD_SECONDS: Final = 10.0
_FAREWELL_SECONDS: Final = 1.0
_PART: Final = 65536

_log = logging.getLogger(__name__)


def serve(place: Place, *, on_ready: Callable[[], None]) -> None:
    """Be the keeper of this place until a signal, a STOP or idleness ends it. `on_ready` is called once it serves.

    Raises:
        SettingsInvalid: If the configuration cannot be used.
        LedgerUnavailable: If the disk does not allow it.
        OSError: If its socket cannot be made.
    """
    settings = Settings.load()
    configure_logging(settings, KeeperLog(Path(place.log), 2))
    os.chdir("/")  # the host's folder may be removed
    anyio.run(partial(_serve, place, settings, on_ready=on_ready))


async def _serve(place: Place, settings: Settings, *, on_ready: Callable[[], None]) -> None:
    async with (
        an_end() as end,
        await anyio.create_unix_listener(place.socket, mode=0o600) as listener,
        open_app(settings) as engine,
        anyio.create_task_group() as group,
    ):
        keeper = _Keeper(engine=engine, server=build_server(engine=engine), end=end, facts=_facts_of(place, settings))
        group.start_soon(listener.serve, keeper.take)
        group.start_soon(keeper.end_when_idle, settings.keeper_idle_seconds)
        on_ready()
        _log.info("serving as keeper %s, pid %d", place.name, os.getpid())
        await end.wait()
        _log.info("ending")
        await anyio.Path(place.socket).unlink(missing_ok=True)  # whoever comes now waits for the next keeper
        await keeper.say_goodbye()
        group.cancel_scope.cancel()


def _facts_of(place: Place, settings: Settings) -> dict[str, Any]:
    return {
        "name": place.name,
        "pid": os.getpid(),
        "version": __version__,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "data_dir": str(settings.data_dir),
        "log": place.log,
    }


@dataclass(kw_only=True)
class _Keeper:
    """What all conversations share.

    Attributes:
        facts: What `status` is told, beside what changes.
    """

    engine: Engine
    server: MCPServer[Engine]
    end: anyio.Event
    facts: dict[str, Any]
    hosts: set["_Host"] = field(default_factory=set)

    async def take(self, link: SocketStream) -> None:
        """Serve one connection to its end. Nothing that goes wrong with it concerns the others."""
        async with link:
            try:
                user = user_of(link.extra(SocketAttribute.raw_socket))  # noqa: S610 - anyio's, not Django's
                if user != os.getuid():
                    _log.warning("user %d is not the one whose keeper this is, and was turned away", user)
                    return
                await self._answer(link, await _first_word(link))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                _log.debug("a host is gone")
            except Exception:  # noqa: BLE001 - the others go on
                _log.exception("a conversation broke off")

    async def _answer(self, link: SocketStream, word: bytes) -> None:
        if word == FRONT and len(self.hosts) >= MAX_HOSTS:
            await link.send(FULL)
        elif word == FRONT:
            await self._converse(link)
        elif word in (STATUS, STOP):
            await link.send(await self._report())
            if word == STOP:
                self.end.set()

    async def _converse(self, link: SocketStream) -> None:
        lowlevel = self.server._lowlevel_server  # noqa: SLF001 - MCPServer runs on its own standard input only
        send, texts = anyio.create_memory_object_stream[str](MAX_TEXTS)
        host = _Host(link, send)
        self.hosts.add(host)
        TELL_HOST.set(host.tell)
        try:
            await link.send(WELCOME)
            with send, texts:
                async with anyio.create_task_group() as group:
                    group.start_soon(host.pass_on, texts)
                    async with stdio_server(stdin=cast("Any", host.lines()), stdout=cast("Any", host)) as (read, write):
                        await lowlevel.run(*bounded(read, write), lowlevel.create_initialization_options())
                    group.cancel_scope.cancel()
        finally:
            self.hosts.discard(host)

    async def _report(self) -> bytes:
        import json

        unfinished = await self._unfinished()
        facts = {**self.facts, "hosts": len(self.hosts), "unfinished": None if unfinished is None else len(unfinished)}
        return json.dumps(facts).encode() + b"\n"

    async def say_goodbye(self) -> None:
        """Let every host's front know that this is an end in order."""
        with anyio.move_on_after(_FAREWELL_SECONDS):
            async with anyio.create_task_group() as group:
                for host in self.hosts:
                    group.start_soon(host.say, BYE)

    async def end_when_idle(self, seconds: float) -> None:
        """Set `end` when there has been no host and no unfinished task for so long."""
        idle_since = anyio.current_time()
        while anyio.current_time() - idle_since < seconds:
            await anyio.sleep(min(1.0, seconds / 4))
            if self.hosts or await self._unfinished() != ():
                idle_since = anyio.current_time()
        self.end.set()

    async def _unfinished(self) -> tuple[str, ...] | None:
        """Tasks that may need this process; None where that cannot be known, since the record cannot be read."""
        try:
            return await self.engine.unfinished()
        except NorthstarError as error:
            _log.warning("it cannot be told whether tasks are unfinished: %s", error)
            return None


class _Host:
    """One host's conversation: to the SDK, a standard input and output."""

    def __init__(self, link: SocketStream, texts: MemoryObjectSendStream[str]) -> None:
        self._link = link
        self._turn = anyio.Lock()
        self._texts = texts

    async def lines(self) -> AsyncIterator[bytes]:
        """What the host says, until it says nothing more."""
        cutter = Lines()
        while True:
            try:
                received = await self._link.receive(_PART)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return
            for line in cutter.cut(received):
                yield line

    async def write(self, text: str) -> None:
        await self.say(text.encode("utf-8", "replace"))

    async def flush(self) -> None:
        """Every line is sent when it is written."""

    async def say(self, line: bytes) -> None:
        """Send a whole line. Where the host is gone it goes nowhere: the end of its input tells of that."""
        try:
            async with self._turn:
                await self._link.send(line)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            _log.debug("a host is gone")

    def tell(self, text: str) -> None:
        """A line for the host's standard error, as soon as it takes one; beyond MAX_TEXTS they are in the log only."""
        with suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._texts.send_nowait(text)

    async def pass_on(self, texts: MemoryObjectReceiveStream[str]) -> None:
        async for text in texts:
            for line in text.splitlines():
                await self.say(TEXT + line.encode("utf-8", "replace") + b"\n")


async def _first_word(link: SocketStream) -> bytes:
    """The first line; nothing where it does not come, or is none of ours."""
    word = b""
    with anyio.move_on_after(_FIRST_WORD_SECONDS):
        while not word.endswith(b"\n") and len(word) < len(STATUS) * 4:
            try:
                word += await link.receive(64)
            except anyio.EndOfStream:
                break
    return word

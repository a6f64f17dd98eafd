"""A small MCP server in a process of its own, for tests of the transports.

    python -m tests.app.small_server JOURNAL stdio|http [NAME=VALUE ...]

What its lifespan does is written to the descriptor JOURNAL, a line each. Options: `opening=fails` and `closing=hangs` make the lifespan
do so; `closing_seconds`, `host`, `port`, `health=fails`, `allowed_hosts` and `allowed_origins` go to the transport. Over HTTP, the
endpoint's URL is written to the journal when it is ready.
"""

import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
from mcp.server import MCPServer

from northstar_mcp.errors import LedgerUnavailable, NorthstarError

Note: TypeAlias = Callable[[str], None]


def make(note: Note, options: Mapping[str, str]) -> MCPServer[None]:
    """The server."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        if options.get("opening") == "fails":
            raise LedgerUnavailable("the disk is full")
        note("opened")
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                note("closing")
                if options.get("closing") == "hangs":
                    await anyio.sleep_forever()
                await anyio.lowlevel.checkpoint()
                note("closed")

    server: MCPServer[None] = MCPServer("small", version="1", lifespan=lifespan)

    @server.tool(description="Says it back")
    async def echo(text: str) -> str:
        return text

    @server.tool(description="Never answers")
    async def wait() -> None:
        note("waiting")
        try:
            await anyio.sleep_forever()
        finally:
            note("freed")

    @server.tool(description="Answers with much")
    async def much() -> str:
        return "x" * 1_000_000

    @server.tool(description="Writes to standard output and reads standard input, as a careless library would")
    def noise() -> str:
        print("noise", flush=True)
        return repr(subprocess.run(["/bin/cat"], stdout=subprocess.PIPE, check=True).stdout)

    return server


async def main(journal: int, transport: str, options: Mapping[str, str]) -> None:
    """Serve."""

    def note(what: str) -> None:
        os.write(journal, f"{what}\n".encode())

    server = make(note, options)
    if transport == "stdio":
        from northstar_mcp.server import stdio

        await stdio.serve(server, closing_seconds=float(options.get("closing_seconds", "10")))
    else:
        await serve_http(server, note, options)


async def serve_http(server: MCPServer[None], note: Note, options: Mapping[str, str]) -> None:
    """Serve with the options that are meant for this transport."""
    from northstar_mcp.server import http

    async def health() -> Mapping[str, object]:
        if options.get("health") == "fails":
            raise LedgerUnavailable("the disk is full: /secret/path")
        return {"following": 0}

    lists: dict[str, Any] = {
        name: frozenset(filter(None, options[name].split(",")))
        for name in ("allowed_hosts", "allowed_origins")
        if name in options
    }
    host, port = options.get("host", "127.0.0.1"), int(options.get("port", "0"))
    await http.serve(server, host=host, port=port, on_ready=note, health=health, **lists)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        anyio.run(main, int(sys.argv[1]), sys.argv[2], dict(option.split("=", 1) for option in sys.argv[3:]))
    except NorthstarError as error:
        sys.exit(f"{type(error).__name__}: {error}")

"""Serves streamable HTTP on loopback: the MCP endpoint, and a page that says whether the server is well.

Nothing is written to standard output, and no request is logged. Whatever the address, the headers Host and Origin are checked, so
that no web page can reach the server through a visitor's browser. This file knows sockets and uvicorn; what is served is the server's
matter.
"""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import override

from northstar_mcp.errors import NorthstarError, SettingsInvalid
from northstar_mcp.server.signals import an_end

ENDPOINT: Final = "/mcp"
HEALTH: Final = "/healthz"
GRACE_SECONDS: Final = 0.3
"""What is being answered when the server ends has this long to be finished, and this long again to notice that it is not wanted."""

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than clients keep an idle connection: it is for them to close it, or a request may cross with the closing."""

_LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")

Health = Callable[[], Awaitable[Mapping[str, object]]]


async def _well() -> Mapping[str, object]:
    return {}


async def serve(
    server: MCPServer[Any],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    allowed_hosts: frozenset[str] | None = None,
    allowed_origins: frozenset[str] | None = None,
    stateless: bool = False,
    on_ready: Callable[[str], None] = lambda _url: None,
    health: Health = _well,
) -> None:
    """Serve until SIGTERM or SIGINT comes, or until cancelled; return when the server's lifespan has been left.

    Args:
        host: An address of this machine's loopback.
        port: 0 takes a free one.
        allowed_hosts: Host headers that are answered; None for the loopback names with any port.
        allowed_origins: Origin headers that are answered; None for this server's own. Requests without one pass.
        stateless: Clients before 2026-07-28 get no session either, so that any of several servers can answer each of their requests;
            the server can tell and ask them something only while it answers one.
        on_ready: Called with the endpoint's URL as soon as connections are accepted.
        health: What /healthz adds to its answer; a NorthstarError makes it a 503.

    Raises:
        SettingsInvalid: If the address may not be used, or cannot.
    """
    with _listener(loopback_address(host), port) as listener:
        port = listener.getsockname()[1]
        security = _security(port, allowed_hosts, allowed_origins)
        server.custom_route(HEALTH, methods=["GET"])(_health_page(security, health))
        app = server.streamable_http_app(
            streamable_http_path=ENDPOINT, stateless_http=stateless, transport_security=security
        )
        # The lifespan is entered here and not by uvicorn, which would turn a failure into an exit of the process.
        async with an_end() as end, app.router.lifespan_context(app):
            await _run(app, listener, end, lambda: on_ready(f"http://{_written(host)}:{port}{ENDPOINT}"))


def loopback_address(host: str) -> str:
    """The address to bind to.

    Raises:
        SettingsInvalid: If it is not loopback.
    """
    if host.lower() == "localhost":
        return "127.0.0.1"
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise SettingsInvalid(
            f"The HTTP server cannot listen on {host}: it has no authentication yet, so whoever reaches it could start tasks "
            "on this key and read their screens.",
            remedy="Listen on 127.0.0.1 or ::1, and put a proxy that authenticates in front of it (set allowed_hosts then).",
            sent=False,
        )
    return host


async def _run(app: Starlette, listener: socket.socket, end: anyio.Event, on_ready: Callable[[], None]) -> None:
    """Run uvicorn up to the end. Cancelling it would leave its requests behind: it is told to end instead, and waited for."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    async with anyio.create_task_group() as group:
        group.start_soon(_shielded, _Uvicorn(config, end, on_ready), listener)
        try:
            await end.wait()
        finally:
            end.set()


async def _shielded(running: "_Uvicorn", listener: socket.socket) -> None:
    with anyio.CancelScope(shield=True):
        await running.serve(sockets=[listener])


class _Uvicorn(uvicorn.Server):
    """uvicorn, told by an event when to end, quick to end, and leaving signals to us."""

    def __init__(self, config: uvicorn.Config, end: anyio.Event, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._end = end
        self._on_ready = on_ready

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    @override
    async def main_loop(self) -> None:
        await self._end.wait()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams never end by themselves, so: a moment for answers, then the connections, then whatever still works."""
        for accepting in self.servers:
            accepting.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._requests_end()
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await self._requests_end()
        for request in list(self.server_state.tasks):
            request.cancel()
        await self._requests_end()

    async def _requests_end(self) -> None:
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=GRACE_SECONDS)


def _health_page(security: TransportSecuritySettings, health: Health) -> Callable[[Request], Awaitable[Response]]:
    check = TransportSecurityMiddleware(security)  # the SDK guards its own endpoint only

    async def page(request: Request) -> Response:
        if (refusal := await check.validate_request(request)) is not None:
            return refusal
        try:
            return JSONResponse({"status": "ok", **await health()})
        except NorthstarError as error:
            return JSONResponse({"status": "unavailable", "category": error.category}, status_code=503)

    return page


def _security(
    port: int, allowed_hosts: frozenset[str] | None, allowed_origins: frozenset[str] | None
) -> TransportSecuritySettings:
    if allowed_hosts is None:
        # Any port: a tunnel may end at another one. What counts is that no name of a stranger's is answered.
        allowed_hosts = frozenset(_LOOPBACK_NAMES) | {f"{name}:*" for name in _LOOPBACK_NAMES}
    if allowed_origins is None:
        allowed_origins = frozenset(f"http://{name}:{port}" for name in _LOOPBACK_NAMES)
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=sorted(allowed_hosts),
        allowed_origins=sorted(allowed_origins),
    )


def _listener(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it a small answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        raise SettingsInvalid(
            f"The HTTP server cannot listen on port {port} of {address}: {getattr(error, 'strerror', None) or error}.",
            remedy="End the program that uses the port, or choose another with --port (0 takes a free one).",
            sent=False,
        ) from error
    return listener


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host

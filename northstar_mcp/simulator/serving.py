"""Serves the app on a socket with uvicorn: no log lines, nothing on stdout, a clean and quick stop.

`serve` is for a process of its own, `running` for tests in process (a real socket all the same). The protocol class
remembers each connection's transport, so that an injected fault can close it; that is the only reason why it is a class
of our own.
"""

import asyncio
import socket
from asyncio import Transport
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio
import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from northstar_mcp.simulator.app import app_of
from northstar_mcp.simulator.faults import Faults
from northstar_mcp.simulator.journal import Journal
from northstar_mcp.simulator.settings import SimulatorSettings
from northstar_mcp.simulator.simulation import Simulation

GRACE_SECONDS: Final = 0.5


class OpenConnections:
    """The transport of every open connection, by its client's address."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], Transport] = {}

    def opened(self, client: tuple[str, int], transport: Transport) -> None:
        """Remember a connection."""
        self._transports[client] = transport

    def closed(self, client: tuple[str, int]) -> None:
        """Forget it."""
        self._transports.pop(client, None)

    def drop(self, client: tuple[str, int]) -> None:
        """Close a connection after what was already sent."""
        transport = self._transports.pop(tuple(client), None)  # type: ignore[arg-type,unused-ignore]
        if transport is not None:
            transport.close()


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 connection, which also reports itself to `OpenConnections`."""

    @override
    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client is not None:
            self._open.opened(self.client, transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.client is not None:
            self._open.closed(self.client)

    @property
    def _open(self) -> OpenConnections:
        connections: OpenConnections = self.app_state.setdefault("connections", OpenConnections())
        return connections


class _Server(uvicorn.Server):
    """uvicorn's server, told by an event when to stop, and leaving signals to whoever runs the event loop."""

    def __init__(self, config: uvicorn.Config, simulation: Simulation) -> None:
        super().__init__(config)
        self._simulation = simulation
        self.ready = anyio.Event()
        self.stopping = anyio.Event()

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()

    @override
    async def main_loop(self) -> None:
        await self.stopping.wait()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams end, what is in flight has a moment to finish, then everything is closed."""
        self._simulation.close_streams()
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=GRACE_SECONDS)
        for task in list(self.server_state.tasks):
            task.cancel()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks)
        await self.lifespan.shutdown()


@asynccontextmanager
async def running(
    settings: SimulatorSettings | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    journal: Journal | None = None,
    faults: Faults | None = None,
) -> AsyncIterator[str]:
    """A simulator on a real socket for the length of a block; yields its base URL. Port 0 takes a free one."""
    simulation = Simulation(settings or SimulatorSettings(), journal=journal, faults=faults)
    listener = _listener(host, port)
    config = uvicorn.Config(
        app_of(simulation),
        http=Connection,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
    )
    server = _Server(config, simulation)
    failure: Exception | None = None
    with listener:
        async with anyio.create_task_group() as group:
            group.start_soon(_shielded, server, listener)
            try:
                await server.ready.wait()
                yield f"http://{_written(host)}:{listener.getsockname()[1]}"
            except Exception as error:  # noqa: BLE001 - raised below, outside the group, which would wrap it
                failure = error
            finally:
                server.stopping.set()
    if failure is not None:
        raise failure


async def serve(
    settings: SimulatorSettings,
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[str], None] = lambda _base_url: None,
) -> None:
    """Serve until cancelled; `on_ready` is called with the base URL as soon as connections are accepted."""
    async with running(settings, host=host, port=port) as base_url:
        on_ready(base_url)
        await anyio.sleep_forever()


async def _shielded(server: _Server, listener: socket.socket) -> None:
    """Cancelling uvicorn in the middle would leave its lifespan open: it is told to stop instead, and waited for."""
    with anyio.CancelScope(shield=True):
        await server.serve(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it small replies wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host

"""The MCP server over the core: which tools and resources there are, and what runs while it serves.

It is given a way to open an engine and knows neither settings nor transports (stdio.py, http.py).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from mcp.server import CacheHint, MCPServer

from northstar_mcp.server.catalogue import OFFERS
from northstar_mcp.server.completions import add_completions
from northstar_mcp.server.handles.extension import TasksExtension
from northstar_mcp.server.handles.legacy import LegacyTasks
from northstar_mcp.server.handles.ours import OurHandles
from northstar_mcp.server.handles.port import Handles
from northstar_mcp.server.instructions import INSTRUCTIONS
from northstar_mcp.server.live_view import extension, offer
from northstar_mcp.server.prompts import add_prompts
from northstar_mcp.server.resources import add_resources, task_list
from northstar_mcp.server.sealing import RequestStates
from northstar_mcp.server.subscriptions import Subscriptions
from northstar_mcp.tasks.beside import beside
from northstar_mcp.tasks.engine import Engine

_FOREVER = CacheHint(ttl_ms=3_600_000, scope="public")  # what does not change while a server runs
_FOREVER_HERE = CacheHint(ttl_ms=3_600_000, scope="private")  # nor that, but a client that renders apps is listed more


def make_server(
    open_engine: Callable[[], AbstractAsyncContextManager[Engine]], *, version: str, handles: Handles | None = None
) -> MCPServer[Engine]:
    """A server whose tools work with the engine that `open_engine` opens, once per run of the server.

    Nothing is opened before the server is run; listing tools needs no key. A server may run several connections at once: then each
    enters `open_engine`, which should give all of them the same engine.

    Args:
        handles: Which calls are answered later, and by whom; ours where it is left out.
    """
    handles = handles or OurHandles()
    subscriptions = Subscriptions(lambda: server.list_resources())
    states = RequestStates()
    tasks_extension = TasksExtension(handles)
    open_now: list[Engine] = []

    @asynccontextmanager
    async def lifespan(_: MCPServer[Engine]) -> AsyncIterator[Engine]:
        async with open_engine() as engine:
            open_now.append(engine)
            try:
                async with beside(lambda _: subscriptions.run(engine)):
                    yield engine
            finally:
                open_now.remove(engine)

    server = MCPServer(
        name="northstar-mcp",
        title="Northstar",
        instructions=INSTRUCTIONS,
        version=version,
        tools=[each.tool() for each in (*OFFERS, offer.OFFER)],
        resources=[task_list(lambda: open_now[-1])],
        lifespan=lifespan,
        subscriptions=subscriptions.bus,
        extensions=[extension.apps(), tasks_extension],
        middleware=[
            subscriptions.middleware,
            tasks_extension.middleware,
            LegacyTasks(handles).middleware,
            extension.hide_from_others,
        ],
        request_state_security=states.security,
        cache_hints={"tools/list": _FOREVER_HERE, "resources/templates/list": _FOREVER},
        log_level="WARNING",
    )
    states.install(server)
    add_resources(server)
    add_prompts(server)
    add_completions(server, lambda: open_now[-1])
    return server

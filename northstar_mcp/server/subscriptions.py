"""Updates of resources, to whoever subscribed, in both protocol eras.

Clients of 2026-07-28 open a `subscriptions/listen` stream, which the SDK serves from a bus. Older ones call `resources/subscribe`,
which `MCPServer` does not know: the middleware here does. Both are fed by one look-out for changes of tasks, which runs only while
somebody is subscribed. An update says "read it again", so a burst of changes is told once; nothing is replayed.

Bounds: so many connections, so many resources each; a client that does not take an update in time is dropped.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated, ServerEvent
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, INVALID_REQUEST, Resource, SubscribeRequestParams, UnsubscribeRequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from typing_extensions import override

from northstar_mcp.errors import NotFound
from northstar_mcp.server.principals import principal
from northstar_mcp.server.resources import TASKS, task_of, task_uris
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import EventType
from northstar_mcp.tasks.watching import find

COALESCE_SECONDS: Final = 0.25  # the shortest time between two updates of one resource
MAX_CONNECTIONS: Final = 1024
MAX_RESOURCES: Final = 256  # of one connection
_SEND_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 2.0
_IDLE_SECONDS: Final = 30.0  # how long the look-out goes on after the last subscriber has gone
_KNOWN_TASKS: Final = 1024
_NEWEST: Final = 10  # events looked at for a picture, of a task not seen before

_log = logging.getLogger(__name__)


@dataclass
class _Subscriber:
    """One connection of the older era, and what it wants to hear of."""

    session: ServerSession
    uris: set[str] = field(default_factory=set)


class _Bus(InMemorySubscriptionBus):
    """The SDK's bus, which says whether anybody listens."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self.streams = 0
        self._wake = wake

    @override
    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        unsubscribe = super().subscribe(listener)
        self.streams += 1
        self._wake()
        open_still = [True]

        def leave() -> None:
            self.streams -= open_still[0]
            open_still[0] = False
            unsubscribe()

        return leave


class Subscriptions:
    """Who wants to hear of what, on one server. `run` tells them.

    Args:
        listed: What the server lists for everybody. It can be subscribed to, beside the resources of a caller's own tasks.
    """

    def __init__(self, listed: Callable[[], Awaitable[Iterable[Resource]]]) -> None:
        self._listed = listed
        self.bus = _Bus(self._wake)
        self._subscribers: dict[object, _Subscriber] = {}
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._somebody = anyio.Event()
        self._turn = anyio.Lock()

    @property
    def wanted(self) -> bool:
        """Whether anybody is subscribed to anything."""
        return bool(self.bus.streams) or any(subscriber.uris for subscriber in self._subscribers.values())

    async def run(self, engine: Engine) -> None:
        """Tell of changes, for ever. Where a server runs several connections, each may call this: one at a time tells."""
        async with self._turn:
            while True:
                await self._somebody.wait()
                try:
                    await self._look_out(engine)
                except Exception:  # noqa: BLE001 - updates are a convenience: the server goes on without them, and they are tried again
                    _log.warning("subscribers could not be told of changes; it is tried again", exc_info=True)
                    await anyio.sleep(_RETRY_SECONDS)

    async def _look_out(self, engine: Engine) -> None:
        with engine.feed.watch() as watch:
            while self.wanted:
                changed: frozenset[str] = frozenset()
                with anyio.move_on_after(_IDLE_SECONDS):
                    changed = await watch.changed()
                if changed:
                    await self._tell([TASKS, *await self._touched(engine, changed)])
                    await anyio.sleep(COALESCE_SECONDS)
        if not self.wanted:
            self._somebody = anyio.Event()

    async def _touched(self, engine: Engine, task_ids: Iterable[str]) -> list[str]:
        uris: list[str] = []
        for task_id in task_ids:
            own, events, screenshot = task_uris(task_id)
            uris += (own, events)
            if await self._has_new_picture(engine, task_id):
                uris.append(screenshot)
        return uris

    async def _has_new_picture(self, engine: Engine, task_id: str) -> bool:
        task = await engine.ledger.get(task_id)
        if task is None:
            return False
        after = self._seen.pop(task_id, task.seq - _NEWEST)
        self._seen[task_id] = task.seq
        if len(self._seen) > _KNOWN_TASKS:
            self._seen.popitem(last=False)
        newer = await engine.ledger.events(task_id, after=max(0, after))
        return any(event.type is EventType.SCREENSHOT for event in newer)

    async def _tell(self, uris: Iterable[str]) -> None:
        for uri in uris:
            await self.bus.publish(ResourceUpdated(uri=uri))
            for subscriber in list(self._subscribers.values()):
                if uri in subscriber.uris and not await _sent(subscriber.session, uri):
                    _log.warning("a client takes no updates, and gets no more until it subscribes again")
                    subscriber.uris.clear()

    # ---- the older era

    async def middleware(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """What `MCPServer` lacks for clients before 2026-07-28."""
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or not _can_be_told(ctx):
            return await call_next(ctx)
        match ctx.method:
            case "resources/subscribe":
                asked = SubscribeRequestParams.model_validate(ctx.params or {}, by_name=False)
                await self._subscribe(ctx, str(asked.uri))
                return {}
            case "resources/unsubscribe":
                left = UnsubscribeRequestParams.model_validate(ctx.params or {}, by_name=False)
                self._unsubscribe(ctx, str(left.uri))
                return {}
        result = await call_next(ctx)
        if ctx.method == "initialize" and isinstance(result, dict):
            result["capabilities"]["resources"] = {"subscribe": True, "listChanged": False}
        return result

    async def _subscribe(self, ctx: ServerRequestContext[Engine, Any], uri: str) -> None:
        await self._check_known(ctx.lifespan_context, uri)
        uris = self._subscriber(ctx).uris
        if uri not in uris and len(uris) >= MAX_RESOURCES:
            raise MCPError(
                INVALID_REQUEST, f"At most {MAX_RESOURCES} resources of one connection can be subscribed to."
            )
        uris.add(uri)
        self._wake()

    async def _check_known(self, engine: Engine, uri: str) -> None:
        task_id = task_of(uri)
        if task_id is None and uri in {str(each.uri) for each in await self._listed()}:
            return
        unknown = MCPError(INVALID_PARAMS, "Unknown resource", data={"uri": uri})
        if task_id is None:
            raise unknown
        try:
            await find(engine, task_id, principal=principal())
        except NotFound:
            raise unknown from None

    def _unsubscribe(self, ctx: ServerRequestContext[Engine, Any], uri: str) -> None:
        subscriber = self._subscribers.get(_connection(ctx))
        if subscriber is not None:
            subscriber.uris.discard(uri)

    def _subscriber(self, ctx: ServerRequestContext[Engine, Any]) -> _Subscriber:
        """The connection's entry, which it keeps until it ends."""
        connection = _connection(ctx)
        if connection not in self._subscribers:
            if len(self._subscribers) >= MAX_CONNECTIONS:
                raise MCPError(INVALID_REQUEST, "Too many connections are subscribed on this server.")
            self._subscribers[connection] = _Subscriber(ctx.session)
            connection.exit_stack.callback(self._subscribers.pop, connection, None)
        return self._subscribers[connection]

    def _wake(self) -> None:
        self._somebody.set()


def _can_be_told(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client can hear of anything between its calls: not where HTTP is served without sessions."""
    return ctx.session.can_send_request


def _connection(ctx: ServerRequestContext[Any, Any]) -> Any:
    # A session is made anew for each request; only its connection tells two clients apart, and when one has gone.
    return ctx.session._connection  # noqa: SLF001 - the SDK shows it nowhere else


async def _sent(session: ServerSession, uri: str) -> bool:
    with anyio.move_on_after(_SEND_SECONDS):
        await session.send_resource_updated(uri)
        return True
    return False

"""Faults to order: answers that are replaced, delayed or cut off, by method and path.

`Faults` is the plan (used in process, or through POST /_simulator/faults); `FaultInjection` is the ASGI layer that
carries it out and writes every call into the journal. The app inside knows nothing of either. A connection is dropped
for real: the socket is closed.
"""

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal, Protocol, Self

import anyio
import anyio.lowlevel
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from northstar_mcp.simulator.journal import Journal

OWN_ROUTES: Final = "/_simulator/"


class Connections(Protocol):
    """What can close the socket that a request came by (see serving.py)."""

    def drop(self, client: tuple[str, int]) -> None:
        """Close it, sent bytes first."""


class Match(BaseModel):
    """Which requests: a method (`*` for any) and a path pattern, in which `*` stands for anything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = "*"
    path: str = "*"

    def fits(self, method: str, path: str) -> bool:
        """Whether a request is meant."""
        return self.method in {"*", method} and fnmatchcase(path, self.path)


class Deed(BaseModel):
    """What happens instead. `delay_seconds` comes before anything else and may stand alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    delay_seconds: Annotated[float, Field(ge=0)] = 0
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    body: str | dict[str, object] = ""
    headers: dict[str, str] = Field(default_factory=dict)
    processed: bool = False
    """With a status: the request is carried out all the same, only its answer is replaced."""

    drop: Literal["before_request", "before_response", "after_frames"] | None = None
    """Close the connection before anything is done; after the work, before the answer; after `count` data frames."""
    count: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _one_deed(self) -> Self:
        if self.status is not None and self.drop is not None:
            raise ValueError("give a status or a drop, not both")
        return self


class Fault(BaseModel):
    """One order: after `skip` fitting requests, the deed is done to the next `times`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: Match = Field(default_factory=Match)
    times: Annotated[int, Field(ge=1)] = 1
    skip: Annotated[int, Field(ge=0)] = 0
    do: Deed


@dataclass(slots=True)
class _Order:
    fault: Fault
    seen: int = 0
    done: int = 0


@dataclass(slots=True)
class Faults:
    """The plan: the oldest order that fits and is not used up is the one that acts."""

    _orders: list[_Order] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Order a fault."""
        if len(self._orders) >= 1_000:
            raise ValueError("too many faults are ordered")
        self._orders.append(_Order(fault))

    def clear(self) -> None:
        """Take every order back."""
        self._orders.clear()

    def take(self, method: str, path: str) -> Deed | None:
        """The deed for this request."""
        for order in self._orders:
            if order.done >= order.fault.times or not order.fault.match.fits(method, path):
                continue
            order.seen += 1
            if order.seen > order.fault.skip:
                order.done += 1
                return order.fault.do
        return None

    def describe(self) -> list[dict[str, object]]:
        """Every order and how often it acted."""
        return [{**order.fault.model_dump(mode="json"), "done": order.done} for order in self._orders]


class FaultInjection:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp, *, faults: Faults, journal: Journal) -> None:
        self._app = app
        self._faults = faults
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry out one request."""
        if scope["type"] != "http" or scope["path"].startswith(OWN_ROUTES):
            await self._app(scope, receive, send)
            return
        deed = self._faults.take(scope["method"], scope["path"])
        status: int | None = None

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await (self._app(scope, receive, noted) if deed is None else self._do(deed, scope, receive, noted))
        finally:
            fault = None if deed is None else deed.model_dump_json(exclude_defaults=True)
            query = scope["query_string"].decode("latin-1")
            self._journal.called(scope["method"], scope["path"], query, status=status, fault=fault)

    async def _do(self, deed: Deed, scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep(deed.delay_seconds)
        if deed.status is not None:
            if deed.processed:
                await self._until(scope, receive, send, frames=None)
            await _answer(deed, scope, receive, send)
        elif deed.drop is None:
            await self._app(scope, receive, send)
        else:
            if deed.drop != "before_request":
                await self._until(scope, receive, send, frames=deed.count if deed.drop == "after_frames" else None)
            await _drop(scope, receive)

    async def _until(self, scope: Scope, receive: Receive, send: Send, *, frames: int | None) -> None:
        """Run the app until it begins to answer, or until this many data frames have gone out; then it is left."""
        sent = 0
        with anyio.CancelScope() as running:

            async def counted(message: Message) -> None:
                nonlocal sent
                if frames is not None:
                    await send(message)
                    sent += b"data: " in message.get("body", b"")
                if frames is None or sent >= frames:
                    running.cancel()
                    await anyio.lowlevel.checkpoint()

            await self._app(scope, receive, counted)


async def _answer(deed: Deed, scope: Scope, receive: Receive, send: Send) -> None:
    if isinstance(deed.body, dict):
        kind = "application/problem+json" if (deed.status or 200) >= 400 else "application/json"
        response = Response(json.dumps(deed.body), deed.status or 200, deed.headers, media_type=kind)
    else:
        plain = None if any(name.lower() == "content-type" for name in deed.headers) else "text/plain"
        response = Response(deed.body, deed.status or 200, deed.headers, media_type=plain)
    await response(scope, receive, send)


async def _drop(scope: Scope, receive: Receive) -> None:
    """Close the socket, and wait until the server has noticed: it then sends nothing more by itself."""
    connections: Connections | None = scope.get("state", {}).get("connections")
    if connections is None:
        raise RuntimeError(
            "this server cannot drop connections: serve the simulator with simulator.serve or simulator.running"
        )
    connections.drop(scope["client"])
    while (await receive())["type"] != "http.disconnect":
        pass

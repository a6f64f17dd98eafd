"""The extension `io.modelcontextprotocol/tasks` of protocol 2026-07-28 (SEP-2663), over the port in port.py.

Source: modelcontextprotocol/ext-tasks, specification/draft/tasks.md. A client that does not declare the extension with its request
never sees a handle. Progress and log notifications do not belong to handles: what moves stands in `statusMessage`.

`subscriptions/listen` is the SDK's; where it names `taskIds`, the middleware here lets the SDK serve the rest of it on the same stream.
"""

import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar, cast

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver.server import require_client_extension
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    EmptyResult,
    InputResponse,
    Notification,
    RequestId,
    RequestParams,
    ServerNotification,
    SubscriptionsAcknowledgedNotification,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field, ValidationError
from typing_extensions import override

from northstar_mcp.errors import NorthstarError
from northstar_mcp.server.fence import clean_line
from northstar_mcp.server.handles.port import Handles, Standing
from northstar_mcp.server.handles.wire import detailed, modern
from northstar_mcp.tasks.beside import beside

IDENTIFIER: Final = "io.modelcontextprotocol/tasks"
MAX_LISTENED: Final = 256
"""Handles that one `subscriptions/listen` can name."""

COALESCE_SECONDS: Final = 0.5  # the shortest time between two notifications of one stream
RETRY_SECONDS: Final = 2.0
_VERSIONS: Final = frozenset(MODERN_PROTOCOL_VERSIONS)
_Ctx = ServerRequestContext[Any, Any]
T = TypeVar("T")

_log = logging.getLogger(__name__)


class _OneHandle(RequestParams):
    task_id: str


class _Answers(_OneHandle):
    input_responses: dict[str, Any]


class _Answer(BaseModel):
    read: InputResponse


class TasksExtension(Extension):
    """Answers `tools/call` with a handle where the client can take one, and serves `tasks/get`, `tasks/update`, `tasks/cancel`."""

    identifier = IDENTIFIER

    def __init__(self, handles: Handles) -> None:
        self._handles = handles

    @override
    def methods(self) -> Sequence[MethodBinding]:
        return (
            MethodBinding("tasks/get", _OneHandle, self._get, _VERSIONS),
            MethodBinding("tasks/update", _Answers, self._update, _VERSIONS),
            MethodBinding("tasks/cancel", _OneHandle, self._cancel, _VERSIONS),
        )

    @override
    async def intercept_tool_call(self, params: CallToolRequestParams, ctx: _Ctx, call_next: CallNext) -> HandlerResult:
        mode = self._handles.mode(params.name)
        if mode is None or ctx.protocol_version not in _VERSIONS:
            return await call_next(ctx)
        if not declared(ctx):
            if mode == "required":
                require_client_extension(ctx, IDENTIFIER)
            return await call_next(ctx)

        async def run(arguments: Mapping[str, Any]) -> HandlerResult:
            params.arguments = dict(arguments)  # the very object that the tool's handler is given
            return await call_next(ctx)

        begun = await self._handles.begin(ctx, params, run)
        return {"resultType": "task", **modern(begun)} if isinstance(begun, Standing) else begun

    async def _get(self, ctx: _Ctx, params: _OneHandle) -> dict[str, Any]:
        return {"resultType": "complete", **detailed(await self._look(ctx, params))}

    async def _update(self, ctx: _Ctx, params: _Answers) -> EmptyResult:
        asks = (await self._look(ctx, params)).asks
        read = {key: _read(given, asked=key in asks) for key, given in params.input_responses.items()}
        answers = {key: answer for key, answer in read.items() if answer is not None}
        if not await worded(self._handles.answer(ctx, params.task_id, answers)):
            raise unknown(params.task_id)
        return EmptyResult()

    async def _look(self, ctx: _Ctx, params: _OneHandle) -> Standing:
        _check(ctx, params)
        standing = await worded(self._handles.look(ctx, params.task_id))
        if standing is None:
            raise unknown(params.task_id)
        return standing

    async def _cancel(self, ctx: _Ctx, params: _OneHandle) -> EmptyResult:
        _check(ctx, params)
        if not await worded(self._handles.cancel(ctx, params.task_id)):
            raise unknown(params.task_id)
        return EmptyResult()

    async def middleware(self, ctx: _Ctx, call_next: CallNext) -> HandlerResult:
        """Serves `taskIds` on a listen stream beside what the SDK serves there."""
        if ctx.method != "subscriptions/listen" or ctx.protocol_version not in _VERSIONS:
            return await call_next(ctx)
        asked = _Listening.model_validate(ctx.params or {}).notifications.task_ids
        if not asked:
            return await call_next(ctx)
        require_client_extension(ctx, IDENTIFIER)
        if len(asked) > MAX_LISTENED:
            raise MCPError(INVALID_PARAMS, f"At most {MAX_LISTENED} taskIds can be listened to on one stream.")
        known = [each for each in dict.fromkeys(asked) if await worded(self._handles.look(ctx, each)) is not None]
        stream = _Stream(ctx.session, known)
        async with beside(lambda _: self._tell(ctx, stream, known)):
            return await call_next(replace(ctx, session=cast("ServerSession", stream)))

    async def _tell(self, ctx: _Ctx, stream: "_Stream", handle_ids: Sequence[str]) -> None:
        """Each handle as it stands, and again with every change, until all have ended."""
        told: dict[str, dict[str, Any]] = {}
        left = set(handle_ids)
        await stream.acknowledged.wait()
        with self._handles.watch(ctx, handle_ids) as watch:
            changed = frozenset(handle_ids)
            while left:
                try:
                    for handle_id in sorted(changed & left):
                        standing = await self._handles.look(ctx, handle_id)
                        if standing is None or standing.status.ended:
                            left.discard(handle_id)
                        if standing is not None and told.get(handle_id) != (news := detailed(standing)):
                            told[handle_id] = news
                            await stream.tell("notifications/tasks", news)
                except NorthstarError as error:
                    _log.warning("handles could not be looked at; it is tried again: %s", error)
                    await anyio.sleep(RETRY_SECONDS)
                    continue
                if left:
                    await anyio.sleep(COALESCE_SECONDS)
                    changed = await watch.changed()


def declared(ctx: _Ctx) -> bool:
    """Whether the client declared the extension with this request."""
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and IDENTIFIER in (capabilities.extensions or {})


async def worded(work: Awaitable[T]) -> T:
    """The work's outcome. What went wrong is told in its own words, where the SDK would say "Internal server error"."""
    try:
        return await work
    except NorthstarError as error:
        raise MCPError(INTERNAL_ERROR, clean_line(f"{error.message} {error.remedy}", limit=1_000)) from None


def _check(ctx: _Ctx, params: _OneHandle) -> None:
    require_client_extension(ctx, IDENTIFIER)
    # The SDK compares the header with the body for the methods of the core. One that is missing passes: fastmcp's client sends none.
    routed = getattr(ctx.request, "headers", {}).get(MCP_NAME_HEADER)
    if routed is not None and decode_header_value(routed) != params.task_id:
        raise MCPError(HEADER_MISMATCH, f"The {MCP_NAME_HEADER} header does not match the request body's 'taskId'.")


def _read(given: Any, *, asked: bool) -> InputResponse | None:
    """An answer of the user's. What is none is ignored, as every answer is to what nobody asked; where it was asked, it is an error."""
    try:
        return _Answer(read=given).read
    except ValidationError:
        if asked:
            raise
        return None


def unknown(handle_id: str) -> MCPError:
    """The error for a handle that never was, has gone, or is somebody else's."""
    return MCPError(INVALID_PARAMS, "There is no such task for this caller.", data={"taskId": handle_id[:200]})


class _Wanted(BaseModel):
    task_ids: list[str] = Field(default_factory=list, alias="taskIds")


class _Listening(BaseModel):
    notifications: _Wanted = Field(default_factory=_Wanted)


class _Stream:
    """Stands in for the session on one listen stream: it puts the handles into the SDK's acknowledgement.

    The SDK's `ListenHandler` (mcp/server/subscriptions.py) uses nothing else of a session.
    """

    def __init__(self, session: ServerSession, handle_ids: Sequence[str]) -> None:
        self._session = session
        self._handle_ids = list(handle_ids)
        self._meta: dict[str, Any] = {}
        self._request_id: RequestId | None = None
        self.acknowledged = anyio.Event()

    async def send_notification(
        self, notification: ServerNotification, related_request_id: RequestId | None = None
    ) -> None:
        """As the session does it."""
        if not isinstance(notification, SubscriptionsAcknowledgedNotification):
            await self._session.send_notification(notification, related_request_id)
            return
        params = notification.params.model_dump(by_alias=True, mode="json", exclude_none=True)
        params["notifications"]["taskIds"] = self._handle_ids
        self._meta, self._request_id = params["_meta"], related_request_id
        await self._send(notification.method, params)
        self.acknowledged.set()

    async def tell(self, method: str, params: dict[str, Any]) -> None:
        """Send one of ours on the stream."""
        await self._send(method, {**params, "_meta": self._meta})

    async def _send(self, method: str, params: dict[str, Any]) -> None:
        notification: Any = Notification[dict[str, Any], str](method=method, params=params)
        await self._session.send_notification(notification, self._request_id)

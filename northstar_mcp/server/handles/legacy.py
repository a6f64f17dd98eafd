"""The experimental tasks of protocol 2025-11-25 (SEP-1686), over the port in port.py, for clients that ask for them.

Source: the specification of 2025-11-25, basic/utilities/tasks. There the client decides: a `tools/call` with `task` is answered with a
handle, and `tasks/result` waits for what comes of it; while it waits, the user is asked what the handle asks. The SDK knows the types
and serves none of it, so a middleware does. Older clients never send `task`, and newer ones have the extension.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from anyio import CancelScope
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    CallToolRequestParams,
    ElicitRequest,
    PaginatedRequestParams,
    RequestParams,
)

from northstar_mcp.server.eliciting import elicited
from northstar_mcp.server.handles.extension import unknown, worded
from northstar_mcp.server.handles.port import Handles, Standing, Watch
from northstar_mcp.server.handles.wire import legacy
from northstar_mcp.tasks.beside import beside

VERSION: Final = "2025-11-25"
RELATED: Final = "io.modelcontextprotocol/related-task"
ASK_SECONDS: Final = 300.0
"""How long a question to the user stays open at most."""

_CAPABILITY: Final[Mapping[str, Any]] = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
_Ctx = ServerRequestContext[Any, Any]


class _OneHandle(RequestParams):
    task_id: str


class LegacyTasks:
    """Middleware for clients of 2025-11-25."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles
        self._methods: Mapping[str, Callable[[_Ctx], Awaitable[HandlerResult]]] = {
            "tasks/get": self._get,
            "tasks/result": self._result,
            "tasks/cancel": self._cancel,
            "tasks/list": self._list,
        }

    async def middleware(self, ctx: _Ctx, call_next: CallNext) -> HandlerResult:
        """Serves the tasks of this generation, and says that they are served."""
        if ctx.method == "initialize":
            return _with_capability(await call_next(ctx))
        if ctx.protocol_version != VERSION or ctx.request_id is None:
            return await call_next(ctx)
        if ctx.method in self._methods:
            return await self._methods[ctx.method](ctx)
        if ctx.method == "tools/list":
            return self._with_support(await call_next(ctx))
        if ctx.method == "tools/call" and (ctx.params or {}).get("task") is not None:
            return await self._call(ctx, call_next)
        return await call_next(ctx)

    def _with_support(self, result: HandlerResult) -> HandlerResult:
        if isinstance(result, dict):
            for tool in result["tools"]:
                mode = self._handles.mode(tool["name"])
                if mode is not None:
                    tool["execution"] = {"taskSupport": mode}
        return result

    async def _call(self, ctx: _Ctx, call_next: CallNext) -> HandlerResult:
        params = CallToolRequestParams.model_validate(ctx.params or {}, by_name=False)
        if self._handles.mode(params.name) is None:
            raise MCPError(
                METHOD_NOT_FOUND, f"The tool {params.name[:100]!r} is not run as a task: call it without task."
            )
        plain = {name: value for name, value in (ctx.params or {}).items() if name != "task"}

        async def run(arguments: Mapping[str, Any]) -> HandlerResult:
            return await call_next(replace(ctx, params={**plain, "arguments": dict(arguments)}))

        begun = await self._handles.begin(ctx, params, run)
        if isinstance(begun, Standing):
            return {"task": legacy(begun)}
        # The client waits for a handle, and takes nothing else but an error.
        raise MCPError(INVALID_PARAMS, _words_of(begun))

    async def _get(self, ctx: _Ctx) -> HandlerResult:
        return legacy(await self._look(ctx))

    async def _list(self, ctx: _Ctx) -> HandlerResult:
        cursor = PaginatedRequestParams.model_validate(ctx.params or {}, by_name=False).cursor
        page, further = await worded(self._handles.page(ctx, cursor))
        return {"tasks": [legacy(each) for each in page], **({"nextCursor": further} if further is not None else {})}

    async def _cancel(self, ctx: _Ctx) -> HandlerResult:
        standing = await self._look(ctx)
        if standing.status.ended:
            raise MCPError(INVALID_PARAMS, f"This task has ended ({standing.status}) and cannot be cancelled.")
        await worded(self._handles.cancel(ctx, standing.handle_id))
        return legacy(await self._look(ctx))

    async def _result(self, ctx: _Ctx) -> HandlerResult:
        standing = await self._look(ctx)
        asked: set[str] = set()
        with self._handles.watch(ctx, [standing.handle_id]) as watch:
            while not (standing := await self._look(ctx)).status.ended:
                open_still = {key: ask for key, ask in standing.asks.items() if key not in asked}
                if not open_still:
                    await watch.changed()
                for key, ask in open_still.items():
                    asked.add(key)
                    await self._ask(ctx, watch, key, ask)
        return _payload(standing)

    async def _ask(self, ctx: _Ctx, watch: Watch, key: str, ask: ElicitRequest) -> None:
        """Ask the user, as a request of the server's within this one, until they answer or the question is over."""
        handle_id, answer = self._handle_of(ctx), None
        async with beside(lambda asking: self._until_over(ctx, watch, key, asking)):
            answer = await elicited(ctx, _naming(handle_id, ask), seconds=ASK_SECONDS)
        if answer is not None:
            await self._handles.answer(ctx, handle_id, {key: answer})

    async def _until_over(self, ctx: _Ctx, watch: Watch, key: str, asking: CancelScope) -> None:
        while key in (await self._look(ctx)).asks:
            await watch.changed()
        asking.cancel()

    def _handle_of(self, ctx: _Ctx) -> str:
        return _OneHandle.model_validate(ctx.params or {}, by_name=False).task_id

    async def _look(self, ctx: _Ctx) -> Standing:
        handle_id = self._handle_of(ctx)
        standing = await worded(self._handles.look(ctx, handle_id))
        if standing is None:
            raise unknown(handle_id)
        return standing


def _with_capability(result: HandlerResult) -> HandlerResult:
    if isinstance(result, dict) and result.get("protocolVersion") == VERSION:
        result["capabilities"]["tasks"] = dict(_CAPABILITY)
    return result


def _payload(standing: Standing) -> HandlerResult:
    """What the call itself would have answered."""
    if standing.error is not None:
        raise MCPError(standing.error.code, standing.error.message, data=standing.error.data)
    if standing.result is None:
        raise MCPError(INTERNAL_ERROR, f"This task was {standing.status}: {standing.message}")
    payload = standing.result.model_dump(by_alias=True, mode="json", exclude_none=True, exclude={"result_type"})
    return {**payload, "_meta": {**payload.get("_meta", {}), RELATED: {"taskId": standing.handle_id}}}


def _naming(handle_id: str, ask: ElicitRequest) -> ElicitRequest:
    """The question with its task's name, without which a client that runs several cannot tell whose it is."""
    meta: Any = {**(ask.params.meta or {}), RELATED: {"taskId": handle_id}}
    return ask.model_copy(update={"params": ask.params.model_copy(update={"meta": meta})})


def _words_of(answer: HandlerResult) -> str:
    content = answer.get("content", []) if isinstance(answer, dict) else []
    return "\n\n".join(block["text"] for block in content if block.get("type") == "text") or "It could not be begun."

"""What the wire of task handles needs from whoever does the work.

A handle stands for one tool call whose answer comes later. The two generations of MCP tasks (extension.py, legacy.py) speak of
handles and know nothing of what is behind them.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias

from mcp.server.context import HandlerResult, ServerRequestContext
from mcp_types import CallToolRequestParams, CallToolResult, ElicitRequest, ErrorData

Context: TypeAlias = ServerRequestContext[Any, Any]
Mode: TypeAlias = Literal["optional", "required"]
RunCall: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[HandlerResult]]


class Status(StrEnum):
    """How a handle stands; the words are the protocol's, in both generations."""

    WORKING = "working"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """True where nothing changes any more."""
        return self in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One handle, as it stands.

    Attributes:
        handle_id: Unguessable; what the protocol calls `taskId`.
        message: One line for a person. It may quote a screen, cleaned.
        ttl_seconds: How long after `created_at` it can be asked for at least.
        poll_seconds: When to ask again; None once it has ended.
        result: The call's answer, where it is `completed`. A tool's error is an answer too.
        error: The protocol error that the call ended with, where it is `failed`.
        asks: What the user is asked, by key, where it is `input_required`. A key is never used again for another question.
    """

    handle_id: str
    status: Status
    message: str
    created_at: datetime
    updated_at: datetime
    ttl_seconds: float
    poll_seconds: float | None = None
    result: CallToolResult | None = None
    error: ErrorData | None = None
    asks: Mapping[str, ElicitRequest] = field(default_factory=dict)


class Watch(Protocol):
    """A running look-out for changes of handles."""

    async def changed(self) -> frozenset[str]:
        """Wait until a watched handle may have changed, and say which. Level-triggered and coalescing."""
        ...


class Handles(Protocol):
    """Whoever does the work. Each method knows its caller's principal; another's handle reads like one that never was."""

    def mode(self, tool: str) -> Mode | None:
        """Whether calls of this tool can have a handle (`optional`), must have one (`required`), or never have one."""
        ...

    async def begin(self, ctx: Context, params: CallToolRequestParams, run: RunCall) -> Standing | HandlerResult:
        """Begin the call, and answer its handle once that is durable; or the call's own answer, where there is nothing to wait for.

        A question to the user that comes before the work begins (`InputRequiredResult`) is such an answer.

        Args:
            run: Does the call, with these arguments, as it is done without a handle.
        """
        ...

    async def look(self, ctx: Context, handle_id: str) -> Standing | None:
        """As it stands; None where there is no such handle for this caller."""
        ...

    async def answer(self, ctx: Context, handle_id: str, responses: Mapping[str, Any]) -> bool:
        """Hand over the user's answers, by key; keys that are not asked are ignored. False where there is no such handle."""
        ...

    async def cancel(self, ctx: Context, handle_id: str) -> bool:
        """Ask for its end; it need not come. False where there is no such handle."""
        ...

    def watch(self, ctx: Context, handle_ids: Sequence[str]) -> AbstractContextManager[Watch]:
        """Look out for changes of these handles."""
        ...

    async def page(self, ctx: Context, cursor: str | None) -> tuple[Sequence[Standing], str | None]:
        """The caller's handles, newest first, and where to go on."""
        ...

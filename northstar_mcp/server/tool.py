"""One tool as the SDK wants it, with our own reading of arguments and our own words for what goes wrong.

The SDK's `Tool.run` is replaced as a whole: its words for a bad argument are pydantic's, and a crash's are none at all.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import Field
from typing_extensions import override

from northstar_mcp.errors import NorthstarError
from northstar_mcp.server import failures
from northstar_mcp.server.arguments import MAX_WAIT_SECONDS, Arguments, read, schema_of
from northstar_mcp.server.principals import principal
from northstar_mcp.tasks.engine import Engine

_log = logging.getLogger(__name__)

Asked = TypeVar("Asked", bound=Arguments)
OurContext = Context[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a tool: the engine, whose tasks it may see, and the way back to the client while it lasts.

    Attributes:
        ends_at: When all of its waiting is over, for the task as for the user (the event loop's clock): its host may give it up.
    """

    engine: Engine
    principal: str
    context: OurContext
    ends_at: float = field(default_factory=lambda: anyio.current_time() + MAX_WAIT_SECONDS)

    @property
    def seconds_left(self) -> float:
        """How long it may still wait."""
        return max(0.0, self.ends_at - anyio.current_time())


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(Generic[Asked]):
    """What a file in `tools/` offers.

    Attributes:
        description: What the model reads: what it does, when to use it, what to call next.
        answer: Does it. Errors of the tree may leave it; they become words.
        output: JSON schema of `structuredContent`, for good answers and for errors.
        meta: `_meta` of its definition, for hosts; no model reads it.
    """

    name: str
    title: str
    description: str
    arguments: type[Asked]
    answer: Callable[[Call, Asked], Awaitable[CallToolResult]]
    output: Mapping[str, Any]
    annotations: ToolAnnotations
    meta: Mapping[str, Any] | None = None

    def tool(self) -> Tool:
        """The same for the SDK."""
        return _OfferedTool(
            fn=self.answer,
            name=self.name,
            title=self.title,
            description=self.description,
            parameters=schema_of(self.arguments),
            fn_metadata=FuncMetadata(arg_model=ArgModelBase, output_schema=dict(self.output)),
            is_async=True,
            annotations=self.annotations,
            meta=None if self.meta is None else dict(self.meta),
            offer=self,
        )


class Asking(Exception):
    """The user is to be asked by the answer to this call; the client calls again with what they said (2026-07-28)."""

    def __init__(self, result: InputRequiredResult) -> None:
        super().__init__("the user is asked")
        self.result = result


class _OfferedTool(Tool):
    """Runs an offer."""

    offer: Offer[Any] = Field(exclude=True)

    @override
    async def run(
        self, arguments: dict[str, Any], context: OurContext, convert_result: bool = False
    ) -> CallToolResult | InputRequiredResult:
        try:
            asked = read(self.offer.arguments, arguments, tool=self.name)
            return await self.offer.answer(_call(context), asked)
        except NorthstarError as error:
            _log.info("%s was refused or failed: %s", self.name, error.category)
            return failures.told(error)
        except Asking as asking:
            return asking.result
        except MCPError:
            raise
        except Exception:  # noqa: BLE001 - whatever a tool did not expect: the model gets a sentence, the log the traceback
            _log.exception("%s failed unexpectedly", self.name)
            return failures.unexpected(self.name)


def _call(context: OurContext) -> Call:
    return Call(engine=context.request_context.lifespan_context, principal=principal(), context=context)

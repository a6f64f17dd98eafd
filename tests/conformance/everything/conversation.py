"""Tools that say or ask something while they run, in the ways of protocols before 2026-07-28; and `logging/setLevel`.

The product logs nothing to clients and asks by other means (eliciting.py): what is tested here is that its transports and its
middleware let through what the SDK does.
"""

from typing import Any

import anyio
from mcp.server import MCPServer, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import Prompt
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    EmptyResult,
    SamplingMessage,
    SetLevelRequestParams,
    TextContent,
)
from pydantic import BaseModel, Field, JsonValue

Ctx = Context[Any, Any]


class Reply(BaseModel):
    """What a user is asked for."""

    response: str = Field(description="User's response")


class Account(BaseModel):
    """What the suite answers with."""

    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    """A default of each primitive type (SEP-1034)."""

    name: str = Field(default="John Doe", description="User name")
    age: int = Field(default=30, description="User age")
    score: float = Field(default=95.5, description="User score")
    status: str = Field(default="active", json_schema_extra={"enum": ["active", "inactive", "pending"]})
    verified: bool = Field(default=True, description="Verification status")


_TITLED: list[JsonValue] = [
    {"const": "low", "title": "Low Priority"},
    {"const": "medium", "title": "Medium Priority"},
    {"const": "high", "title": "High Priority"},
]


class Enums(BaseModel):
    """Each form of an enumeration (SEP-1330)."""

    untitledSingle: str = Field(json_schema_extra={"enum": ["active", "inactive", "pending"]})  # noqa: N815 - the suite's names
    titledSingle: str = Field(json_schema_extra={"oneOf": _TITLED})  # noqa: N815
    untitledMulti: list[str] = Field(json_schema_extra={"items": {"type": "string", "enum": ["a", "b", "c"]}})  # noqa: N815
    titledMulti: list[str] = Field(json_schema_extra={"items": {"anyOf": _TITLED}})  # noqa: N815
    legacyEnum: str = Field(  # noqa: N815
        json_schema_extra={"enum": ["small", "large"], "enumNames": ["Small Size", "Large Size"]}
    )


def add_to(server: MCPServer[Any]) -> None:
    """Register them."""
    for tool in (
        test_tool_with_logging,
        test_logging_tool,
        test_tool_with_progress,
        test_sampling,
        test_elicitation,
        test_elicitation_sep1034_defaults,
        test_elicitation_sep1330_enums,
        test_missing_capability,
        test_reconnection,
    ):
        server.add_tool(tool)
    _add_changing(server)
    # `MCPServer` has no place for it.
    server._lowlevel_server.add_request_handler("logging/setLevel", SetLevelRequestParams, _set_level)


def _add_changing(server: MCPServer[Any]) -> None:
    @server.tool(description="Changes the list of tools, and says so.")
    async def test_trigger_tool_change(ctx: Ctx) -> str:
        server.add_tool(_passing, name="test_dynamic_tool")
        server.remove_tool("test_dynamic_tool")
        await ctx.notify_tools_changed()
        return "tool list changed"

    @server.tool(description="Changes the list of prompts, and says so.")
    async def test_trigger_prompt_change(ctx: Ctx) -> str:
        server.add_prompt(Prompt.from_function(_passing, name="test_dynamic_prompt"))
        server.remove_prompt("test_dynamic_prompt")
        await ctx.notify_prompts_changed()
        return "prompt list changed"


def _passing() -> str:
    """Comes and goes."""
    return "dynamic"


async def test_tool_with_logging(ctx: Ctx) -> str:
    """Logs three times."""
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(words)
    return "Tool with logging executed successfully"


async def test_logging_tool(ctx: Ctx) -> str:
    """Logs once."""
    await ctx.info("test_logging_tool ran")
    return "logged"


async def test_tool_with_progress(ctx: Ctx) -> str:
    """Tells its progress three times."""
    for progress in (0, 50, 100):
        await ctx.report_progress(progress=progress, total=100, message=f"Completed step {progress} of 100")
    return "done"


async def test_sampling(prompt: str, ctx: Ctx) -> str:
    """Asks the client's model."""
    asked = [SamplingMessage(role="user", content=TextContent(text=prompt))]
    answer = await ctx.session.create_message(asked, max_tokens=100, related_request_id=ctx.request_id)
    return f"LLM response: {answer.content.text if isinstance(answer.content, TextContent) else '?'}"


async def test_elicitation(message: str, ctx: Ctx) -> str:
    """Asks the user."""
    return f"User response: {await _elicited(ctx, message, Account)}"


async def test_elicitation_sep1034_defaults(ctx: Ctx) -> str:
    """Asks the user, with defaults."""
    return f"Elicitation result: {await _elicited(ctx, 'Please provide user information', Defaults)}"


async def test_elicitation_sep1330_enums(ctx: Ctx) -> str:
    """Asks the user, with enumerations."""
    return f"Elicitation completed: {await _elicited(ctx, 'Please select values', Enums)}"


async def _elicited(ctx: Ctx, message: str, schema: type[BaseModel]) -> str:
    answer = await ctx.elicit(message=message, schema=schema)
    content = answer.data.model_dump_json() if answer.action == "accept" else "{}"
    return f"action={answer.action}, content={content}"


async def test_missing_capability(ctx: Ctx) -> str:
    """Needs a client that has sampling."""
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            "This tool requires the client 'sampling' capability",
            data={"requiredCapabilities": {"sampling": {}}},
        )
    return "The client has sampling."


async def test_reconnection(ctx: Ctx) -> str:
    """Closes its stream before it answers (SEP-1699)."""
    await ctx.close_sse_stream()
    await anyio.sleep(0.2)  # time for the client to come back
    return "Reconnection test completed"


async def _set_level(_: ServerRequestContext[Any, Any], __: SetLevelRequestParams) -> EmptyResult:
    await anyio.lowlevel.checkpoint()
    return EmptyResult()

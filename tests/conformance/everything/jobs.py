"""Tools whose calls can have a handle: what they do, and where they ask the user while they work."""

from collections.abc import Mapping
from typing import Any, Final

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, InputRequiredResult

from northstar_mcp.server.handles.port import Mode
from tests.conformance.everything.handles import asked, begun
from tests.conformance.everything.questions import filled_in, form

MODES: Final[Mapping[str, Mode]] = {
    "slow_compute": "optional",
    "failing_job": "required",
    "protocol_error_job": "required",
    "confirm_delete": "required",
    "multi_input": "required",
    "test_tool_with_task": "required",
}
"""Which tools can, and which must. `greet` has none."""


def add_to(server: MCPServer[Any]) -> None:
    """Register them."""
    for tool in (
        greet,
        slow_compute,
        failing_job,
        protocol_error_job,
        confirm_delete,
        multi_input,
        test_tool_with_task,
    ):
        server.add_tool(tool)


def greet(name: str) -> str:
    """Greets at once."""
    return f"Hello, {name}!"


async def slow_compute(seconds: float, label: str = "") -> str:
    """Takes its time."""
    begun()
    await anyio.sleep(seconds)
    return f"computed {label} in {seconds} s"


async def failing_job() -> str:
    """Fails, as a tool does."""
    begun()
    await anyio.sleep(0.2)
    raise ToolError("the job failed")


async def protocol_error_job() -> str:
    """Fails, as the protocol does."""
    begun()
    await anyio.sleep(0.2)
    raise MCPError(INTERNAL_ERROR, "the job broke the protocol")


async def confirm_delete(filename: str) -> str:
    """Asks while it works."""
    begun()
    (answer,) = await asked(confirm=form(f"Delete {filename}?", confirm="boolean"))
    return f"{filename}: {answer.action}"


async def multi_input() -> str:
    """Asks two things at once while it works."""
    begun()
    answers = await asked(first=form("Your name?", name="string"), second=form("Sure?", confirm="boolean"))
    return ", ".join(answer.action for answer in answers)


async def test_tool_with_task(ctx: Context[Any, Any]) -> str | InputRequiredResult:
    """Asks before it works."""
    if "user_name" not in (ctx.input_responses or {}):
        return InputRequiredResult(input_requests={"user_name": form("What is your name?", name="string")})
    begun()
    await anyio.sleep(0.2)
    return f"Worked for {filled_in(ctx, 'user_name', 'name')}."

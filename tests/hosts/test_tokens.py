"""What the tools cost in every conversation's context, counted as a model counts."""

import json
import os

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.hosts.conftest import SERVER, Node

MOST_TOOLS = 10
MOST_TOKENS = 1_800
MOST_INSTRUCTION_TOKENS = 400


@pytest.mark.hosts
@pytest.mark.anyio
async def test_tools_and_instructions_stay_within_their_budget(node: Node, tmp_path: object) -> None:
    env = {**os.environ, "NORTHSTAR_MCP_DATA_DIR": str(tmp_path), "NORTHSTAR_MCP_KEEPER": "off"}
    env.pop("TZAFON_API_KEY", None)
    with anyio.fail_after(60):
        async with Client(stdio_client(StdioServerParameters(command=SERVER[0], args=SERVER[1:], env=env))) as client:
            tools = (await client.list_tools()).tools
            instructions = client.instructions or ""
    definitions = [
        json.dumps({"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema})
        for tool in tools
    ]
    counted = json.loads(await anyio.to_thread.run_sync(_count, node, [*definitions, instructions]))
    costs = dict(zip([tool.name for tool in tools], counted, strict=False))
    assert len(tools) <= MOST_TOOLS, f"{len(tools)} tools: {sorted(costs)}"
    assert 0 < sum(costs.values()) <= MOST_TOKENS, f"{sum(costs.values())} tokens, of at most {MOST_TOKENS}: {costs}"
    assert 0 < counted[-1] <= MOST_INSTRUCTION_TOKENS, f"{counted[-1]} tokens of instructions"


def _count(node: Node, texts: list[str]) -> str:
    return node.run("tokens.mjs", stdin=json.dumps(texts))

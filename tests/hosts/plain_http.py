"""Tool calls over HTTP as plain as can be, in either era, so that a connection can be broken at will."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from tests.keeper.host import MODERN_META


def headers_for(url: str, era: str) -> dict[str, str]:
    """What every request of a conversation carries, which is opened first in the era that does so."""
    headers = {"Accept": "application/json, text/event-stream"}
    if era == "modern":
        return headers | {"MCP-Protocol-Version": "2026-07-28"}
    client = {"name": "plain", "version": "1"}
    opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    opened = httpx.post(
        url, headers=headers, json={"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": opening}
    )
    return headers | {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}


def call(
    client: httpx.Client, url: str, era: str, tool: str, *, timeout: float = 60, **arguments: object
) -> Mapping[str, Any]:
    """A tool's structured answer."""
    parameters: dict[str, Any] = {"name": tool, "arguments": arguments}
    headers = {"Mcp-Method": "tools/call", "Mcp-Name": tool} if era == "modern" else {}
    if era == "modern":
        parameters["_meta"] = MODERN_META
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}
    reply = client.post(url, json=message, headers=headers, timeout=timeout).raise_for_status().text
    events = [line.removeprefix("data: ") for line in reply.splitlines() if line.startswith("data: {")] or [reply]
    facts: Mapping[str, Any] = json.loads(events[-1])["result"]["structuredContent"]
    return facts

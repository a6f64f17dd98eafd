"""The same journey as journey.mjs, with the `mcp` Python client."""

import json
import warnings
from collections.abc import Mapping
from typing import Any, cast

import anyio
from mcp import Client, MCPDeprecationWarning
from mcp.client.session import IncomingMessage
from mcp_types import CallToolResult, ResourceUpdatedNotification, TextContent, TextResourceContents
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Report = dict[str, Any]


class Updates:
    """The URIs of resource updates as they come, in either era."""

    def __init__(self) -> None:
        self.uris: list[str] = []

    async def __call__(self, message: IncomingMessage) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.uris.append(str(message.params.uri))


async def make_journey(client: Client, updates: Updates, *, instruction: str, era: str) -> Report:
    """List, start, see progress, pause, inject, resume, read the answer."""
    noted: list[Report] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        noted.append({"progress": progress, "total": total, "message": message})

    tools = (await client.list_tools()).tools
    arguments = {"instruction": instruction, "wait_seconds": 1}
    started = _checked(await client.call_tool("start_task", arguments, progress_callback=note))
    task_id = str(_facts(started)["task_id"])
    uri = f"northstar://tasks/{task_id}"
    async with anyio.create_task_group() as group:
        await group.start(_listen, client, updates, uri, era)
        paused = await _call(client, "pause", task_id=task_id)
        told = await _call(client, "inject_message", task_id=task_id, message="Also note the price.")
        resumed = await _call(client, "resume", task_id=task_id)
        status, seen = resumed, _facts(started)["seq"]
        while "result" not in _facts(status):
            status = await _call(client, "task_status", task_id=task_id, since_seq=seen, wait_seconds=10)
            seen = _facts(status)["seq"]
        group.cancel_scope.cancel()
    resource = (await client.read_resource(uri)).contents[0]
    shot = await _call(client, "task_screenshot", task_id=task_id)
    return {
        "era": "modern" if client.protocol_version in MODERN_PROTOCOL_VERSIONS else "legacy",
        "tools": sorted(tool.name for tool in tools),
        "progress": noted,
        "states": [_facts(answer)["state"] for answer in (paused, resumed, status)],
        "receipts": [receipt["state"] for receipt in _facts(told)["receipts"]],
        "task": _facts(status),
        "text": cast("TextContent", status.content[0]).text,
        "resource": json.loads(cast("TextResourceContents", resource).text),
        "updates": updates.uris,
        "screenshot": [block.mime_type for block in shot.content if block.type == "image"],
    }


async def _listen(
    client: Client, updates: Updates, uri: str, era: str, *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    if era == "legacy":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)  # it is what a client of that era calls
            await client.subscribe_resource(uri)
        task_status.started()
        return
    async with client.listen(resource_subscriptions=[uri]) as subscription:
        task_status.started()
        async for event in subscription:
            updates.uris.append(str(getattr(event, "uri", "")))


async def _call(client: Client, name: str, **arguments: object) -> CallToolResult:
    return _checked(await client.call_tool(name, dict(arguments)))


def _checked(answer: CallToolResult) -> CallToolResult:
    assert not answer.is_error, answer.content
    return answer


def _facts(answer: CallToolResult) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", answer.structured_content)

"""The whole job, driven by MCP clients of other people, over stdio and HTTP, in both eras of the protocol."""

import json
import os

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.hosts.conftest import SERVER, Node, Place, plan_for
from tests.hosts.python_client import Report, Updates, make_journey

INSTRUCTION = "Compare the three cheapest offers. [steps=30] [result=Forty-two.]"
TOOLS = [
    "inject_message",
    "list_tasks",
    "pause",
    "resume",
    "start_task",
    "stop_task",
    "task_screenshot",
    "task_status",
    "wait_for_tasks",
]


@pytest.fixture(params=["stdio", "keeper", "http"])
def road(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.hosts
def test_typescript_sdk_1(node: Node, place: Place, url: str | None) -> None:
    report = json.loads(node.run("sdk_1.mjs", plan_for(place, url=url, instruction=INSTRUCTION)))
    _check(report, place)


@pytest.mark.hosts
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_typescript_client_2(node: Node, place: Place, url: str | None, era: str) -> None:
    report = json.loads(node.run("client_2.mjs", plan_for(place, url=url, instruction=INSTRUCTION, era=era)))
    _check(report, place, era=era)


@pytest.mark.hosts
@pytest.mark.anyio
@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_python_client(place: Place, url: str | None, era: str) -> None:
    parameters = StdioServerParameters(command=SERVER[0], args=list(SERVER[1:]), env={**os.environ, **place.env})
    updates = Updates()
    mode = "2026-07-28" if era == "modern" else "legacy"
    with anyio.fail_after(100):
        async with Client(url or stdio_client(parameters), mode=mode, message_handler=updates) as client:
            report = await make_journey(client, updates, instruction=INSTRUCTION, era=era)
    _check(report, place, era=era)


def _check(report: Report, place: Place, *, era: str = "legacy") -> None:
    """What every client has seen, and what Lightcone was asked."""
    assert report["era"] == era
    assert report["tools"] == TOOLS
    numbers = [told["progress"] for told in report["progress"]]
    assert numbers, "no progress came"
    assert numbers == sorted(set(numbers))
    assert all(0 < len(told["message"]) <= 200 for told in report["progress"])
    assert report["states"] == ["paused", "running", "completed"]
    assert report["receipts"] == ["queued"]
    assert report["task"]["result"] == "Forty-two."
    assert "Forty-two." in report["text"]
    assert report["resource"]["state"] == "completed"
    assert set(report["updates"]) == {f"northstar://tasks/{report['task']['task_id']}"}
    assert report["screenshot"] == ["image/png"]
    assert place.lightcone.steering() == ["POST pause", "POST messages", "POST resume"]

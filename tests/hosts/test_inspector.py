"""The MCP Inspector's command line: one process per call, so that over stdio every call finds what another process has begun."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.conftest import HERE, SERVER, Node, Place

INSPECTOR = HERE / "node_modules" / "@modelcontextprotocol" / "inspector"
CALLS_FAIL_WITH = 5


class Inspector:
    """`mcp-inspector --cli`, pointed at our server."""

    def __init__(self, node: Node, place: Place, *, url: str | None, era: str) -> None:
        self._node = node
        self._place = place
        self._target = [url] if url else ["--config", str(_configuration(place)), "--server", "northstar"]
        self._era = era
        package = json.loads((INSPECTOR / "package.json").read_text())
        self._program = INSPECTOR / package["bin"]["mcp-inspector"]

    def ask(self, method: str, *more: str, expected: int = 0) -> dict[str, Any]:
        """What it prints: the reply, or what it says of a failure."""
        options = ["--protocol-era", self._era, "--format", "json", "--method", method, *more]
        run = self._node.start(
            self._program, "--cli", *self._target, *options, env=self._place.env, cwd=self._place.folder
        )
        assert run.returncode == expected, run.stdout + run.stderr
        told: dict[str, Any] = json.loads(run.stdout if expected == 0 else run.stderr[run.stderr.index("{") :])
        result: dict[str, Any] = told.get("result", told)
        return result

    def call(self, tool: str, arguments: dict[str, object]) -> dict[str, Any]:
        answer = self.ask("tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))
        told: dict[str, Any] = answer["structuredContent"]
        return told


def _configuration(place: Place) -> Path:
    """As a host keeps it; the Inspector hands nothing else of the environment on."""
    server = {"command": SERVER[0], "args": SERVER[1:], "env": place.env}
    path = place.folder / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"northstar": server}}))
    return path


@pytest.fixture(params=["stdio", "http"])
def url(request: pytest.FixtureRequest) -> str | None:
    return str(request.getfixturevalue("http_server")) if request.param == "http" else None


@pytest.mark.hosts
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_whole_job_by_single_calls(node: Node, place: Place, url: str | None, era: str) -> None:
    inspector = Inspector(node, place, url=url, era=era)
    assert len(inspector.ask("tools/list")["tools"]) == 9
    started = inspector.call("start_task", {"instruction": "Look. [steps=60] [result=Forty-two.]", "wait_seconds": 1})
    task = {"task_id": started["task_id"]}
    assert inspector.call("pause", task)["state"] == "paused"
    receipts = inspector.call("inject_message", {**task, "message": "Also note the price."})["receipts"]
    assert [receipt["state"] for receipt in receipts] == ["queued"]
    assert inspector.call("resume", task)["state"] == "running"
    done = inspector.call("task_status", {**task, "since_seq": started["seq"], "wait_seconds": 0})
    while "result" not in done:
        done = inspector.call("task_status", {**task, "since_seq": done["seq"], "wait_seconds": 20})
    assert (done["state"], done["result"]) == ("completed", "Forty-two.")
    uri = f"northstar://tasks/{task['task_id']}"
    (content,) = inspector.ask("resources/read", "--uri", uri)["contents"]
    assert json.loads(content["text"])["result"] == "Forty-two."
    assert len(place.lightcone.starts()) == 1


@pytest.mark.hosts
def test_a_refused_call_is_told_as_one(node: Node, place: Place, http_server: str) -> None:
    inspector = Inspector(node, place, url=http_server, era="legacy")
    call = ("--tool-name", "task_status", "--tool-args-json", '{"task_id": "task_nowhere"}')
    told = inspector.ask("tools/call", *call, expected=CALLS_FAIL_WITH)
    assert told["error"]["code"] == "tool_is_error"

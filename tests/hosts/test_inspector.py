"""The MCP Inspector's command line: one process per call, so that over stdio every call finds what another process has begun.

It asks for progress only where it is told to, and shows none, so what reached it is overheard: over stdio by the witness between it
and the server, over HTTP in its own fetch.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.conftest import HERE, SERVER, WITNESS, Node, Place

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
        self._wire = place.folder / "wire"

    def ask(self, method: str, *more: str, expected: int = 0) -> dict[str, Any]:
        """What it prints: the reply, or what it says of a failure."""
        options = ["--protocol-era", self._era, "--format", "json", "--method", method, *more]
        env = {
            **self._place.env,
            "NODE_OPTIONS": f"--import {(HERE / 'overheard.mjs').as_uri()}",
            "OVERHEARD": str(self._wire),
        }
        run = self._node.start(self._program, "--cli", *self._target, *options, env=env, cwd=self._place.folder)
        assert run.returncode == expected, run.stdout + run.stderr
        told: dict[str, Any] = json.loads(run.stdout if expected == 0 else run.stderr[run.stderr.index("{") :])
        result: dict[str, Any] = told.get("result", told)
        return result

    def call(self, tool: str, arguments: dict[str, object], *more: str) -> dict[str, Any]:
        answer = self.ask("tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments), *more)
        told: dict[str, Any] = answer["structuredContent"]
        return told

    def received(self) -> list[dict[str, Any]]:
        """The messages that have reached it so far."""
        lines = [line.removeprefix("data: ") for line in self._wire.read_text().splitlines()]
        return [json.loads(line) for line in lines if line.startswith("{")]


def _configuration(place: Place) -> Path:
    """As a host keeps it; the Inspector hands nothing else of the environment on."""
    server = {"command": sys.executable, "args": [str(WITNESS), str(place.folder), *SERVER], "env": place.env}
    path = place.folder / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"northstar": server}}))
    return path


@pytest.fixture(params=["stdio", "keeper", "http"])
def road(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.hosts
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_whole_job_by_single_calls(node: Node, place: Place, url: str | None, era: str) -> None:
    inspector = Inspector(node, place, url=url, era=era)
    assert len(inspector.ask("tools/list")["tools"]) == 9
    job = {"instruction": "Look. [steps=50] [result=Forty-two.]", "wait_seconds": 1}
    started = inspector.call("start_task", job, "--tool-metadata", "progressToken=ours")
    {"legacy": _check_progress, "modern": _check_handle}[era](inspector.received())
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
    assert place.lightcone.steering() == ["POST pause", "POST messages", "POST resume"]
    if url is None:
        assert set(place.exit_codes()) == {0}


def _check_handle(received: list[dict[str, Any]]) -> None:
    """It takes task handles in the newer era, for which there is no progress, and asks for the answer of its own accord."""
    results = [message["result"] for message in received if "result" in message]
    handed = next(result["taskId"] for result in results if result.get("resultType") == "task")
    answers = [result for result in results if result.get("taskId") == handed and result["status"] == "completed"]
    assert "structuredContent" in answers[-1]["result"]


def _check_progress(received: list[dict[str, Any]]) -> None:
    """What came while the one call so far was waited for: progress, growing, and then the answer."""
    answered = next(at for at, message in enumerate(received) if "structuredContent" in message.get("result", {}))
    assert "resultType" not in received[answered]["result"]
    told = [message["params"] for message in received[:answered] if message.get("method") == "notifications/progress"]
    assert told, "no progress came before the answer"
    assert {each["progressToken"] for each in told} == {"ours"}
    assert all(earlier["progress"] < later["progress"] for earlier, later in pairwise(told))
    assert all(0 < len(each["message"]) <= 200 for each in told)


@pytest.mark.hosts
@pytest.mark.parametrize("road", ["http"])
def test_a_refused_call_is_told_as_one(node: Node, place: Place, http_server: str) -> None:
    inspector = Inspector(node, place, url=http_server, era="legacy")
    call = ("--tool-name", "task_status", "--tool-args-json", '{"task_id": "task_nowhere"}')
    told = inspector.ask("tools/call", *call, expected=CALLS_FAIL_WITH)
    assert told["error"]["code"] == "tool_is_error"

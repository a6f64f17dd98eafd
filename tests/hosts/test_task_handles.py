"""Clients of others take a task as a handle: it ends by itself, it asks their user, it is cancelled. Over stdio and HTTP.

The extension of 2026-07-28 with ext-tasks, fastmcp and `mcpdo`, the Inspector's second binary; the experimental tasks of 2025-11-25
with the TypeScript SDK 1.x and `mcpdo`. What Lightcone was asked shows that the clients' words reached it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.hosts.conftest import HERE, SERVER, Lightcone, Node, Place, do_without, plan_for

JOBS = {
    "answered": "Find the answer. [steps=5] [result=Forty-two.]",
    "helped": "Read my mail. [login at 2] [steps=4] [result=No new mail.]",
    "stopped": "Watch the page. [steps=90] [step_seconds=1]",
}
RELATED = "io.modelcontextprotocol/related-task"
INSPECTOR = HERE / "node_modules" / "@modelcontextprotocol" / "inspector"
SECONDS = 60
CONNECTIONS = ("one", "other")
ONE, OTHER = "@one", "@other"
Report = dict[str, Any]


@pytest.fixture(params=["stdio", "http"])
def road(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.hosts
def test_ext_tasks(node: Node, place: Place, url: str | None) -> None:
    report = json.loads(node.run("ext_tasks.mjs", plan_for(place, url=url, jobs=JOBS)))
    _check(report, place.lightcone)
    assert set(report["notified"]) >= {report[job]["handle"] for job in ("answered", "helped")}


@pytest.mark.hosts
def test_typescript_sdk_1(node: Node, place: Place, url: str | None) -> None:
    report = json.loads(node.run("sdk_1_tasks.mjs", plan_for(place, url=url, jobs=JOBS)))
    _check(report, place.lightcone)
    assert report["related"] == [report["helped"]["handle"]] * 2
    assert set(report["listed"]) == {report[job]["handle"] for job in JOBS}


@pytest.mark.hosts
def test_fastmcp(place: Place, url: str | None) -> None:
    if find_spec("fastmcp_tasks") is None:
        do_without("fastmcp[tasks] is not installed: it is in the dependency group `test`")
    command = [sys.executable, str(HERE / "fastmcp_client.py"), plan_for(place, url=url, jobs=JOBS)]
    env = {**os.environ, **place.env}
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert run.returncode == 0, run.stderr
    _check(json.loads(run.stdout), place.lightcone)


def _check(report: Report, lightcone: Lightcone) -> None:
    for job, result in (("answered", "Forty-two."), ("helped", "No new mail.")):
        told = report[job]
        assert told["statuses"][0] == "working"
        assert "cancelled" not in told["statuses"]
        facts = told["answer"]["structuredContent"]
        assert (facts["task_id"], facts["state"], facts["result"]) == (told["handle"], "completed", result)
    assert report["questions"] == ["url", "form"]
    assert report["stopped"]["handle"].startswith("task_")
    assert report["stopped"]["statuses"][-1] == "cancelled"
    _check_lightcone(lightcone)


def _check_lightcone(lightcone: Lightcone) -> None:
    """It was asked to go on where the user had stepped in, and nothing of what was cancelled runs on."""
    asked = {task["instruction"]: lightcone.calls(task["task_id"]) for task in lightcone.tasks()}
    assert [call for call in asked[JOBS["helped"]] if not call.startswith("GET")] == ["POST messages", "POST resume"]
    running = [task["instruction"] for task in lightcone.tasks() if task["status"] == "running"]
    assert running == []


# ---- mcpdo


class Mcpdo:
    """`mcpdo` with a daemon of its own, which holds the connections from one command to the next.

    It does one thing at a time on a connection, so that what is said while a call is waited for goes over another one.
    """

    def __init__(self, node: Node, place: Place, *, url: str | None, daemon: Path) -> None:
        package = json.loads((INSPECTOR / "package.json").read_text())
        self._command = [str(node.binary), str(INSPECTOR / package["bin"]["mcpdo"]), "--format", "json"]
        self._place = place
        inspector = {"MCP_INSPECTOR_DAEMON_DIR": str(daemon), "MCP_INSPECTOR_SECRET_STORE": "file"}  # no keychain
        self._env = {**os.environ, **place.env, **inspector}
        stdio = {"command": SERVER[0], "args": list(SERVER[1:]), "env": place.env}
        server = {"type": "streamable-http", "url": url} if url else stdio
        self._configuration = place.folder / "mcp.json"
        self._configuration.write_text(json.dumps({"mcpServers": dict.fromkeys(CONNECTIONS, server)}))

    def connect(self, *, era: str) -> None:
        for name in CONNECTIONS:
            told = self.ask("--config", str(self._configuration), "connect", name, "--era", era)
            assert told["protocolEra"] == era

    def ask(self, *command: str) -> Report:
        told: Report = json.loads(self.end(self.begin(*command)))
        return told

    def begin(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._command, *command],
            env=self._env,
            cwd=self._place.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, command: subprocess.Popen[str], *, expected: int = 0) -> str:
        """What it prints; what it says of a failure where that is expected."""
        stdout, stderr = command.communicate(timeout=SECONDS)
        assert command.returncode == expected, stdout + stderr
        return stdout if expected == 0 else stderr


@pytest.fixture
def mcpdo(node: Node, place: Place, url: str | None) -> Iterator[Mcpdo]:
    with TemporaryDirectory(prefix="ns-") as daemon:  # the path of a Unix socket is short, and pytest's own are not
        opened = Mcpdo(node, place, url=url, daemon=Path(daemon))
        try:
            yield opened
        finally:
            opened.end(opened.begin("daemon", "stop"))


@pytest.mark.hosts
@pytest.mark.parametrize("road", ["stdio"])
def test_mcpdo_with_the_extension(mcpdo: Mcpdo, place: Place) -> None:
    """Each connection is a server process of its own: a handle from one is good at the other."""
    mcpdo.connect(era="modern")
    watching = mcpdo.begin(*_start(OTHER, "stopped"))
    handle = _first(lambda: _running(mcpdo.ask(*_call(ONE, "list_tasks"))["structuredContent"]["tasks"]))
    assert mcpdo.ask(ONE, "tasks/cancel", handle) == {"cancelled": True, "taskId": handle}

    pending = mcpdo.ask(*_start(ONE, "helped"))["elicitationPending"]
    assert (pending["mode"], pending["origin"]) == ("url", "task-input-required")
    pending = mcpdo.ask("elicitation/respond", pending["elicitationId"], "--done")["elicitationPending"]
    assert (pending["mode"], pending["origin"]) == ("form", "task-input-required")
    facts = mcpdo.ask("elicitation/respond", pending["elicitationId"], "{}")["structuredContent"]

    assert (facts["state"], facts["result"]) == ("completed", "No new mail.")
    assert "was cancelled" in mcpdo.end(watching, expected=1)
    _check_lightcone(place.lightcone)


@pytest.mark.hosts
@pytest.mark.parametrize("road", ["http"])
def test_mcpdo_with_the_older_tasks(mcpdo: Mcpdo, place: Place) -> None:
    """No question here: its library asks for a result only after the end, and so never gets one."""
    mcpdo.connect(era="legacy")
    watching = mcpdo.begin(*_start(OTHER, "stopped", "--task"))
    handle = _first(lambda: _working(mcpdo.ask(ONE, "tasks/list")["tasks"]))
    assert mcpdo.ask(ONE, "tasks/cancel", handle) == {"cancelled": True, "taskId": handle}

    answer = mcpdo.ask(*_start(ONE, "answered", "--task"))

    facts = answer["structuredContent"]
    assert (facts["state"], facts["result"]) == ("completed", "Forty-two.")
    assert answer["_meta"][RELATED] == {"taskId": facts["task_id"]}
    assert "was cancelled" in mcpdo.end(watching, expected=1)


def _start(connection: str, job: str, *more: str) -> list[str]:
    return [*_call(connection, "start_task", instruction=JOBS[job]), *more]


def _call(connection: str, tool: str, **arguments: str) -> list[str]:
    return [connection, "tools/call", tool, "--tool-args-json", json.dumps(arguments)]


def _running(tasks: list[Report]) -> str | None:
    return next((task["task_id"] for task in tasks if task["state"] == "running"), None)


def _working(tasks: list[Report]) -> str | None:
    return next((task["taskId"] for task in tasks if task["status"] == "working"), None)


def _first(look: Callable[[], str | None]) -> str:
    """What a look finds in the end; each takes the time of a process."""
    give_up_at = time.monotonic() + SECONDS
    while (found := look()) is None:
        assert time.monotonic() < give_up_at
    return found

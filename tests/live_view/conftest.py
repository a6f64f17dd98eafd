"""A host in real Chromium, with the official AppBridge, in front of our server over HTTP and a simulator: all real processes."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.hosts.conftest import Launch, Lightcone, Node, Place, do_without, launching, node_with_packages
from tests.hosts.plain_http import call, headers_for

HERE = Path(__file__).parent
QUICK_SECONDS = 0.12  # a step of the simulator's agent


@dataclass
class Stage:
    """The browser, and the page in it. A command that fails, or takes longer than its time, fails the test."""

    process: "subprocess.Popen[str]"
    server: str
    lightcone: Lightcone
    origin: str = ""
    task_id: str = ""

    def do(self, command: str, **how: Any) -> Any:
        """One command of stage.mjs."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": command, **how}) + "\n")
        self.process.stdin.flush()
        return self.answer(command)

    def answer(self, command: str) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the browser is gone at {command}"
        told = json.loads(line)
        assert "error" not in told, told["error"]
        return told["ok"]

    def start(self, instruction: str, *, arguments: dict[str, Any] | None = None, **how: Any) -> None:
        """A conversation in which a task is started, and its view shown."""
        given = {"instruction": instruction, **(arguments or {})}
        facts = self.do("open", tool="start_task", given=given, **how)
        self.task_id = (facts or {}).get("task_id", "")

    def until(self, work: str, arg: Any = None) -> None:
        """Wait until that function is true in the view."""
        self.do("until", work=work, arg=arg)

    def until_state(self, words: str) -> None:
        self.until("(words) => document.getElementById('state').textContent === words", words)

    def until_told(self, words: str) -> None:
        """Wait until those who listen were told something with these words."""
        self.until("(words) => document.getElementById('news').textContent.includes(words)", words)

    def read(self, work: str, arg: Any = None) -> Any:
        """What that function finds in the view."""
        return self.do("read", work=work, arg=arg)

    def click(self, name: str, role: str = "button") -> None:
        self.do("click", role=role, name=name)

    def press(self, *keys: str) -> None:
        self.do("press", keys=keys)

    def focused(self) -> str:
        """The id of what has the focus."""
        return str(self.read("() => document.activeElement.id"))

    def looks(self) -> list[dict[str, Any]]:
        """What the page asked about this task so far."""
        calls = [asked["arguments"] for asked in self.do("calls") if asked["name"] == "live_view"]
        return [arguments for arguments in calls if arguments["task_id"] == self.task_id]

    def steering(self) -> list[str]:
        """What reached Lightcone of this task, reading apart, in order: "POST pause"."""
        upstream = self.status()["northstar_task_id"]
        return [asked for asked in self.lightcone.calls(upstream) if not asked.startswith("GET")]

    def upstream(self) -> dict[str, Any]:
        """This task as the simulator sees it from inside."""
        upstream = self.status()["northstar_task_id"]
        (found,) = (task for task in self.lightcone.tasks() if task["task_id"] == upstream)
        return found

    def status(self) -> Mapping[str, Any]:
        """What the server says of this task, asked by somebody else."""
        return self.ask("task_status")

    def ask(self, tool: str) -> Mapping[str, Any]:
        with httpx.Client(headers=headers_for(self.server, "modern")) as client:
            return call(client, self.server, "modern", tool, timeout=10, task_id=self.task_id)


@pytest.fixture(scope="session")
def node() -> Node:
    if not sys.platform.startswith("linux"):
        do_without("@sparticuz/chromium runs on Linux only")
    return node_with_packages(HERE)


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with launching() as start:
        yield start


@pytest.fixture(scope="module")
def one_stage(node: Node, launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One browser for all tests of the module; each opens a page of its own."""
    lightcone = Lightcone(launch("northstar_mcp.simulator", "--step-seconds", str(QUICK_SECONDS)))
    place = Place(lightcone, tmp_path_factory.mktemp("server"))
    server = launch("northstar_mcp", "serve", "--http", "--port", "0", env=place.env)
    process = subprocess.Popen(
        [node.binary, HERE / "stage.mjs", server],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE,
    )
    stage = Stage(process, server, lightcone)
    try:
        stage.origin = stage.answer("the start")
        yield stage
        process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0


@pytest.fixture
def stage(one_stage: Stage) -> Iterator[Stage]:
    """Whatever a test does: nothing leaves the page, and nothing goes wrong in it."""
    yield one_stage
    inside = [request["url"] for request in one_stage.do("requests") if request["inside"]]
    assert [url for url in inside if not url.startswith(("data:image/", "about:srcdoc"))] == []
    assert one_stage.do("troubles") == []
    if one_stage.task_id:
        one_stage.ask("stop_task")  # or its steps would slow down the tests that follow

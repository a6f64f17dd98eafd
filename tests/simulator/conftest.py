"""What the tests here share: the event loop, and a simulator process where one is needed."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

Launch = Callable[..., str]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts `python -m northstar_mcp.simulator` with these arguments; gives its base URL."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> str:
        command = [sys.executable, "-m", "northstar_mcp.simulator", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stderr is not None
        line = process.stderr.readline().strip()
        assert line.startswith("simulator listening on http://"), line
        return line.rpartition(" ")[2]

    yield start
    for process in processes:
        process.terminate()
        stdout, stderr = process.communicate(timeout=10)
        assert (process.returncode, stdout, stderr) == (0, "", "")

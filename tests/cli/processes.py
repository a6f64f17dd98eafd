"""The command line as a process of its own: run to its end, or held while it works."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "northstar_mcp")
SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def facts(self) -> dict[str, Any]:
        """What `--json` wrote."""
        facts: dict[str, Any] = json.loads(self.out)
        return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """Where commands are run, and with which environment."""

    folder: Path
    environment: Mapping[str, str]

    def __call__(self, *arguments: str, given: str = "", without: tuple[str, ...] = ()) -> Ran:
        """Run one command to its end."""
        environment = {name: value for name, value in self.environment.items() if name not in without}
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=given,
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            cwd=self.folder,
            env=environment,
            check=False,
        )
        return Ran(code=done.returncode, out=done.stdout, err=done.stderr)

    @contextmanager
    def holding(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command while it works. It is killed where it has not ended by itself."""
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=self.folder,
            env=self.environment,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()


def environment(**variables: str) -> dict[str, str]:
    """Of a user who has set these variables and nothing else of ours."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NORTHSTAR_MCP_", "TZAFON_", "LIGHTCONE_", "COLUMNS", "LINES"))
    }
    return {**kept, "PYTHONPATH": str(PROJECT), "NO_COLOR": "1", "NORTHSTAR_MCP_KEEPER": "off", **variables}


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """The next line of its stderr that holds `text`."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        if text in line:
            return line
        seen.append(line)
    raise AssertionError(f"{text!r} was never said, but: {''.join(seen)}")

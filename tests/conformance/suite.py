"""Runs the official conformance suite against a server, and compares what it says with what is expected.

Two of its releases lie in node_modules: the stable one, for the older protocols, and the newest draft, for 2025-11-25, 2026-07-28 and
the tasks extension. Each scenario leaves a file with its checks; a check has an id that may come several times.
"""

import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from typing_extensions import override

from tests.hosts.conftest import Node

HERE: Final = Path(__file__).parent
LEDGER: Final = HERE / "expected_failures.toml"
_FINE: Final = ("SUCCESS", "INFO")
_FOLDER: Final = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")

Server: TypeAlias = Literal["product", "stateless", "everything"]


@dataclass(frozen=True)
class Run:
    """One release of the suite at one protocol version. The stable one knows only the older protocols, and is told none."""

    runner: Literal["stable", "draft"]
    version: str = ""

    @override
    def __str__(self) -> str:
        return f"{self.runner} {self.version}".strip()


@dataclass(frozen=True, order=True)
class Check:
    """What the suite says of one thing."""

    scenario: str
    check: str
    status: str
    words: str = ""

    @property
    def name(self) -> tuple[str, str, str]:
        """Without the words."""
        return self.scenario, self.check, self.status


@dataclass(frozen=True)
class Suite:
    """The suite's runners."""

    node: Node
    folder: Path

    def sweep(self, url: str, run: Run) -> list[Check]:
        """Every scenario that the version has, extensions apart."""
        return self._run(url, run.runner, "--suite", "all", *(["--spec-version", run.version] if run.version else []))

    def scenario(self, url: str, run: Run, name: str) -> list[Check]:
        """One scenario, also of an extension: a sweep with a version leaves those out."""
        return self._run(url, run.runner, "--scenario", name, "--spec-version", run.version, "--force")

    def _run(self, url: str, runner: str, *arguments: str) -> list[Check]:
        program = HERE / "node_modules" / f"conformance-{runner}" / "dist" / "index.js"
        ran = self.node.start(program, "server", "--url", url, "-o", str(self.folder), *arguments, cwd=self.folder)
        checks = sorted(_checks_in(self.folder))
        assert checks, ran.stdout + ran.stderr
        # What the runner itself makes of it: a scenario that it could not end would leave no file.
        failed = any(check.status == "FAILURE" for check in checks)
        assert ran.returncode == int(failed), ran.stdout + ran.stderr
        return checks


def _checks_in(folder: Path) -> Iterable[Check]:
    for path in folder.glob("*/checks.json"):
        named = _FOLDER.fullmatch(path.parent.name)
        assert named is not None, path
        for check in json.loads(path.read_text()):
            yield Check(named["scenario"], check["id"], check["status"], check.get("errorMessage") or "")


def differences(checks: Iterable[Check], expected: Iterable[tuple[str, str, str]]) -> list[str]:
    """Findings that nobody expects, and expected ones that are found no longer; a sentence each."""
    found = {check for check in checks if check.status not in _FINE}
    awaited = set(expected)
    unexpected = [f"{' '.join(check.name)}: {check.words}" for check in sorted(found) if check.name not in awaited]
    stale = [f"no longer found: {' '.join(name)}" for name in sorted(awaited - {check.name for check in found})]
    return unexpected + stale


def expected(server: Server, run: Run, scenarios: Iterable[str]) -> list[tuple[str, str, str]]:
    """What the ledger has of these scenarios. Every entry in it has a reason."""
    entries = tomllib.loads(LEDGER.read_text())["finding"]
    assert all(entry["reason"] for entry in entries)
    judged = frozenset(scenarios)
    return [
        (entry["scenario"], entry["check"], entry["status"])
        for entry in entries
        if (entry["server"], entry["run"]) == (server, str(run)) and entry["scenario"] in judged
    ]

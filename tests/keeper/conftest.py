"""A user with a runtime folder, a record and a key of their own, and a simulator for Lightcone; and who is left behind in the end."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hosts.conftest import Launch, Lightcone, launch

from .host import COMMAND, SECONDS, Host, hosting

__all__ = ["launch"]  # the fixture

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are counted in /proc")


@dataclass(frozen=True)
class User:
    """Whose keepers these are."""

    folder: Path
    lightcone: Lightcone
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        ours = ("NORTHSTAR_MCP_", "TZAFON_", "LIGHTCONE_", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **kept,
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "TZAFON_API_KEY": "sk_test_key_of_the_user",
            "LIGHTCONE_BASE_URL": self.lightcone.url,
            "NORTHSTAR_MCP_DATA_DIR": str(self.folder / "data"),
            "NORTHSTAR_MCP_SWEEP_SECONDS": "0.2",
            "NORTHSTAR_MCP_LEASE_SECONDS": "1",
            "NORTHSTAR_MCP_KEEPER_IDLE_SECONDS": "1",
            **self.variables,
        }

    @property
    def runtime(self) -> Path:
        return self.folder / "northstar-mcp"

    def hosting(self, *arguments: str, era: str = "legacy", **variables: str) -> AbstractContextManager[Host]:
        """A host's conversation. Variables are those that this host sets otherwise."""
        return hosting({**self.env, **variables}, *arguments, era=era)

    def hosting_forms(self, **variables: str) -> AbstractContextManager[Host]:
        """The conversation of a host that puts questions to its user."""
        return hosting({**self.env, **variables}, capabilities={"elicitation": {"form": {}}})

    def run(self, *arguments: str, **variables: str) -> str:
        """What a command prints."""
        env = {**self.env, **variables}
        done = subprocess.run(
            [*COMMAND, *arguments], env=env, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def keepers(self) -> list[int]:
        """The processes that are this user's keepers."""
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._is_keeper(entry)]

    def keeper(self) -> int:
        (pid,) = self.keepers()
        return pid

    def files(self) -> list[str]:
        """What lies in the runtime folder."""
        return sorted(path.name for path in self.runtime.iterdir())

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the keeper, and see it gone."""
        pid = self.keeper()
        os.kill(pid, number)
        self.until(lambda: _has_closed_everything(pid))

    @staticmethod
    def until(happened: Callable[[], object]) -> None:
        """Wait for what another process does."""
        ends_at = time.monotonic() + SECONDS
        while not happened():
            assert time.monotonic() < ends_at, "it did not happen"
            time.sleep(0.02)

    def _is_keeper(self, process: Path) -> bool:
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return b"northstar_mcp.keeper" in words and any(word.startswith(os.fsencode(self.runtime)) for word in words)


def _has_closed_everything(pid: int) -> bool:
    """Whether the process has ended with its last thread; its command line goes before its sockets do."""
    try:
        states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return True
    return states in ([], ["Z"])


@pytest.fixture
def lightcone(launch: Launch) -> Lightcone:
    return Lightcone(launch("northstar_mcp.simulator", "--step-seconds", "0.1"))


@pytest.fixture
def user(lightcone: Lightcone) -> Iterator[User]:
    # A Unix socket's path is short; pytest's own folders are not.
    user = User(Path(tempfile.mkdtemp(prefix="ns-")), lightcone)
    yield user
    for pid in user.keepers():
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGTERM)
    user.until(lambda: not user.keepers())
    shutil.rmtree(user.folder)

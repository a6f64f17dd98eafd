"""What the tests of the command line share: a simulator as a process of its own, and a user of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .processes import CommandLine, environment, line_with


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of `northstar-mcp simulator`."""
    alone = CommandLine(folder=tmp_path_factory.mktemp("simulator"), environment=environment())
    with alone.holding("simulator", "--port", "0", "--step-seconds", "0.05") as process:
        yield line_with(process, "listening on").split()[-1]
        process.terminate()
        assert process.wait(timeout=20) == 0


@pytest.fixture
def northstar(simulator: str, tmp_path: Path) -> CommandLine:
    """The command line of a user with a key, a record of their own, and the simulator for Lightcone."""
    config = tmp_path / "config.toml"
    config.touch()
    return CommandLine(
        folder=tmp_path,
        environment=environment(
            TZAFON_API_KEY="sk_test_key",
            LIGHTCONE_BASE_URL=simulator,
            NORTHSTAR_MCP_DATA_DIR=str(tmp_path / "data"),
            NORTHSTAR_MCP_CONFIG=str(config),
        ),
    )

"""Real servers for the conformance suite, and the suite, installed from package-lock.json beside this file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.suite import HERE, Suite
from tests.hosts.conftest import Launch, Lightcone, Node, Place, launching, node_with_packages


@pytest.fixture(scope="session")
def node() -> Node:
    return node_with_packages(HERE)


@pytest.fixture
def suite(node: Node, tmp_path: Path) -> Suite:
    return Suite(node, tmp_path)


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with launching() as start:
        yield start


@pytest.fixture(scope="module")
def place(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Place:
    lightcone = Lightcone(launch("northstar_mcp.simulator", "--step-seconds", "0.1"))
    return Place(lightcone, tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="module")
def product(launch: Launch, place: Place) -> str:
    """The endpoint of the server that users run."""
    return launch("northstar_mcp", "serve", "--http", "--port", "0", env=place.env)


@pytest.fixture(scope="module")
def stateless(launch: Launch, place: Place) -> str:
    """The same without sessions."""
    return launch("northstar_mcp", "serve", "--http", "--stateless", "--port", "0", env=place.env)


@pytest.fixture(scope="module")
def everything(launch: Launch, place: Place) -> str:
    """The endpoint of the server with the suite's fixtures. Its log is kept short, since nobody reads it before it ends."""
    return launch(
        "tests.conformance.everything",
        env={**place.env, "NORTHSTAR_MCP_LOG_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"},
    )

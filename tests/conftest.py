"""What every test has: a guard that fails a test in which our code blocks the event loop."""

import signal
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


def pytest_configure() -> None:
    """Where the shell has the run ignore Ctrl-C (as in the background), the programs that the tests start must not inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_of_ours_blocks_the_loop() -> Iterator[None]:
    with blockbuster_ctx("northstar_mcp"):
        yield

"""What every test has: a guard that fails a test in which our code blocks the event loop."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture(autouse=True)
def nothing_of_ours_blocks_the_loop() -> Iterator[None]:
    with blockbuster_ctx("northstar_mcp"):
        yield

"""The guard of conftest.py is a guard."""

from pathlib import Path

import pytest
from blockbuster import BlockingError

from northstar_mcp.ledger import schema


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_a_call_that_blocks_the_loop_fails_its_test(tmp_path: Path) -> None:
    with pytest.raises(BlockingError):
        schema.prepare(tmp_path / "data")

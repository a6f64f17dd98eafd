"""A short soak: what the long one (`python -m tests.faults.soak`) shows in minutes, in seconds and with a wider bound for memory."""

import sys
from pathlib import Path

import pytest

from tests.faults.soak import Plan, soak

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="memory and descriptors are counted in /proc"),
]

SHORT = Plan(tasks=200, seconds=8, steps=4, step_seconds=1.5)
THREADS = 46  # four that read the ledger, one that writes, one that looks for others' changes; anyio's 40 at most for pictures
GROWTH = 0.2  # after seconds, caches still fill


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_many_tasks_at_once_leave_nothing_behind_and_none_is_lost(tmp_path: Path) -> None:
    report = await soak(SHORT, tmp_path / "data")
    assert not report.lost, "\n".join(report.lost)
    assert not (left := report.left_behind(growth=GROWTH)), "\n".join(left)
    assert report.states.total() > SHORT.tasks
    assert report.faults["start, faults"] > SHORT.tasks / 20
    assert max(sample.unfinished for sample in report.samples) == SHORT.tasks
    assert max(sample.followers for sample in report.samples) > SHORT.tasks * 0.9
    assert max(sample.threads for sample in report.samples) <= THREADS

"""Every cell of the matrix: one start, every event or a gap that is told, an honest end."""

from collections import Counter
from pathlib import Path

import anyio
import pytest

from northstar_mcp.simulator import Fault
from tests.faults.cells import STEPS, Cell, cells
from tests.faults.conftest import MATRIX
from tests.faults.witness import faults_of
from tests.tasks.conftest import Workshop

SHARES = 12  # tests that the cells are dealt out to, so that each is bounded in time
AT_ONCE = 6
RESULT = "All done."
UNDRAWN = Fault.model_validate(  # to draw all the pictures that are kept would take longer than everything else
    {"match": {"path": "/screens/*"}, "times": 1000, "do": {"status": 200, "body": "RIFF0000WEBP"}}
)

ALL = list(cells())


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_the_matrix_is_as_large_as_promised() -> None:
    assert len(ALL) >= 500
    assert max(Counter(map(str, ALL)).values()) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("share", range(SHARES))
async def test_no_cell_is_lost(share: int, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    lost: dict[str, list[str]] = {}
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def run(number: int, cell: Cell) -> None:
        async with limiter:
            if found := await _run(cell, tmp_path / str(number)):
                lost[str(cell)] = found

    dealt = ALL[share::SHARES]
    async with anyio.create_task_group() as group:
        for number, cell in enumerate(dealt):
            group.start_soon(run, number, cell)
    pytestconfig.stash[MATRIX].append((len(dealt), len(lost)))
    assert not lost, f"{len(dealt)} cells tried, {len(lost)} lost:\n" + "\n".join(
        f"  {cell}: {'; '.join(found)}" for cell, found in sorted(lost.items())
    )


async def _run(cell: Cell, folder: Path) -> list[str]:
    instruction = f"[steps={STEPS}] [result={RESULT}] {cell.plan.instruction}".strip()
    async with Workshop(folder).open(cell.dialect, reattach=cell.reattach, step_seconds=0.01) as core:
        for fault in (*cell.plan.faults, UNDRAWN):
            core.lightcone.faults.add(fault)
        task = (await core.start(instruction, **cell.plan.more)).task
        with anyio.move_on_after(8):
            await core.ended(task)
        task = await core.task(task)
        return faults_of(task, await core.events(task), core.lightcone, result=RESULT)

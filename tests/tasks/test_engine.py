"""The engine of a process that lives for weeks: other keys, records it cannot read, calls that nobody waits for."""

import logging
import sqlite3
from contextlib import closing
from datetime import timedelta

import anyio
import pytest

from northstar_mcp.errors import NotFound
from northstar_mcp.ledger import open_ledger
from northstar_mcp.ledger.sqlite import SystemClock
from northstar_mcp.tasks.model import LOCAL, Task, TaskRequest
from northstar_mcp.tasks.orphans import WAIT_SECONDS
from northstar_mcp.tasks.policy import Policy
from northstar_mcp.tasks.states import State
from tests.simulator.visitor import visiting
from tests.tasks.conftest import Workshop

pytestmark = pytest.mark.anyio


async def test_a_record_that_cannot_be_read_harms_no_other_task(workshop: Workshop) -> None:
    """As a newer version may write it into the same file."""
    async with workshop.open(step_seconds=0.1) as core:
        good, odd = await core.started("[steps=6] good"), await core.started("[steps=60] odd")
        with closing(sqlite3.connect(workshop.folder / "ledger.sqlite3", isolation_level=None)) as ledger:
            ledger.execute("UPDATE tasks SET state = 'from_the_future' WHERE task_id = ?", (odd.task_id,))
        assert (await core.ended(good)).state is State.COMPLETED
        assert await core.engine.unfinished() == ()
        page = await core.engine.ledger.page(LOCAL, states=None, limit=10, before=None)
        assert [task.task_id for task in page] == [good.task_id]


async def test_tasks_of_a_former_key_take_no_room(workshop: Workshop) -> None:
    async with visiting(step_seconds=0.1) as lightcone:
        async with workshop.engine(lightcone, account="former") as core:
            await core.started("[steps=20]")
        async with workshop.engine(lightcone, account="new", policy=Policy(max_concurrent_tasks=1)) as core:
            assert (await core.ended((await core.start("[steps=1]")).task)).state is State.COMPLETED
            assert await core.engine.unfinished() == ()


@pytest.mark.parametrize("long_over", [False, True])
async def test_a_task_of_a_former_key_is_not_running_for_ever(workshop: Workshop, *, long_over: bool) -> None:
    then = SystemClock().now() - timedelta(seconds=WAIT_SECONDS + (3600 if long_over else 0))
    request = TaskRequest(instruction="work", max_steps=5, max_duration_seconds=600)
    task = Task(
        task_id="task_1",
        principal=LOCAL,
        request=request,
        account="former",
        state=State.RUNNING,
        idempotency_key="k",
        fingerprint="f",
        created_at=then,
        updated_at=then,
    )
    async with open_ledger(workshop.folder) as ledger:
        await ledger.add(task, repeats_since=then)
    async with workshop.open(), workshop.open() as core:
        if long_over:
            task = await core.ended(task)
            assert "another Lightcone key" in (await core.events(task))[-1].text
        else:
            await anyio.sleep(5 * core.engine.timing.sweep_seconds)
            task = await core.task(task)
    assert task.state is (State.UNKNOWN if long_over else State.RUNNING)


async def test_what_an_aborted_call_had_begun_is_heard_of_where_it_fails(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    async with workshop.open() as core:
        begun, may_fail = anyio.Event(), anyio.Event()

        async def work() -> None:
            begun.set()
            await may_fail.wait()
            raise NotFound("There is no such thing.")

        async with anyio.create_task_group() as group:
            group.start_soon(core.engine.see_through, work)
            await begun.wait()
            group.cancel_scope.cancel()
        with caplog.at_level(logging.WARNING):
            may_fail.set()
            await anyio.wait_all_tasks_blocked()
        assert "There is no such thing." in caplog.text

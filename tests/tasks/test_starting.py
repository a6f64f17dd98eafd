"""Starting exactly once, and saying no before anything is written."""

import anyio
import anyio.lowlevel
import pytest

from northstar_mcp.errors import Conflict, KeyMissing, PolicyRefused, Unconfirmed
from northstar_mcp.simulator import Fault
from northstar_mcp.tasks.policy import Policy
from northstar_mcp.tasks.starting import Started
from northstar_mcp.tasks.states import State
from tests.simulator.visitor import visiting
from tests.tasks.conftest import Workshop

pytestmark = pytest.mark.anyio

LONG = "[steps=400] [step_seconds=0.02]"


async def test_an_equal_start_answers_the_unfinished_task(workshop: Workshop) -> None:
    async with workshop.open() as core:
        first = await core.start(LONG)
        again = await core.start(LONG)
        other = await core.start(LONG, kind="browser")
        assert (first.reused, again.reused, other.reused) == (False, True, False)
        assert again.task.task_id == first.task.task_id


async def test_an_equal_start_after_the_end_is_a_new_task(workshop: Workshop) -> None:
    async with workshop.open() as core:
        first = await core.start("[steps=1]")
        await core.ended(first.task)
        again = await core.start("[steps=1]")
        assert not again.reused
        await core.ended(again.task)
        assert core.lightcone.journal.counts["tasks_started"] == 2


async def test_a_callers_key_answers_its_task_even_after_the_end(workshop: Workshop) -> None:
    async with workshop.open() as core:
        first = await core.start("[steps=1]", key="invoice-1")
        await core.ended(first.task)
        again = await core.start("[steps=1]", key="invoice-1")
        assert again.reused
        assert again.task.state is State.COMPLETED


async def test_a_callers_key_with_other_arguments_is_a_conflict(workshop: Workshop) -> None:
    async with workshop.open() as core:
        first = await core.start("[steps=1]", key="invoice-1")
        with pytest.raises(Conflict, match=first.task.task_id):
            await core.start("[steps=2]", key="invoice-1")


async def test_a_hundred_equal_starts_at_once_start_one_task(workshop: Workshop) -> None:
    async with workshop.open() as core:
        answers: list[Started] = []

        async def start() -> None:
            answers.append(await core.start(LONG))

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(start)
        assert len({answer.task.task_id for answer in answers}) == 1
        assert [answer.reused for answer in answers].count(False) == 1
        await core.until(answers[0].task, State.RUNNING)
        assert core.lightcone.journal.counts["tasks_started"] == 1


async def test_without_a_key_nothing_is_written(workshop: Workshop) -> None:
    async with visiting() as lightcone, workshop.engine(lightcone, api_key=None) as core:
        with pytest.raises(KeyMissing):
            await core.start("[steps=1]")
        assert await core.engine.ledger.unfinished() == []


async def test_what_the_operator_limits_is_clamped_and_said(workshop: Workshop) -> None:
    async with workshop.open(policy=Policy(max_steps=5, max_duration_seconds=20)) as core:
        task = (await core.start("[steps=1]")).task
        assert (task.request.max_steps, task.request.max_duration_seconds) == (5, 20)
        assert len(task.clamped) == 2
        await core.ended(task)
        assert core.lightcone.journal.starts[0].body["max_steps"] == 5


async def test_too_many_unfinished_tasks_are_refused_but_a_repeat_is_not(workshop: Workshop) -> None:
    async with workshop.open(policy=Policy(max_concurrent_tasks=1)) as core:
        first = await core.start(LONG)
        with pytest.raises(PolicyRefused, match="1 at once"):
            await core.start("[steps=2]")
        assert (await core.start(LONG)).task.task_id == first.task.task_id


async def test_starts_at_once_are_counted_one_by_one(workshop: Workshop) -> None:
    refused: list[str] = []
    async with workshop.open(policy=Policy(max_concurrent_tasks=2)) as core, anyio.create_task_group() as group:

        async def ask(number: int) -> None:
            try:
                await core.start(f"[steps=30] {number}")
            except PolicyRefused as error:
                refused.append(str(error))

        for number in range(8):
            group.start_soon(ask, number)
    assert len(refused) == 6


async def test_a_key_of_an_ended_task_is_answered_also_where_there_is_no_room(workshop: Workshop) -> None:
    async with workshop.open(policy=Policy(max_concurrent_tasks=1)) as core:
        first = await core.ended((await core.start("[steps=1]", key="mine")).task)
        await core.start(LONG)
        assert (await core.start("[steps=1]", key="mine")).task.task_id == first.task_id


async def test_a_key_whose_start_was_refused_can_be_used_again(workshop: Workshop) -> None:
    """The remedy says: the same arguments."""
    async with workshop.open() as core:
        no_credits = {"match": {"path": "/agent/tasks/stream"}, "do": {"status": 402, "body": {"error": "no credits"}}}
        core.lightcone.faults.add(Fault.model_validate(no_credits))
        refused = await core.ended((await core.start("[steps=2]", key="mine")).task)
        again = await core.start("[steps=2]", key="mine")
        assert (again.reused, (await core.ended(again.task)).state) == (False, State.COMPLETED)
        assert (await core.task(refused)).error is not None


async def test_a_start_that_is_aborted_leaves_a_task_that_runs(workshop: Workshop) -> None:
    async with workshop.open() as core:
        with anyio.CancelScope() as scope:
            task = (await core.start("[steps=3] [result=kept]")).task
            scope.cancel()
            await anyio.lowlevel.checkpoint()
        assert (await core.ended(task)).result == "kept"


async def test_a_task_that_was_never_sent_is_sent_by_the_next_engine(workshop: Workshop) -> None:
    async with visiting(step_seconds=0.01) as lightcone:
        lightcone.faults.clear()
        async with workshop.engine(lightcone) as first:
            task = (await first.start("[steps=2] [result=sent]")).task
        async with workshop.engine(lightcone) as second:
            assert (await second.ended(task)).result == "sent"
        assert lightcone.journal.counts["tasks_started"] == 1


async def test_a_start_that_must_be_confirmed_is_refused_by_the_core_itself(workshop: Workshop) -> None:
    async with workshop.open(policy=Policy(confirm="always")) as core:
        with pytest.raises(Unconfirmed):
            await core.start(LONG)
        assert not await core.engine.ledger.unfinished()
        assert not core.lightcone.journal.starts

"""Pause, resume, messages and their receipts, and the ladder of a stop."""

import anyio
import anyio.lowlevel
import pytest

from northstar_mcp.errors import NotFound, WrongState
from northstar_mcp.simulator import Fault
from northstar_mcp.tasks.model import EventType, ReceiptState, Task
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.steering import Steered, inject, pause, resume
from northstar_mcp.tasks.stopping import stop
from tests.tasks.conftest import Core, Workshop

pytestmark = pytest.mark.anyio

LONG = "[steps=49] [step_seconds=0.04]"


async def test_pause_message_resume_in_order(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started("[steps=30] [step_seconds=0.05]")
        paused = await pause(core.engine, task.task_id, principal="local")
        assert (paused.task.state, paused.changed) == (State.PAUSED, True)
        said = await inject(core.engine, task.task_id, "also note the price", principal="local")
        assert said.receipt is not None
        assert said.receipt.state is ReceiptState.QUEUED
        resumed = await resume(core.engine, task.task_id, principal="local")
        assert resumed.task.state is State.RUNNING
        task = await core.ended(task)
        assert task.state is State.COMPLETED
        assert (await _receipts(core, task)) == [ReceiptState.PICKED_UP]
        types = await core.types(task)
        assert types.index(EventType.PAUSED) < types.index(EventType.MESSAGE) < types.index(EventType.RESUMED)


async def test_a_message_to_a_running_task_is_picked_up(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started("[steps=10] [step_seconds=0.05]")
        said = await inject(core.engine, task.task_id, "also note the price", principal="local")
        assert said.receipt is not None
        assert said.receipt.state is ReceiptState.ACCEPTED
        task = await core.ended(task)
        assert await _receipts(core, task) == [ReceiptState.PICKED_UP]


async def test_a_second_pause_says_that_nothing_changed(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        await pause(core.engine, task.task_id, principal="local")
        again = await pause(core.engine, task.task_id, principal="local")
        assert (again.task.state, again.changed) == (State.PAUSED, False)


async def test_an_ended_task_cannot_be_steered_and_does_not_change(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.ended((await core.start("[steps=1]")).task)
        for steer in (pause, resume):
            with pytest.raises(WrongState):
                await steer(core.engine, task.task_id, principal="local")
        with pytest.raises(WrongState):
            await inject(core.engine, task.task_id, "hello", principal="local")
        assert (await stop(core.engine, task.task_id, principal="local")).confirmed
        assert await core.task(task) == task


async def test_somebody_elses_task_reads_like_one_that_is_not_there(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        with pytest.raises(NotFound) as not_mine:
            await pause(core.engine, task.task_id, principal="mallory")
        with pytest.raises(NotFound) as not_there:
            await pause(core.engine, "task_nowhere", principal="mallory")
        assert str(not_mine.value).replace(task.task_id, "") == str(not_there.value).replace("task_nowhere", "")


@pytest.mark.parametrize(
    ("deed", "state"),
    [
        ({"status": 409}, ReceiptState.TOO_LATE),
        ({"status": 404}, ReceiptState.TOO_LATE),
        ({"status": 422}, ReceiptState.FAILED),
        ({"status": 500}, ReceiptState.UNKNOWN),
        ({"drop": "before_response"}, ReceiptState.UNKNOWN),
    ],
)
async def test_a_receipt_says_what_is_known(workshop: Workshop, deed: dict[str, object], state: ReceiptState) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        core.lightcone.faults.add(Fault.model_validate({"match": {"path": "*/messages"}, "times": 5, "do": deed}))
        said = await inject(core.engine, task.task_id, "hello", principal="local")
        assert said.receipt is not None
        assert said.receipt.state is state
        assert await _receipts(core, task) == [state]


async def test_an_aborted_steering_call_goes_on(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        slow = {"match": {"path": "*/pause"}, "do": {"delay_seconds": 0.2}}
        core.lightcone.faults.add(Fault.model_validate(slow))
        with anyio.move_on_after(0.05) as scope:
            await pause(core.engine, task.task_id, principal="local")
        assert scope.cancelled_caught
        assert (await core.until(task, State.PAUSED)).state is State.PAUSED


async def test_a_stop_takes_the_tasks_own_computer_away(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        stopped = await stop(core.engine, task.task_id, principal="local")
        assert (stopped.task.state, stopped.confirmed) == (State.STOPPED, True)
        assert stopped.task.error is None
        calls = [(call.method, call.path) for call in core.lightcone.journal.calls]
        assert ("DELETE", f"/computers/{task.computer_id}") in calls


async def test_a_stop_leaves_a_computer_alone_that_is_not_the_tasks_own(workshop: Workshop) -> None:
    async with workshop.open() as core:
        made = await core.lightcone.post("/computers", {"kind": "browser"})
        computer_id = made.json()["id"]
        task = await core.started(LONG, computer_id=computer_id)
        stopped = await stop(core.engine, task.task_id, principal="local")
        assert stopped.confirmed
        assert (await core.task(task)).state in {State.COMPLETED, State.STOPPED}
        assert not [call for call in core.lightcone.journal.calls if call.method == "DELETE"]


async def test_a_stop_that_cannot_be_confirmed_says_so(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        for match in ({"path": "*/pause"}, {"method": "DELETE"}):
            core.lightcone.faults.add(Fault.model_validate({"match": match, "times": 9, "do": {"status": 503}}))
        stopped = await stop(core.engine, task.task_id, principal="local")
        assert not stopped.confirmed
        assert stopped.task.state is State.RUNNING
        assert len(stopped.done) == 2


async def test_an_unconfirmed_stop_leaves_a_record_that_says_paused(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        core.lightcone.faults.add(
            Fault.model_validate({"match": {"method": "DELETE"}, "times": 9, "do": {"status": 503}})
        )
        stopped = await stop(core.engine, task.task_id, principal="local")
        assert (stopped.confirmed, stopped.task.state) == (False, State.PAUSED)


async def test_a_task_without_a_name_is_asked_for_it_before_it_is_steered(workshop: Workshop) -> None:
    async with workshop.open("task_id=nowhere, shared_keys=yes") as core:
        task = await core.started(LONG)
        paused: Steered = await pause(core.engine, task.task_id, principal="local")
        assert paused.task.state is State.PAUSED
        assert core.lightcone.journal.counts["tasks_started"] == 1


async def _receipts(core: Core, task: Task) -> list[ReceiptState]:
    return [receipt.state for receipt in await core.engine.ledger.receipts(task.task_id)]

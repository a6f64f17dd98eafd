"""Moments in which an answer could be lost, a start be sent twice, or more be claimed than is known. Each was a fault once."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from typing import Any

import anyio
import pytest

from northstar_mcp.errors import NorthstarError, WrongState
from northstar_mcp.ledger import open_ledger
from northstar_mcp.ledger.sqlite import SystemClock
from northstar_mcp.simulator import Fault
from northstar_mcp.tasks.amending import amend
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.model import EventType, Task, TaskRequest
from northstar_mcp.tasks.ports import LeaseLost
from northstar_mcp.tasks.pursuit import Pursuit
from northstar_mcp.tasks.record import Record
from northstar_mcp.tasks.states import Happening, State
from northstar_mcp.tasks.steering import inject, pause, resume
from northstar_mcp.tasks.stopping import stop
from tests.simulator.visitor import visiting
from tests.tasks.conftest import Core, Workshop, slower

pytestmark = pytest.mark.anyio
ANSWER = "[steps=4] [result=THE ANSWER]"


# ---- the answer is on the stream, and nothing of ours may close it


@pytest.mark.parametrize("seconds", [0.8, 2.5], ids=["longer than a silence", "longer than a lease"])
async def test_a_locked_ledger_closes_no_stream(workshop: Workshop, seconds: float) -> None:
    timing = slower(lease_seconds=1, renew_seconds=0.2)
    async with workshop.open("reattach=none", step_seconds=0.2, timing=timing) as core:
        task = await core.started(ANSWER)
        async with _locked(workshop):
            await anyio.sleep(seconds)
        assert (await core.ended(task)).result == "THE ANSWER"
        assert EventType.GAP not in await core.types(task)


@asynccontextmanager
async def _locked(workshop: Workshop) -> AsyncIterator[None]:
    """Another program writes to the ledger meanwhile."""
    with closing(sqlite3.connect(workshop.folder / "ledger.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_state_that_says_completed_before_the_last_frame_has_come_does_not_end_the_listening(
    workshop: Workshop,
) -> None:
    """Nothing else would bring the answer."""
    async with workshop.open("reattach=none", step_seconds=2, timing=slower(settle_seconds=6)) as core:
        core.lightcone.faults.add(_fault("/agent/tasks/task_" + "?" * 24, method="GET", body={"status": "completed"}))
        task = (await core.start("[steps=1] [result=THE ANSWER]")).task
        assert (await core.ended(task)).result == "THE ANSWER"
        assert core.lightcone.faults.describe()[0]["done"], "nobody asked"


@pytest.mark.parametrize(
    "answer",
    [{"status": 200, "body": "<html>Sign in</html>", "headers": {"content-type": "text/html"}}, {"status": 404}],
)
async def test_one_odd_answer_does_not_take_the_way_back_away(workshop: Workshop, answer: dict[str, Any]) -> None:
    async with workshop.open(step_seconds=0.1) as core:
        core.lightcone.faults.add(_fault("/agent/tasks/stream", drop="after_frames", count=3))
        core.lightcone.faults.add(_fault("/agent/tasks/task_*/stream", **answer))
        task = (await core.start(ANSWER)).task
        assert (await core.ended(task)).result == "THE ANSWER"
        assert EventType.GAP not in await core.types(task)


async def test_a_task_that_lightcone_does_not_know_for_a_moment_is_not_given_up(workshop: Workshop) -> None:
    async with workshop.open(step_seconds=0.1, timing=slower(settle_seconds=5)) as core:
        core.lightcone.faults.add(_fault("/agent/tasks/stream", drop="after_frames", count=3))
        core.lightcone.faults.add(_fault("/agent/tasks/task_*/stream", status=503, times=3))
        core.lightcone.faults.add(_fault("/agent/tasks/task_" + "?" * 24, method="GET", status=404, times=4))
        task = (await core.start(ANSWER)).task
        assert (await core.ended(task)).result == "THE ANSWER"


async def test_a_task_found_again_past_its_limit_keeps_the_answer_that_it_has(workshop: Workshop) -> None:
    """Lightcone says that it has completed: this server has stopped nothing, and takes its time to read the answer."""
    timing = slower(settle_seconds=4, grace_seconds=0.1)
    async with visiting(step_seconds=0.15) as lightcone:
        async with workshop.engine(lightcone, timing=timing) as core:
            task = await core.started(ANSWER, max_duration_seconds=1)
        await lightcone.until(str(task.northstar_task_id), "completed")
        lightcone.faults.add(_fault("/agent/tasks/*/stream", status=503, times=8))
        async with workshop.engine(lightcone, timing=timing) as core:
            task = await core.ended(task)
    assert (task.state, task.result) == (State.COMPLETED, "THE ANSWER")


async def test_a_clock_that_has_jumped_does_not_end_a_task_that_runs(workshop: Workshop) -> None:
    """Found again two days after its start, as the wall clock has it, and alive: Lightcone keeps the limit too."""
    then = SystemClock().now() - timedelta(days=2)
    async with visiting(step_seconds=0.1) as lightcone:
        name = await lightcone.start("[steps=25] [result=THE ANSWER]")
        known = {"northstar_task_id": name, "state": State.RUNNING, "created_at": then, "started_at": then}
        task = await _written_down(workshop, start_sent_at=then, **known)
        async with workshop.engine(lightcone) as core:
            task = await core.ended(task)
    assert (task.state, task.result) == (State.COMPLETED, "THE ANSWER")


# ---- the start


async def test_a_holder_that_lost_its_lease_before_the_start_sends_nothing(workshop: Workshop) -> None:
    async with workshop.open("idempotent_stream=no", timing=slower(sweep_seconds=0.3), step_seconds=0.1) as core:
        task = await _written_down(workshop)
        lease = await core.engine.ledger.acquire(task.task_id, holder="one that stands still", seconds=0.05)
        assert lease is not None
        record = Record(core.engine, task.task_id, lease)
        stale = await record.task()
        await core.until(task, State.RUNNING)
        with pytest.raises(LeaseLost):
            await Pursuit(core.engine, record)._start(stale)
        assert core.lightcone.journal.counts["tasks_started"] == 1


@pytest.mark.parametrize("dialect", ["", "shared_keys=no", "reattach=none", "shared_keys=no, task_id=nowhere"])
@pytest.mark.parametrize("arrived", [False, True])
async def test_a_start_that_may_have_been_sent_is_repeated_as_it_was(
    workshop: Workshop, dialect: str, *, arrived: bool
) -> None:
    """A process was killed behind the mark, before or after the request: the next one makes the same call under the same key."""
    async with visiting(dialect, step_seconds=0.1) as lightcone:
        task = await _written_down(workshop, start_sent_at=SystemClock().now())
        if arrived:
            body = {**task.request.set_fields(), "idempotency_key": task.idempotency_key}
            async with lightcone.http.stream("POST", "/agent/tasks/stream", json=body) as reply:
                reply.raise_for_status()
        async with workshop.engine(lightcone) as core:
            task = await core.ended(task)
        assert lightcone.journal.counts["tasks_started"] == 1
    assert task.state is State.COMPLETED
    assert task.result == "THE ANSWER" or (arrived and dialect == "reattach=none")


@pytest.mark.parametrize("sent", [False, True])
async def test_a_task_is_not_begun_when_its_time_is_long_over(workshop: Workshop, *, sent: bool) -> None:
    """Written down three days ago by a process that died: nobody wants those buttons clicked now."""
    then = SystemClock().now() - timedelta(days=3)
    async with visiting() as lightcone:
        task = await _written_down(workshop, created_at=then, start_sent_at=then if sent else None)
        async with workshop.engine(lightcone) as core:
            task = await core.ended(task)
        assert lightcone.journal.counts["tasks_started"] == 0
    assert task.state is (State.UNKNOWN if sent else State.FAILED)


async def test_steering_during_a_slow_start_does_not_start_it_by_another_road(workshop: Workshop) -> None:
    async with workshop.open("shared_keys=no", timing=slower(naming_seconds=0.1), step_seconds=0.05) as core:
        core.lightcone.faults.add(_fault("/agent/tasks/stream", delay_seconds=0.6))
        task = (await core.start(ANSWER)).task
        with pytest.raises(WrongState, match="has not answered the start yet"):
            await pause(core.engine, task.task_id, principal="local")
        assert (await core.ended(task)).result == "THE ANSWER"
        assert core.lightcone.journal.counts["tasks_started"] == 1


# ---- which task it is


@pytest.mark.parametrize("lost", [False, True])
async def test_a_second_task_is_never_taken_for_the_first(workshop: Workshop, *, lost: bool) -> None:
    """Several ask for the name at once, or the answer is lost: the task that asking started is not steered in its place."""
    async with workshop.open("task_id=nowhere, shared_keys=no", step_seconds=0.2) as core:
        task = await core.started("[steps=8]")
        if lost:
            core.lightcone.faults.add(_fault("/agent/tasks", method="POST", drop="before_response"))
        refused: list[NorthstarError] = []

        async def try_(steer: Any, *more: str) -> None:
            try:
                await steer(core.engine, task.task_id, *more, principal="local")
            except NorthstarError as error:
                refused.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(try_, pause)
            group.start_soon(try_, inject, "hello")
        await try_(pause)
        task = await core.task(task)
        assert len(refused) == 3
        assert (task.state, task.northstar_task_id) == (State.RUNNING, None)
        assert (task.second_task_id is None) is lost
        assert (await core.ended(task)).state is State.COMPLETED


async def test_a_name_whose_answer_was_lost_is_believed_where_the_computer_proves_it(workshop: Workshop) -> None:
    async with workshop.open("task_id=nowhere, status_fields=extra", step_seconds=0.1) as core:
        task = await core.started("[steps=12]")
        core.lightcone.faults.add(_fault("/agent/tasks", method="POST", drop="before_response"))
        with pytest.raises(NorthstarError):
            await pause(core.engine, task.task_id, principal="local")
        await anyio.sleep(core.engine.timing.stall_seconds)
        await pause(core.engine, task.task_id, principal="local")
        assert (await core.task(task)).northstar_task_id == core.lightcone.journal.starts[0].task_id
        await resume(core.engine, task.task_id, principal="local")
        assert (await core.ended(task)).state is State.COMPLETED


async def test_a_second_task_on_a_computer_that_somebody_named_does_not_cost_that_computer(workshop: Workshop) -> None:
    async with workshop.open("task_id=nowhere", step_seconds=0.1) as core:
        computer = (await core.lightcone.post("/computers", {"kind": "browser"})).json()["id"]
        task = await core.started("[steps=8]", computer_id=computer)
        second = {"task_id": "task_second", "reused": False}
        core.lightcone.faults.add(_fault("/agent/tasks", method="POST", body=second))
        core.lightcone.faults.add(_fault("/agent/tasks/task_second/pause", body={"status": "paused"}))
        state = {"status": "paused", "computer_id": computer}
        core.lightcone.faults.add(_fault("/agent/tasks/task_second", body=state))
        with pytest.raises(NorthstarError):
            await pause(core.engine, task.task_id, principal="local")
        assert not [call for call in core.lightcone.journal.calls if call.method == "DELETE"]
        assert (await core.ended(task)).state is State.COMPLETED


# ---- what is claimed


async def test_a_task_out_of_sight_is_not_said_to_be_stopped_and_can_be(workshop: Workshop) -> None:
    async with workshop.open("reattach=none", step_seconds=0.1, timing=slower(settle_seconds=0.1)) as core:
        task = await core.started("[steps=60]")
        core.lightcone.faults.add(_fault("/agent/tasks/task_" + "?" * 24, method="GET", status=404, times=99))
        core.lightcone.faults.add(_fault("/agent/tasks/*/pause", status=503, times=99))
        core.lightcone.faults.add(_fault("/computers/*", method="DELETE", status=503, times=3))
        async with workshop.engine(core.lightcone) as _:
            await _forgotten(core, task)
            unconfirmed = await stop(core.engine, task.task_id, principal="local")
            core.lightcone.faults.clear()
            confirmed = await stop(core.engine, task.task_id, principal="local")
    assert (unconfirmed.confirmed, confirmed.confirmed) == (False, True)
    assert unconfirmed.task.state is confirmed.task.state is State.UNKNOWN


async def _forgotten(core: Core, task: Task) -> None:
    """As where its deadline passed and nothing could be confirmed."""

    def lose(draft: Draft) -> None:
        draft.tell(EventType.LOST, "It may still run.", happening=Happening.LOST)

    await amend(core.engine.ledger, task.task_id, lose, clock=core.engine.clock)


async def test_a_failure_after_a_stop_that_reached_nobody_is_the_tasks_own(workshop: Workshop) -> None:
    async with workshop.open(step_seconds=0.15) as core:
        task = await core.started("[fail at 8] [steps=20]", keep_alive=True)
        deed: dict[str, Any] = {"status": 503, "headers": {"Retry-After": "0.01"}}
        core.lightcone.faults.add(_fault(f"/agent/tasks/{task.northstar_task_id}/*", times=6, **deed))
        stopped = await stop(core.engine, task.task_id, principal="local")
        task = await core.ended(task)
    assert not stopped.confirmed
    assert task.state is State.FAILED
    assert task.error is not None


async def test_a_page_in_place_of_an_answer_confirms_no_termination(workshop: Workshop) -> None:
    async with workshop.open(step_seconds=0.1) as core:
        page: dict[str, Any] = {"body": "<html>Sign in</html>", "headers": {"content-type": "text/html"}}
        core.lightcone.faults.add(_fault("/computers/*", method="DELETE", **page))
        task = await core.started("[steps=50]")
        unconfirmed = await stop(core.engine, task.task_id, principal="local")
        confirmed = await stop(core.engine, task.task_id, principal="local")
    assert (unconfirmed.confirmed, confirmed.confirmed) == (False, True)
    assert (unconfirmed.task.state, confirmed.task.state) == (State.PAUSED, State.STOPPED)


async def test_a_task_whose_end_was_written_down_by_another_is_followed_no_more(workshop: Workshop) -> None:
    """Its stream may stay silent for ever: a terminated computer says nothing."""
    async with workshop.open(step_seconds=0.1) as core:
        task = await core.started("[wedge at 2] [steps=50]")
        await stop(core.engine, task.task_id, principal="local")
        while core.engine.statistics().following:  # noqa: ASYNC110 - nothing tells of it, and the fixture bounds the time
            await anyio.sleep(0.02)


async def test_a_task_that_was_resumed_elsewhere_is_running(workshop: Workshop) -> None:
    async with workshop.open(step_seconds=0.05) as core:
        task = await core.started("[steps=20]")
        await pause(core.engine, task.task_id, principal="local")
        await core.lightcone.post(f"/agent/tasks/{task.northstar_task_id}/resume")
        await core.until(task, State.RUNNING)
        assert (await core.ended(task)).state is State.COMPLETED
        resumed = [event for event in await core.events(task) if event.type is EventType.RESUMED]
        assert "elsewhere" in resumed[0].text


async def test_steps_that_were_taken_before_a_pause_and_come_behind_it_do_not_end_it(workshop: Workshop) -> None:
    """The stream was broken at the pause: what it brings when it is back is older than that."""
    timing = slower(first_retry_seconds=0.2, last_retry_seconds=0.2, settle_seconds=10)
    async with workshop.open(step_seconds=0.04, timing=timing) as core:
        core.lightcone.faults.add(_fault("/agent/tasks/stream", drop="after_frames", count=2))
        core.lightcone.faults.add(_fault("/agent/tasks/*/stream", status=503, times=3))
        task = await core.started("[steps=30]")
        await anyio.sleep(0.5)
        await pause(core.engine, task.task_id, principal="local")
        paused_at = (await core.task(task)).steps
        with core.engine.feed.watch(task.task_id) as watch:
            while (task := await core.task(task)).steps < paused_at + 3:
                await watch.changed()
        await anyio.sleep(0.1)
        assert (await core.task(task)).state is State.PAUSED
        await resume(core.engine, task.task_id, principal="local")
        assert (await core.ended(task)).state is State.COMPLETED


async def test_a_person_who_was_needed_before_a_resume_is_not_needed_because_it_is_told_later(
    workshop: Workshop,
) -> None:
    """The stream was broken when it was said; it comes when the task has long been resumed."""
    timing = slower(first_retry_seconds=0.2, last_retry_seconds=0.2, settle_seconds=10)
    async with workshop.open(step_seconds=0.15, timing=timing) as core:
        core.lightcone.faults.add(_fault("/agent/tasks/stream", drop="after_frames", count=2))
        core.lightcone.faults.add(_fault("/agent/tasks/*/stream", status=503, times=6))
        task = await core.started("[login at 2] [steps=4]")
        await core.lightcone.until(str(task.northstar_task_id), "paused")
        await resume(core.engine, task.task_id, principal="local")
        states = set()
        with core.engine.feed.watch(task.task_id) as watch:
            while not (task := await core.task(task)).state.ended:
                states.add(task.state)
                await watch.changed()
        assert states == {State.RUNNING}
        assert EventType.NEEDS_INPUT in await core.types(task)


async def _written_down(workshop: Workshop, **more: Any) -> Task:
    """A task that is in the ledger, and that no process follows yet."""
    now = SystemClock().now()
    task = Task(
        **{
            "task_id": "task_written_down",
            "principal": "local",
            "account": "account",
            "request": TaskRequest(instruction=ANSWER, max_steps=50, max_duration_seconds=60),
            "idempotency_key": "northstar-mcp-task_written_down",
            "fingerprint": "f",
            "created_at": now,
            "updated_at": now,
            **more,
        }
    )
    async with open_ledger(workshop.folder) as ledger:
        return await ledger.add(task, repeats_since=now)


def _fault(path: str, *, method: str = "*", times: int = 1, **deed: Any) -> Fault:
    if "body" in deed:
        deed.setdefault("status", 200)
    return Fault.model_validate({"match": {"method": method, "path": path}, "times": times, "do": deed})

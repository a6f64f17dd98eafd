"""The follower against a Lightcone that breaks, forgets, falls silent and never says its task's name."""

import anyio
import pytest

from northstar_mcp.simulator import Fault
from northstar_mcp.tasks.model import EventType
from northstar_mcp.tasks.states import State
from tests.tasks.conftest import Workshop, slower

pytestmark = pytest.mark.anyio


async def test_a_task_is_started_once_and_its_answer_is_kept(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.ended((await core.start("[steps=3] [result=all done]")).task)
        assert (task.state, task.result, task.steps) == (State.COMPLETED, "all done", 3)
        assert task.northstar_task_id == core.lightcone.journal.starts[0].task_id
        assert task.computer_id is not None
        assert core.lightcone.journal.counts["tasks_started"] == 1
        events = await core.events(task)
        assert [event.seq for event in events] == list(range(1, task.seq + 1))
        assert [e.upstream_type for e in events] == core.lightcone.journal.frame_types(task.northstar_task_id)


async def test_a_broken_stream_is_found_back_without_a_gap_or_a_double(workshop: Workshop) -> None:
    async with workshop.open() as core:
        core.lightcone.faults.add(_drop("/agent/tasks/stream", after=4))
        core.lightcone.faults.add(_drop("/agent/tasks/*/stream", after=2))
        task = await core.ended((await core.start("[steps=5] [result=all done]")).task)
        assert (task.state, task.result) == (State.COMPLETED, "all done")
        assert task.northstar_task_id is not None
        sent = core.lightcone.journal.frame_types(task.northstar_task_id)
        assert [event.upstream_type for event in await core.events(task)] == sent
        assert core.lightcone.journal.counts["tasks_started"] == 1


@pytest.mark.parametrize("reattach", ["off", "get"])
async def test_where_there_is_no_way_back_the_end_is_asked_for_and_the_gap_is_told(
    workshop: Workshop, reattach: str
) -> None:
    async with workshop.open("reattach=none", reattach=reattach) as core:
        core.lightcone.faults.add(_drop("/agent/tasks/stream", after=3))
        task = await core.ended((await core.start("[steps=4]")).task)
        assert (task.state, task.result, task.upstream_status) == (State.COMPLETED, None, "completed")
        types = await core.types(task)
        assert types.count(EventType.GAP) == 1
        assert types[-1] is EventType.COMPLETED
        assert core.lightcone.journal.counts["tasks_started"] == 1


async def test_a_way_back_that_starts_a_second_task_stops_that_one(workshop: Workshop) -> None:
    async with workshop.open("idempotent_stream=no", reattach="post") as core:
        core.lightcone.faults.add(_drop("/agent/tasks/stream", after=3))
        task = await core.ended((await core.start("[steps=30]")).task)
        assert task.state is State.COMPLETED
        calls = [(call.method, call.path) for call in core.lightcone.journal.calls]
        assert ("POST", f"/agent/tasks/{task.second_task_id}/pause") in calls
        assert core.lightcone.journal.counts["tasks_started"] == 2


async def test_an_answer_in_the_status_is_taken_where_the_stream_is_gone(workshop: Workshop) -> None:
    async with workshop.open("reattach=none, status_fields=extra") as core:
        core.lightcone.faults.add(_drop("/agent/tasks/stream", after=3))
        task = await core.ended((await core.start("[steps=4] [result=from the status]")).task)
        assert (task.state, task.result) == (State.COMPLETED, "from the status")


async def test_a_stream_that_ends_without_an_end_is_asked_about(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.ended((await core.start("[crash at 2]")).task)
        assert task.state is State.FAILED
        assert task.error is not None


async def test_a_wedged_stream_does_not_hide_the_end(workshop: Workshop) -> None:
    async with workshop.open("reattach=none") as core:
        task = (await core.start("[wedge at 2]")).task
        task = await core.until(task, State.RUNNING)
        assert task.northstar_task_id is not None
        core.lightcone.faults.add(_answer(f"/agent/tasks/{task.northstar_task_id}", {"status": "completed"}, times=99))
        task = await core.ended(task)
        assert task.state is State.COMPLETED


@pytest.mark.parametrize("dialect", ["out_of_steps=ends", "out_of_steps=status_running", "out_of_steps=silent"])
async def test_used_up_steps_are_an_end_however_lightcone_tells_it(workshop: Workshop, dialect: str) -> None:
    async with workshop.open(dialect) as core:
        task = await core.ended((await core.start("[steps=9]", max_steps=2)).task)
        assert (task.state, task.steps) == (State.OUT_OF_STEPS, 2)


async def test_a_task_past_its_limit_is_stopped_by_this_server(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started("[wedge at 2]", max_duration_seconds=1)
        task = await core.ended(task)
        assert task.state is State.OUT_OF_TIME
        assert task.error is None
        calls = [(call.method, call.path) for call in core.lightcone.journal.calls]
        assert ("POST", f"/agent/tasks/{task.northstar_task_id}/pause") in calls
        assert ("DELETE", f"/computers/{task.computer_id}") in calls


@pytest.mark.parametrize("dialect", ["task_id=header", "task_id=frames"])
async def test_the_name_is_learnt_from_frames_or_from_the_header(workshop: Workshop, dialect: str) -> None:
    async with workshop.open(dialect) as core:
        task = await core.ended((await core.start("[steps=2]")).task)
        assert task.northstar_task_id == core.lightcone.journal.starts[0].task_id
        assert len(core.lightcone.journal.starts) == 1


async def test_a_task_whose_name_is_never_told_still_gives_its_answer(workshop: Workshop) -> None:
    async with workshop.open("task_id=nowhere") as core:
        task = await core.ended((await core.start("[steps=2] [result=here]")).task)
        assert (task.state, task.result, task.northstar_task_id) == (State.COMPLETED, "here", None)
        assert core.lightcone.journal.counts["tasks_started"] == 1


async def test_a_nameless_task_is_asked_for_by_its_key_after_a_break(workshop: Workshop) -> None:
    async with workshop.open("task_id=nowhere, shared_keys=yes") as core:
        core.lightcone.faults.add(_drop("/agent/tasks/stream", after=3))
        task = await core.ended((await core.start("[steps=4] [result=here]")).task)
        assert (task.state, task.result) == (State.COMPLETED, "here")
        assert core.lightcone.journal.counts["tasks_started"] == 1


async def test_a_second_task_started_by_asking_is_stopped_and_told(workshop: Workshop) -> None:
    async with workshop.open("task_id=nowhere, shared_keys=no") as core:
        core.lightcone.faults.add(_drop("/agent/tasks/stream", after=3))
        task = await core.ended((await core.start("[steps=400] [step_seconds=0.02]")).task)
        assert task.state is State.UNKNOWN
        assert task.second_task_id is not None
        calls = [(call.method, call.path) for call in core.lightcone.journal.calls]
        assert ("POST", f"/agent/tasks/{task.second_task_id}/pause") in calls
        assert any("second task" in event.text for event in await core.events(task))


async def test_a_lost_first_answer_is_asked_for_under_the_same_key(workshop: Workshop) -> None:
    async with workshop.open("shared_keys=yes") as core:
        for _ in range(2):
            core.lightcone.faults.add(
                Fault.model_validate(
                    {"match": {"path": "/agent/tasks/stream"}, "do": {"status": 500, "processed": True}}
                )
            )
        task = await core.ended((await core.start("[steps=3] [result=found]")).task)
        assert (task.state, task.result) == (State.COMPLETED, "found")
        assert core.lightcone.journal.counts["tasks_started"] == 1
        assert task.northstar_task_id is not None
        types = [event.upstream_type for event in await core.events(task) if event.upstream_type is not None]
        assert types == core.lightcone.journal.frame_types(task.northstar_task_id)


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (400, "invalid_request"),
        (401, "key_rejected"),
        (402, "out_of_credits"),
        (403, "not_allowed"),
        (429, "concurrent_limit"),
    ],
)
async def test_a_refused_start_is_a_failed_task_with_a_remedy(workshop: Workshop, status: int, category: str) -> None:
    async with workshop.open() as core:
        core.lightcone.faults.add(
            Fault.model_validate(
                {"match": {"path": "/agent/tasks/stream"}, "times": 9, "do": {"status": status, "body": {}}}
            )
        )
        task = await core.ended((await core.start("[steps=3]")).task)
        assert task.state is State.FAILED
        assert task.error is not None
        assert task.error.category == category
        assert task.error.remedy
        assert core.lightcone.journal.counts["tasks_started"] == 0


async def test_a_refusal_behind_a_lost_start_is_not_taken_for_the_last_word(workshop: Workshop) -> None:
    """The first attempt was carried out and takes the only room: the second is refused for want of room."""
    async with workshop.open(max_computers=1) as core:
        core.lightcone.faults.add(
            Fault.model_validate({"match": {"path": "/agent/tasks/stream"}, "do": {"drop": "before_response"}})
        )
        core.lightcone.faults.add(
            Fault.model_validate({"match": {"path": "/agent/tasks/stream"}, "do": {"status": 429}})
        )
        task = await core.ended((await core.start("[steps=3] [result=found]")).task)
        assert (task.state, task.result) == (State.COMPLETED, "found")
        assert core.lightcone.journal.counts["tasks_started"] == 1


async def test_a_refusal_for_want_of_room_names_what_takes_it(workshop: Workshop) -> None:
    async with workshop.open(max_computers=1) as core:
        first = await core.started("[steps=400] [step_seconds=0.02]")
        task = await core.ended((await core.start("[steps=3]")).task)
        assert task.error is not None
        assert task.error.category == "concurrent_limit"
        assert f"{first.task_id} (running)" in task.error.message
        assert "stop" not in task.error.remedy


async def test_a_restarted_engine_follows_on(workshop: Workshop) -> None:
    async with workshop.open(timing=slower(stall_seconds=5)) as core:
        lightcone = core.lightcone
        async with workshop.engine(lightcone, account="other") as first:
            task = await first.started("[steps=40] [step_seconds=0.03] [result=later]")
        assert (await core.task(task)).state is State.RUNNING
        async with workshop.engine(lightcone, account="other") as second:
            task = await second.ended(task)
            assert (task.state, task.result) == (State.COMPLETED, "later")
            assert task.northstar_task_id is not None
            sent = lightcone.journal.frame_types(task.northstar_task_id)
            assert [event.upstream_type for event in await second.events(task)] == sent
        assert lightcone.journal.counts["tasks_started"] == 1


async def test_two_engines_on_one_ledger_follow_a_task_once(workshop: Workshop) -> None:
    async with workshop.open() as core, workshop.engine(core.lightcone) as other:
        task = (await core.start("[steps=30] [result=once]")).task
        task = await other.ended(task)
        assert task.result == "once"
        streams = [c for c in core.lightcone.journal.calls if c.path.endswith("/stream")]
        assert len(streams) <= 1  # the call is written down when it is over
        assert core.lightcone.journal.counts["tasks_started"] == 1


async def test_a_task_of_another_account_is_left_alone(workshop: Workshop) -> None:
    async with workshop.open() as core:
        async with workshop.engine(core.lightcone, account="other") as first:
            task = await first.started("[steps=400] [step_seconds=0.02]")
        await anyio.sleep(0.3)  # several sweeps
        assert core.engine.statistics().following == ()
        assert not (await core.task(task)).state.ended


async def test_frames_without_ids_are_not_doubled_by_a_way_back(workshop: Workshop) -> None:
    async with workshop.open("frame_ids=absent") as core:
        core.lightcone.faults.add(_drop("/agent/tasks/stream", after=4))
        task = await core.ended((await core.start("[steps=5] [result=all done]")).task)
        assert (task.state, task.result) == (State.COMPLETED, "all done")
        assert (await core.types(task)).count(EventType.GAP) == 1
        thoughts = [event.text for event in await core.events(task) if event.type is EventType.THINKING]
        assert len(thoughts) == len(set(thoughts))


async def test_a_login_is_told_and_a_resume_goes_on(workshop: Workshop) -> None:
    from northstar_mcp.tasks.steering import resume

    async with workshop.open() as core:
        task = (await core.start("[login at 2] [steps=3] [result=in]")).task
        task = await core.until(task, State.NEEDS_INPUT)
        await resume(core.engine, task.task_id, principal="local")
        task = await core.ended(task)
        assert (task.state, task.result) == (State.COMPLETED, "in")


def _drop(path: str, *, after: int) -> Fault:
    return Fault.model_validate({"match": {"path": path}, "do": {"drop": "after_frames", "count": after}})


def _answer(path: str, body: dict[str, object], *, times: int) -> Fault:
    return Fault.model_validate(
        {"match": {"method": "GET", "path": path}, "times": times, "do": {"status": 200, "body": body}}
    )

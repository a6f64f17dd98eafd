"""The table of states, and the draft that applies it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.model import EventType, Observation, Receipt, ReceiptState, Task, TaskRequest
from northstar_mcp.tasks.states import ENDS, TRANSITIONS, Happening, IllegalMove, State, after

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TASK = Task(
    task_id="task_1",
    principal="local",
    request=TaskRequest(instruction="do it", max_steps=10, max_duration_seconds=60),
    idempotency_key="key",
    fingerprint="print",
    created_at=NOW,
    updated_at=NOW,
)

observations = st.builds(
    Observation,
    type=st.sampled_from(EventType),
    text=st.text(max_size=20),
    happening=st.none() | st.sampled_from([h for h in Happening if h is not Happening.START_REFUSED]),
    result=st.none() | st.text(max_size=5),
    step=st.none() | st.integers(0, 50),
)


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


def test_the_ends_are_the_six_of_the_design() -> None:
    assert {state.value for state in ENDS} == {
        "completed",
        "failed",
        "stopped",
        "out_of_steps",
        "out_of_time",
        "unknown",
    }


@given(st.sampled_from(sorted(ENDS)), st.sampled_from(Happening))
def test_no_end_is_left(state: State, happening: Happening) -> None:
    with pytest.raises(IllegalMove):
        after(state, happening)


@given(st.sampled_from([s for s in State if not s.ended]), st.sampled_from([h for h in Happening if h.ends]))
def test_every_living_state_can_end_in_every_way(state: State, happening: Happening) -> None:
    assert after(state, happening).ended


@given(st.lists(observations, max_size=30))
def test_events_are_numbered_without_gaps_and_a_finished_task_never_changes_again(seen: list[Observation]) -> None:
    draft = Draft(TASK, at=NOW)
    finished: Task | None = None
    for observation in seen:
        draft.observe(observation)
        if finished is not None:
            assert draft.task == finished
        elif draft.task.state.ended:
            finished = draft.task
    if draft.changed:
        change = draft.change()
        assert [event.seq for event in change.events] == list(range(1, len(change.events) + 1))
        assert change.task.seq == len(change.events)
        assert (change.task.ended_at is not None) is change.task.state.ended
        assert change.task.revision == 1


@given(st.lists(observations, max_size=30))
def test_steps_never_go_back(seen: list[Observation]) -> None:
    draft, last = Draft(TASK, at=NOW), 0
    for observation in seen:
        draft.observe(observation)
        assert draft.task.steps >= last
        last = draft.task.steps


def test_a_name_once_learnt_stays() -> None:
    draft = Draft(TASK, at=NOW)
    draft.learn(northstar_task_id="one")
    draft.learn(northstar_task_id="two")
    assert draft.task.northstar_task_id == "one"


def test_a_task_that_fails_while_it_is_stopped_was_stopped() -> None:
    draft = Draft(replace(TASK, state=State.RUNNING, stopping=Happening.STOPPED), at=NOW)
    draft.observe(Observation(type=EventType.FAILED, text="Failed", happening=Happening.FAILED))
    assert draft.task.state is State.STOPPED
    assert draft.task.error is None


def test_a_message_that_waits_for_the_resume_is_not_picked_up_before_it() -> None:
    receipt = Receipt(message_id="m", task_id="task_1", message="hi", state=ReceiptState.QUEUED, seq=1, at=NOW)
    draft = Draft(replace(TASK, state=State.PAUSED), at=NOW, receipts=(receipt,))
    thinking = Observation(type=EventType.THINKING, text="…", happening=Happening.ACTED)
    draft.observe(thinking)
    assert not draft.change().receipts
    draft.tell(EventType.RESUMED, "Resumed", happening=Happening.RESUME_CONFIRMED)
    draft.observe(thinking)
    assert [r.state for r in draft.change().receipts] == [ReceiptState.PICKED_UP]


def test_a_message_that_nobody_read_is_too_late() -> None:
    receipt = Receipt(message_id="m", task_id="task_1", message="hi", state=ReceiptState.ACCEPTED, seq=1, at=NOW)
    draft = Draft(replace(TASK, state=State.RUNNING), at=NOW, receipts=(receipt,))
    draft.observe(Observation(type=EventType.COMPLETED, text="Done", happening=Happening.COMPLETED))
    assert [r.state for r in draft.change().receipts] == [ReceiptState.TOO_LATE]

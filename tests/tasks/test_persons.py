"""A person's part in a task: what they are asked, what is known of it, and how Northstar goes on."""

from itertools import pairwise

import anyio
import pytest

from northstar_mcp.errors import NorthstarError
from northstar_mcp.simulator import Fault
from northstar_mcp.tasks.amending import amend
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.model import EventType, ReceiptState, Task
from northstar_mcp.tasks.persons import MOST_DISMISSALS, Need, Outcome, Question, answered, need_of
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.steering import LOOK_AGAIN, pause, resume
from tests.tasks.conftest import Core, Workshop

pytestmark = pytest.mark.anyio

LONG = "[steps=49] [step_seconds=0.04]"
LOGIN = "[login at 2] [steps=4]"


async def needed(core: Core, task: Task) -> Need:
    need = await need_of(core.engine, task.task_id, principal="local")
    assert need is not None
    return need


async def waiting(core: Core, words: str = LOGIN) -> Task:
    task = await core.until((await core.start(words)).task, State.NEEDS_INPUT)
    with core.engine.feed.watch(task.task_id) as watch:
        while (await core.types(task)).count(EventType.NEEDS_INPUT) < 2:  # that its computer is parked comes second
            await watch.changed()
    return task


async def test_a_log_in_is_one_need_with_the_reason_in_it(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await waiting(core)
        need = await needed(core, task)

        assert "log-in" in need.text
        assert need.question is Question.STEP_IN


async def test_a_task_that_runs_needs_nobody(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)

        assert await need_of(core.engine, task.task_id, principal="local") is None


async def test_each_question_has_a_key_of_its_own(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await waiting(core)
        keys = [(await needed(core, task)).key]
        for outcome in (Outcome.DISMISSED, Outcome.OPENED, Outcome.DISMISSED):
            await answered(core.engine, await needed(core, task), outcome, principal="local")
            keys.append((await needed(core, task)).key)

        assert len(set(keys)) == 4


@pytest.mark.parametrize(
    ("outcomes", "question"),
    [
        ([Outcome.OPENED], Question.DONE),
        ([Outcome.DECLINED], None),
        ([Outcome.OPENED, Outcome.DECLINED], None),
        ([Outcome.DISMISSED] * (MOST_DISMISSALS - 1), Question.STEP_IN),
        ([Outcome.DISMISSED] * MOST_DISMISSALS, None),
    ],
)
async def test_what_is_asked_next_follows_from_what_was_said(
    workshop: Workshop, outcomes: list[Outcome], question: Question | None
) -> None:
    async with workshop.open() as core:
        task = await waiting(core)
        for outcome in outcomes:
            await answered(core.engine, await needed(core, task), outcome, principal="local")

        assert (await needed(core, task)).question is question


async def test_northstar_looks_again_before_it_goes_on(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await waiting(core)

        said = await answered(core.engine, await needed(core, task), Outcome.DONE, principal="local")

        assert "look at the screen again" in said
        task = await core.ended(task)
        assert task.state is State.COMPLETED
        (receipt,) = await core.engine.ledger.receipts(task.task_id)
        assert (receipt.message, receipt.state) == (LOOK_AGAIN, ReceiptState.PICKED_UP)
        types = [each for each in await core.types(task) if each in (EventType.MESSAGE, EventType.RESUMED)]
        assert types == [EventType.MESSAGE, EventType.RESUMED]


async def test_where_a_parked_task_takes_no_message_it_is_told_right_after(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await waiting(core, "[login at 2] [steps=20] [step_seconds=0.2]")
        refusal = {"match": {"method": "POST", "path": "/agent/tasks/*/messages"}, "times": 1, "do": {"status": 409}}
        core.lightcone.faults.add(Fault.model_validate(refusal))

        done = await resume(core.engine, task.task_id, principal="local")

        assert "look at the screen again" in done.words
        receipts = await core.engine.ledger.receipts(task.task_id)
        assert [receipt.message for receipt in receipts] == [LOOK_AGAIN] * 2


async def test_that_it_could_not_be_told_is_said(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await waiting(core)
        refusal = {"match": {"method": "POST", "path": "/agent/tasks/*/messages"}, "times": 9, "do": {"status": 409}}
        core.lightcone.faults.add(Fault.model_validate(refusal))

        done = await resume(core.engine, task.task_id, principal="local")

        assert "may act on what it saw before" in done.words
        assert done.task.state in (State.RUNNING, State.COMPLETED)


async def test_a_plain_resume_says_nothing_to_northstar(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        await pause(core.engine, task.task_id, principal="local")
        await resume(core.engine, task.task_id, principal="local")

        assert not await core.engine.ledger.receipts(task.task_id)


async def test_the_assistant_hands_the_computer_over_and_may_ask_for_something_else(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        needs = []
        for words in ("Choose a seat.", "Choose a meal."):
            done = await pause(core.engine, task.task_id, principal="local", hand_over=words)
            assert done.task.state is State.NEEDS_INPUT
            needs.append(await needed(core, task))
            await answered(core.engine, needs[-1], Outcome.DECLINED, principal="local")

        assert [need.text for need in needs] == ["Choose a seat.", "Choose a meal."]
        assert all(before.key != after.key for before, after in pairwise(needs))


async def test_an_answer_that_comes_after_the_task_went_on_changes_nothing(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await waiting(core)
        need = await needed(core, task)
        await resume(core.engine, task.task_id, principal="local")

        await answered(core.engine, need, Outcome.DECLINED, principal="local")

        assert EventType.ANSWERED not in await core.types(task)


async def test_what_northstar_still_does_when_it_is_held_does_not_take_the_task_from_the_user(
    workshop: Workshop,
) -> None:
    async with workshop.open() as core:
        task = await core.started("[steps=40] [step_seconds=0.3]")
        for _ in range(3):
            await pause(core.engine, task.task_id, principal="local", hand_over="Choose a seat.")
            seen = (await core.task(task)).seq
            with anyio.move_on_after(0.6), core.engine.feed.watch(task.task_id) as watch:
                while True:
                    await watch.changed()
            assert (await core.task(task)).state is State.NEEDS_INPUT
            await needed(core, task)
            done = await resume(core.engine, task.task_id, principal="local")
            assert "look at the screen again" in done.words
            assert done.task.seq > seen


async def test_one_answer_counts_however_often_it_is_given(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await waiting(core)
        await answered(core.engine, await needed(core, task), Outcome.OPENED, principal="local")
        need = await needed(core, task)

        said: list[str] = []
        async with anyio.create_task_group() as group:
            for _ in range(3):

                async def say() -> None:
                    said.append(await answered(core.engine, need, Outcome.DONE, principal="local"))

                group.start_soon(say)

        assert sum("look at the screen again" in each for each in said) == 1
        assert len(await core.engine.ledger.receipts(task.task_id)) == 1
        assert (await core.types(task)).count(EventType.RESUMED) == 1


async def test_an_old_answer_does_nothing_to_a_later_need(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        await pause(core.engine, task.task_id, principal="local", hand_over="Choose a seat.")
        await answered(core.engine, await needed(core, task), Outcome.OPENED, principal="local")
        old = await needed(core, task)
        await pause(core.engine, task.task_id, principal="local", hand_over="Approve the payment.")

        said = await answered(core.engine, old, Outcome.DONE, principal="local")

        assert "too late" in said
        assert (await needed(core, task)).text == "Approve the payment."


async def test_who_was_done_while_lightcone_could_not_be_told_is_asked_again(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await waiting(core)
        await answered(core.engine, await needed(core, task), Outcome.OPENED, principal="local")
        away = {"match": {"method": "POST", "path": "/agent/tasks/*/resume"}, "times": 9, "do": {"status": 503}}
        core.lightcone.faults.add(Fault.model_validate(away))

        with pytest.raises(NorthstarError):
            await answered(core.engine, await needed(core, task), Outcome.DONE, principal="local")

        assert (await needed(core, task)).question is Question.DONE


async def test_a_need_is_not_forgotten_behind_many_events(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await waiting(core)
        before = await needed(core, task)

        def tell(draft: Draft) -> None:
            for number in range(250):
                draft.tell(EventType.PROGRESS, f"still waiting {number}")

        await amend(core.engine.ledger, task.task_id, tell, clock=core.engine.clock)

        assert (await needed(core, task)).key == before.key

"""The user is asked by the host: for their help where a task needs a person, for their word where the operator demands it."""

from typing import Any

import pytest
from mcp import MCPError
from mcp_types import ElicitRequestFormParams, ElicitResult, ErrorData, Implementation, InputRequiredResult
from typing_extensions import override

from northstar_mcp.server import door
from northstar_mcp.tasks.model import EventType
from northstar_mcp.tasks.policy import Policy
from northstar_mcp.tasks.steering import LOOK_AGAIN
from tests.server.conftest import ERAS, Desk, House, connected, facts_of, text_of
from tests.server.users import User, standing

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("era", ERAS)
LOGIN = "[login at 2] Read my mail"
ALWAYS = Policy(confirm="always")
RISKY = Policy(confirm="risky")


async def waiting(desk: Desk) -> str:
    """A task that waits for a person."""
    facts = await desk.facts("start_task", instruction=LOGIN, wait_seconds=0)
    return (await standing(desk, facts["task_id"], "needs_input")).task_id


# ---- help


@BOTH
async def test_the_user_is_sent_to_the_live_view_and_says_when_they_are_done(house: House, era: str) -> None:
    user = User(["accept", "accept"])
    async with house.open(era=era, client={"elicitation_callback": user}) as desk:
        task_id = await waiting(desk)
        url = (await desk.task(task_id)).live_view_url

        facts = await desk.facts("task_status", task_id=task_id, wait_seconds=5)

        assert user.urls == [url]
        assert len(user.asked) == 2
        assert "The user says that they have done their part." in facts["summary"]
        assert "look at the screen again" in facts["summary"]
        assert facts["state"] in ("running", "completed")
        receipts = await desk.engine.ledger.receipts(task_id)
        assert [receipt.message for receipt in receipts] == [LOOK_AGAIN]


@BOTH
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_user_who_does_not_help_is_said_to(house: House, era: str, action: Any) -> None:
    user = User([action])
    async with house.open(era=era, client={"elicitation_callback": user}) as desk:
        task_id = await waiting(desk)

        facts = await desk.facts("task_status", task_id=task_id, wait_seconds=5)

        assert facts["state"] == "needs_input"
        assert {"decline": "The user declined.", "cancel": "gave no answer"}[action] in facts["summary"]
        assert {"decline": "stop_task", "cancel": facts["live_view_url"]}[action] in facts["next_step"]
        assert len(user.asked) == 1


@BOTH
async def test_a_user_who_declined_is_not_asked_again(house: House, era: str) -> None:
    user = User(["decline"])
    async with house.open(era=era, client={"elicitation_callback": user}) as desk:
        task_id = await waiting(desk)
        for _ in range(3):
            await desk.facts("task_status", task_id=task_id)

        assert len(user.asked) == 1


@BOTH
async def test_a_user_who_gives_no_answer_is_asked_three_times_at_most(house: House, era: str) -> None:
    user = User()
    async with house.open(era=era, client={"elicitation_callback": user}) as desk:
        task_id = await waiting(desk)
        for _ in range(5):
            await desk.facts("task_status", task_id=task_id)

        assert len(user.asked) == 3


async def test_a_question_that_hangs_ends_in_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "ASK_SECONDS", 0.2)
    user = User(is_away=True)
    async with house.open(era="legacy", client={"elicitation_callback": user}) as desk:
        task_id = await waiting(desk)

        facts = await desk.facts("task_status", task_id=task_id)

        assert "gave no answer" in facts["summary"]
        assert user.urls


@BOTH
async def test_a_host_that_cannot_ask_gets_the_way_in(house: House, era: str) -> None:
    async with house.open(era=era) as desk:
        task_id = await waiting(desk)

        facts = await desk.facts("task_status", task_id=task_id)

        assert facts["live_view_url"] in facts["next_step"]


@BOTH
async def test_a_host_that_is_known_not_to_ask_is_not_relied_on(house: House, era: str) -> None:
    user = User(["accept"])
    codex: dict[str, Any] = {
        "elicitation_callback": user,
        "client_info": Implementation(name="codex-mcp-client", version="0.60.1"),
    }
    async with house.open(era=era, client=codex) as desk:
        task_id = await waiting(desk)
        await desk.facts("task_status", task_id=task_id, wait_seconds=1)

        assert not user.asked


@BOTH
async def test_the_assistant_can_hand_the_computer_to_the_user(house: House, era: str) -> None:
    user = User(["accept", "accept"])
    async with house.open(era=era, client={"elicitation_callback": user}, step_seconds=0.05) as desk:
        task_id = await desk.started("Read the long page [steps=400]", wait_seconds=0)
        facts = await desk.facts("pause", task_id=task_id, ask_user="Choose the seat you want.")
        assert facts["state"] == "needs_input"

        await desk.facts("task_status", task_id=task_id)

        assert "Choose the seat you want." in user.asked[0].message
        assert (await desk.task(task_id)).state == "running"


@BOTH
async def test_several_tasks_are_waited_for_and_the_user_is_asked_for_the_one_that_needs_them(
    house: House, era: str
) -> None:
    user = User(["accept", "accept"])
    async with house.open(era=era, client={"elicitation_callback": user}) as desk:
        task_id = await waiting(desk)

        facts = await desk.facts("wait_for_tasks", task_ids=[task_id], wait_seconds=5)

        assert len(user.asked) == 2
        assert "The user says that they have done their part." in facts["summary"]


async def test_what_the_user_said_is_on_record(house: House) -> None:
    async with house.open(client={"elicitation_callback": User(["accept", "decline"])}) as desk:
        task_id = await waiting(desk)
        await desk.facts("task_status", task_id=task_id)

        events = await desk.engine.ledger.events(task_id)

        said = [event.text for event in events if event.type is EventType.ANSWERED]
        assert said == ["The user was sent to the live view.", "The user declined."]


# ---- their word for a start


@BOTH
async def test_a_start_waits_for_the_users_word(house: House, era: str) -> None:
    user = User(["accept"])
    async with house.open(era=era, policy=ALWAYS, client={"elicitation_callback": user}) as desk:
        facts = await desk.facts("start_task", instruction="Buy the blue one", wait_seconds=5)

        assert facts["state"] == "completed"
        (question,) = user.asked
        assert isinstance(question, ElicitRequestFormParams)
        assert "Buy the blue one" in question.message
        assert desk.starts == 1


@BOTH
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_nothing_is_started_without_it(house: House, era: str, action: Any) -> None:
    async with house.open(era=era, policy=ALWAYS, client={"elicitation_callback": User([action])}) as desk:
        answer = await desk.call("start_task", instruction="Buy the blue one")

        assert answer.is_error
        assert facts_of(answer)["error"]["category"] == "unconfirmed"
        assert "nothing was started" in text_of(answer)
        assert desk.starts == 0


@BOTH
async def test_a_host_that_cannot_ask_cannot_start_what_must_be_confirmed(house: House, era: str) -> None:
    async with house.open(era=era, policy=ALWAYS) as desk:
        said = await desk.fault("start_task", instruction="Buy the blue one")

        assert "cannot ask them" in said
        assert desk.starts == 0


@pytest.mark.parametrize(
    ("arguments", "is_asked"),
    [({}, False), ({"persistent": True}, True), ({"persistent": False}, False), ({"keep_alive": True}, True)],
)
async def test_only_risky_starts_are_asked_for_where_the_operator_says_so(
    house: House, arguments: dict[str, Any], is_asked: bool
) -> None:
    user = User(["accept"])
    async with house.open(policy=RISKY, client={"elicitation_callback": user}) as desk:
        await desk.facts("start_task", instruction="Open the page", **arguments)

        assert bool(user.asked) is is_asked


async def test_the_word_for_one_start_is_no_word_for_another(house: House) -> None:
    async with house.open(policy=ALWAYS, client={"elicitation_callback": User()}) as desk:
        session = desk.client.session
        first = await session.call_tool("start_task", {"instruction": "Buy the blue one"}, allow_input_required=True)
        assert isinstance(first, InputRequiredResult)
        assert first.input_requests is not None
        words: Any = {key: ElicitResult(action="accept") for key in first.input_requests}

        with pytest.raises(MCPError, match="Invalid or expired requestState"):
            await session.call_tool(
                "start_task",
                {"instruction": "Buy all of them"},
                input_responses=words,
                request_state=first.request_state,
                allow_input_required=True,
            )
        unsealed = await session.call_tool(
            "start_task", {"instruction": "Buy all of them"}, input_responses=words, allow_input_required=True
        )

        assert isinstance(unsealed, InputRequiredResult)
        assert desk.starts == 0


async def test_a_word_given_before_a_restart_is_good_after_it(house: House) -> None:
    asking: dict[str, Any] = {"elicitation_callback": User()}
    arguments = {"instruction": "Buy the blue one"}
    async with house.workshop.open(policy=ALWAYS) as first:
        async with connected(first, **asking) as desk:
            asked = await desk.client.session.call_tool("start_task", arguments, allow_input_required=True)
            assert isinstance(asked, InputRequiredResult)
            assert asked.input_requests is not None
        async with (
            house.workshop.engine(first.lightcone, policy=ALWAYS) as second,
            connected(second, **asking) as desk,
        ):
            answer = await desk.client.session.call_tool(
                "start_task",
                arguments,
                input_responses={key: ElicitResult(action="accept") for key in asked.input_requests},
                request_state=asked.request_state,
            )

            assert facts_of(answer)["state"] == "starting"


async def test_one_word_is_good_for_one_task_however_often_it_is_brought(house: House) -> None:
    async with house.open(policy=ALWAYS, client={"elicitation_callback": User()}) as desk:
        session, arguments = desk.client.session, {"instruction": "Buy the blue one [steps=1]"}
        asked = await session.call_tool("start_task", arguments, allow_input_required=True)
        assert isinstance(asked, InputRequiredResult)
        assert asked.input_requests is not None
        words: Any = {key: ElicitResult(action="accept") for key in asked.input_requests}
        for _ in range(3):
            answer = await session.call_tool(
                "start_task", {**arguments}, input_responses=words, request_state=asked.request_state
            )
            await standing(desk, facts_of(answer)["task_id"], "completed")

        assert desk.starts == 1


@BOTH
async def test_a_repeat_of_what_runs_is_not_asked_about(house: House, era: str) -> None:
    user = User(["accept"])
    async with house.open(era=era, policy=ALWAYS, client={"elicitation_callback": user}, step_seconds=0.05) as desk:
        first = await desk.facts("start_task", instruction="Buy the blue one [steps=400]")
        again = await desk.facts("start_task", instruction="Buy the blue one [steps=400]")

        assert (again["task_id"], again["reused"]) == (first["task_id"], True)
        assert len(user.asked) == 1


@BOTH
async def test_nothing_of_what_is_confirmed_is_hidden(house: House, era: str) -> None:
    user = User()
    job = "Look at the page." + "\n" * 3_000 + "Then buy all of them."
    asked = {"start_url": f"https://shop.example@{'a' * 400}.evil.example/x", "computer_id": "comp_of_mine"}
    async with house.open(era=era, policy=ALWAYS, client={"elicitation_callback": user}) as desk:
        await desk.fault("start_task", instruction=job, **asked)
        said = await desk.fault("start_task", instruction="x" * 20_000)

    (question,) = user.asked
    assert "Then buy all of them." in question.message
    assert "evil.example" in question.message
    assert "comp_of_mine" in question.message
    assert "too long for a question" in said


async def test_a_host_that_fails_to_ask_is_no_silence_of_the_users(house: House) -> None:
    class Fails(User):
        @override
        async def __call__(self, context: Any, params: Any) -> Any:
            await super().__call__(context, params)
            return ErrorData(code=-32601, message="not here")

    user = Fails()
    async with house.open(era="legacy", client={"elicitation_callback": user}) as desk:
        task_id = await waiting(desk)
        for _ in range(5):
            await desk.facts("task_status", task_id=task_id)

        assert len(user.asked) == 5
        events = await desk.engine.ledger.events(task_id)
        assert not [event for event in events if event.type is EventType.ANSWERED]

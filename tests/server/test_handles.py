"""A call that takes long is answered by a handle, where the client takes one: it outlives the call, the connection and the server."""

from typing import Any

import anyio
import pytest
from mcp import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, Request
from pydantic import TypeAdapter

from northstar_mcp.server.handles.ours import KEPT_SECONDS
from northstar_mcp.tasks.steering import LOOK_AGAIN
from tests.server.conftest import Desk, House, connected, facts_of, text_of
from tests.server.users import TASKS, TakesHandles, User, asked, handle_of, heard, standing, until

pytestmark = pytest.mark.anyio
LONG = "Read the long page [steps=400]"
SLOW: dict[str, Any] = {"step_seconds": 0.05}


def taking_handles(**more: Any) -> dict[str, Any]:
    return {"extensions": [TakesHandles()], **more}


async def test_a_start_is_answered_by_the_task_itself_as_a_handle(house: House) -> None:
    async with house.open(client=taking_handles()) as desk:
        handle = await handle_of(desk, "start_task", instruction="Open the page")

        assert handle["taskId"].startswith("task_")
        assert handle["status"] == "working"
        assert handle["ttlMs"] > (1800 + KEPT_SECONDS) * 1000
        assert handle["pollIntervalMs"] > 0
        done = await until(desk, handle["taskId"], "completed")
        status = await desk.facts("task_status", task_id=handle["taskId"], wait_seconds=0)
        assert done["result"]["structuredContent"]["result"] == status["result"]
        assert desk.starts == 1


async def test_a_client_that_waits_for_its_handles_gets_the_answer_of_the_call(house: House) -> None:
    async with house.open(client=taking_handles()) as desk:
        answer = await desk.call("start_task", instruction="Open the page")

        assert facts_of(answer)["state"] == "completed"
        assert facts_of(answer)["result"] in text_of(answer)


async def test_a_client_that_does_not_declare_them_never_sees_one(house: House) -> None:
    async with house.open() as desk:
        facts = await desk.facts("start_task", instruction="Open the page")

        assert facts["state"] == "starting"
        with pytest.raises(MCPError) as refused:
            await asked(desk.client.session, "tasks/get", facts["task_id"])
        assert refused.value.error.data["requiredCapabilities"]["extensions"] == {TASKS: {}}


async def test_who_wants_an_answer_at_once_gets_it(house: House) -> None:
    async with house.open(client=taking_handles(), **SLOW) as desk:
        answer = await desk.client.session.call_tool("start_task", {"instruction": LONG, "wait_seconds": 0})
        assert isinstance(answer, CallToolResult)
        task_id = facts_of(answer)["task_id"]

        status = await desk.client.session.call_tool("task_status", {"task_id": task_id})

        assert isinstance(status, CallToolResult)


async def test_a_wait_that_was_asked_for_ends_in_its_time(house: House) -> None:
    async with house.open(client=taking_handles(), **SLOW) as desk:
        handle = await handle_of(desk, "start_task", instruction=LONG, wait_seconds=0.3)
        assert handle["taskId"].startswith("wait_")

        done = await until(desk, handle["taskId"], "completed")

        assert done["result"]["structuredContent"]["state"] == "running"
        assert done["result"]["structuredContent"]["reused"] is False


async def test_a_wait_for_several_ends_with_the_first(house: House) -> None:
    async with house.open(client=taking_handles(), **SLOW) as desk:
        ids = [await desk.started(words, wait_seconds=0) for words in (LONG, "Open the page")]
        handle = await handle_of(desk, "wait_for_tasks", task_ids=ids)

        done = await until(desk, handle["taskId"], "completed")

        assert [task["task_id"] for task in done["result"]["structuredContent"]["tasks"]] == [ids[1]]


async def test_a_status_that_waits_ends_when_the_task_does(house: House) -> None:
    async with house.open(client=taking_handles(), **SLOW) as desk:
        task_id = await desk.started("Open the page", wait_seconds=0)
        handle = await handle_of(desk, "task_status", task_id=task_id, wait_seconds=45)

        done = await until(desk, handle["taskId"], "completed")

        assert done["result"]["structuredContent"]["state"] == "completed"


@pytest.mark.parametrize("arguments", [{}, {"wait_seconds": 40}])
async def test_a_handle_outlives_the_server(house: House, arguments: dict[str, Any]) -> None:
    async with house.workshop.open(**SLOW) as first:
        async with connected(first, **taking_handles()) as desk:
            handle = await handle_of(desk, "start_task", instruction="Open the page", **arguments)
        async with house.workshop.engine(first.lightcone) as second, connected(second, **taking_handles()) as desk:
            done = await until(desk, handle["taskId"], "completed")

            assert done["result"]["structuredContent"]["state"] == "completed"


@pytest.mark.parametrize("handle", ["task_unknown", "wait_unknown", "wait_v1.AAAA", "", "日本"])
@pytest.mark.parametrize("method", ["tasks/get", "tasks/cancel", "tasks/update"])
async def test_a_handle_that_never_was_is_unknown(house: House, handle: str, method: str) -> None:
    more: dict[str, Any] = {"inputResponses": {}} if method == "tasks/update" else {}
    async with house.open(client=taking_handles()) as desk:
        with pytest.raises(MCPError) as refused:
            await asked(desk.client.session, method, handle, **more)

        assert refused.value.error.code == INVALID_PARAMS


async def test_cancelling_a_handle_stops_its_task(house: House) -> None:
    async with house.open(client=taking_handles(), **SLOW) as desk:
        handle = await handle_of(desk, "start_task", instruction=LONG)
        await desk.started(LONG, wait_seconds=0)

        await asked(desk.client.session, "tasks/cancel", handle["taskId"])
        await until(desk, handle["taskId"], "cancelled")
        await asked(desk.client.session, "tasks/cancel", handle["taskId"])

        assert (await desk.task(handle["taskId"])).state == "stopped"


async def test_a_call_that_cannot_begin_is_answered_as_ever(house: House) -> None:
    async with house.open(client=taking_handles()) as desk:
        for tool, arguments in (
            ("start_task", {"instruction": " "}),
            ("task_status", {"task_id": "task_unknown", "wait_seconds": 5}),
            ("wait_for_tasks", {"task_ids": []}),
        ):
            answer = await desk.client.session.call_tool(tool, arguments)

            assert isinstance(answer, CallToolResult)
            assert answer.is_error


async def test_a_task_that_needs_a_person_asks_through_its_handle(house: House) -> None:
    async with house.open(client=taking_handles(elicitation_callback=User())) as desk:
        handle = await handle_of(desk, "start_task", instruction="[login at 2] Read my mail")

        waiting = await until(desk, handle["taskId"], "input_required")
        ((key, ask),) = waiting["inputRequests"].items()
        assert ask["params"]["url"] == (await desk.task(handle["taskId"])).live_view_url
        await asked(desk.client.session, "tasks/update", handle["taskId"], inputResponses={key: {"action": "accept"}})
        again = await asked(desk.client.session, "tasks/get", handle["taskId"])
        ((done, question),) = again["inputRequests"].items()
        assert done != key
        assert question["params"]["mode"] == "form"
        await asked(desk.client.session, "tasks/update", handle["taskId"], inputResponses={key: {"action": "accept"}})
        assert (await desk.task(handle["taskId"])).state == "needs_input"
        await asked(desk.client.session, "tasks/update", handle["taskId"], inputResponses={done: {"action": "accept"}})

        assert (await until(desk, handle["taskId"], "completed"))["result"]["structuredContent"]["state"] == "completed"
        calls = [call.path.rsplit("/", 1)[-1] for call in desk.lightcone.journal.calls if call.method == "POST"]
        assert calls.index("messages") < calls.index("resume")
        assert [m.message for m in await desk.engine.ledger.receipts(handle["taskId"])] == [LOOK_AGAIN]


async def test_an_answer_that_is_none_is_refused_where_it_was_asked_for_and_ignored_elsewhere(house: House) -> None:
    async with house.open(client=taking_handles(elicitation_callback=User())) as desk:
        handle = await handle_of(desk, "start_task", instruction="[login at 2] Read my mail")
        (key,) = (await until(desk, handle["taskId"], "input_required"))["inputRequests"]

        await asked(desk.client.session, "tasks/update", handle["taskId"], inputResponses={"other": {"ignored": True}})
        with pytest.raises(MCPError) as refused:
            await asked(desk.client.session, "tasks/update", handle["taskId"], inputResponses={key: {"ignored": True}})

        assert refused.value.code == INVALID_PARAMS
        assert key in (await asked(desk.client.session, "tasks/get", handle["taskId"]))["inputRequests"]


async def test_a_client_that_asks_its_user_is_told_to_look_again_soon_after(house: House) -> None:
    """It answers and waits that long for what comes next, which may be a second question."""
    async with house.open(client=taking_handles(elicitation_callback=User())) as desk:
        start = await handle_of(desk, "start_task", instruction="[login at 2] Read my mail")
        status = await handle_of(desk, "task_status", task_id=start["taskId"], wait_seconds=45)

        for handle in (start, status):
            waiting = await until(desk, handle["taskId"], "input_required")

            assert waiting["pollIntervalMs"] == 2000


async def test_a_client_that_cannot_ask_its_user_is_promised_no_question(house: House) -> None:
    async with house.open(client=taking_handles()) as desk:
        handle = await handle_of(desk, "start_task", instruction="[login at 2] Read my mail")
        await standing(desk, handle["taskId"], "needs_input")

        facts = await asked(desk.client.session, "tasks/get", handle["taskId"])

        assert facts["status"] == "working"
        assert "waits for a person" in facts["statusMessage"]


async def test_who_listens_is_told_how_a_handle_stands(house: House) -> None:
    client = TakesHandles()
    async with house.open(client={"extensions": [client]}, **SLOW) as desk:
        handle = await handle_of(desk, "start_task", instruction="Open the page")

        async with anyio.create_task_group() as group:
            group.start_soon(listen, desk, handle["taskId"], "task_unknown")
            await heard(lambda: bool(client.told) and client.told[-1]["status"] == "completed")
            group.cancel_scope.cancel()

    assert [each["taskId"] for each in client.told] == [handle["taskId"]] * len(client.told)
    assert len({str(each) for each in client.told}) == len(client.told)
    assert client.told[-1]["result"]["structuredContent"]["state"] == "completed"


async def test_who_does_not_declare_handles_cannot_listen_to_them(house: House) -> None:
    async with house.open() as desk:
        with pytest.raises(MCPError, match="did not declare"):
            await listen(desk, "task_unknown")


async def listen(desk: Desk, *task_ids: str) -> None:
    request: Any = Request[dict[str, Any], str](
        method="subscriptions/listen", params={"notifications": {"taskIds": list(task_ids)}}
    )
    answer: Any = TypeAdapter(dict[str, Any])
    await desk.client.session.send_request(request, answer)


async def test_a_wait_that_has_ended_never_goes_on(house: House) -> None:
    async with house.open(client=taking_handles(), step_seconds=0.05) as desk:
        task_id = await desk.started("[login at 2] Read my mail [steps=30]", wait_seconds=0)
        await standing(desk, task_id, "needs_input")
        waits = [
            (await handle_of(desk, "task_status", task_id=task_id, since_seq=since, wait_seconds=40))["taskId"]
            for since in (0, (await desk.task(task_id)).seq)
        ]
        for each in waits:
            await until(desk, each, "completed")

        await desk.client.session.call_tool("resume", {"task_id": task_id})

        for each in waits:
            assert (await asked(desk.client.session, "tasks/get", each))["status"] == "completed"


async def test_who_listens_to_a_short_wait_is_told_its_end(house: House) -> None:
    client = TakesHandles()
    async with house.open(client={"extensions": [client]}, **SLOW) as desk:
        task_id = await desk.started(LONG, wait_seconds=0)
        handle = await handle_of(desk, "task_status", task_id=task_id, wait_seconds=0.2)
        async with anyio.create_task_group() as group:
            group.start_soon(listen, desk, handle["taskId"])
            await heard(lambda: bool(client.told) and client.told[-1]["status"] == "completed")
            group.cancel_scope.cancel()


async def test_cancelling_the_call_that_started_a_task_stops_it_though_it_waits_for_a_time(house: House) -> None:
    async with house.open(client=taking_handles(), **SLOW) as desk:
        handle = await handle_of(desk, "start_task", instruction=LONG, wait_seconds=40)
        (task,) = await desk.engine.ledger.page("local", states=None, limit=5, before=None)
        await desk.started(LONG, wait_seconds=0)

        await asked(desk.client.session, "tasks/cancel", handle["taskId"])

        assert (await standing(desk, task.task_id, "stopped")).state == "stopped"


async def test_a_handle_says_the_way_in_to_who_cannot_be_asked(house: House) -> None:
    async with house.open(client=taking_handles()) as desk:
        handle = await handle_of(desk, "start_task", instruction="[login at 2] Read my mail")
        task = await standing(desk, handle["taskId"], "needs_input")

        message = (await asked(desk.client.session, "tasks/get", handle["taskId"]))["statusMessage"]

        assert str(task.live_view_url) in message

"""The tasks of 2025-11-25, for clients that ask for them: the call is answered by a handle, and its result is waited for."""

from typing import Any

import pytest
from mcp import MCPError
from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND

from northstar_mcp.server.handles import legacy as module
from northstar_mcp.server.handles.legacy import RELATED
from tests.server.conftest import Desk, House
from tests.server.users import User

pytestmark = pytest.mark.anyio
LONG = "Read the long page [steps=400]"
SLOW: dict[str, Any] = {"step_seconds": 0.05}


async def ask(desk: Desk, method: str, **params: Any) -> dict[str, Any]:
    # The SDK's client knows these tasks' types and takes none of them for an answer: this goes below it.
    dispatcher: Any = desk.client.session._dispatcher
    answer: dict[str, Any] = await dispatcher.send_raw_request(method, params, None)
    return answer


async def begun(desk: Desk, tool: str, **arguments: Any) -> dict[str, Any]:
    """The handle that a call is answered with."""
    answer = await ask(desk, "tools/call", name=tool, arguments=arguments, task={"ttl": 60_000})
    handle: dict[str, Any] = answer["task"]
    return handle


async def test_they_are_said_to_be_served(house: House) -> None:
    async with house.open(era="legacy") as desk:
        tasks = desk.client.server_capabilities.tasks
        tools = (await desk.client.list_tools()).tools

    assert tasks is not None
    assert tasks.requests is not None
    assert tasks.list is not None
    assert tasks.cancel is not None
    supported = {
        tool.name for tool in tools if tool.execution is not None and tool.execution.task_support == "optional"
    }
    assert supported == {"start_task", "task_status", "wait_for_tasks"}


async def test_a_call_made_as_a_task_has_its_result_later(house: House) -> None:
    async with house.open(era="legacy") as desk:
        handle = await begun(desk, "start_task", instruction="Open the page")
        assert handle["status"] == "working"
        assert handle["ttl"] > 60_000

        result = await ask(desk, "tasks/result", taskId=handle["taskId"])

        assert result["structuredContent"]["state"] == "completed"
        assert result["_meta"][RELATED] == {"taskId": handle["taskId"]}
        assert (await ask(desk, "tasks/get", taskId=handle["taskId"]))["status"] == "completed"
        assert desk.starts == 1


async def test_a_call_that_is_not_made_as_a_task_is_answered_as_ever(house: House) -> None:
    async with house.open(era="legacy") as desk:
        facts = await desk.facts("start_task", instruction="Open the page")

        assert facts["state"] == "starting"


@pytest.mark.parametrize("more", [{}, {"wait_seconds": 0}, {"wait_seconds": 0.2}])
async def test_a_status_made_as_a_task_has_a_handle_too(house: House, more: dict[str, Any]) -> None:
    async with house.open(era="legacy", **SLOW) as desk:
        task_id = await desk.started(LONG)

        handle = await begun(desk, "task_status", task_id=task_id, **more)
        result = await ask(desk, "tasks/result", taskId=handle["taskId"])

        assert result["structuredContent"]["state"] == "running"


async def test_a_task_can_be_cancelled_once(house: House) -> None:
    async with house.open(era="legacy", **SLOW) as desk:
        handle = await begun(desk, "start_task", instruction=LONG)
        await desk.started(LONG)

        cancelled = await ask(desk, "tasks/cancel", taskId=handle["taskId"])

        assert cancelled["status"] == "cancelled"
        with pytest.raises(MCPError, match="cannot be cancelled"):
            await ask(desk, "tasks/cancel", taskId=handle["taskId"])
        result = await ask(desk, "tasks/result", taskId=handle["taskId"])
        assert result["structuredContent"]["state"] == "stopped"


async def test_tasks_are_listed_page_by_page(house: House) -> None:
    async with house.open(era="legacy") as desk:
        ids = [(await begun(desk, "start_task", instruction=f"Open page {n} [steps=1]"))["taskId"] for n in range(21)]

        first = await ask(desk, "tasks/list")
        second = await ask(desk, "tasks/list", cursor=first["nextCursor"])

        assert [task["taskId"] for task in (*first["tasks"], *second["tasks"])] == ids[::-1]
        assert "nextCursor" not in second


@pytest.mark.parametrize("method", ["tasks/get", "tasks/result", "tasks/cancel"])
async def test_a_task_that_never_was_is_unknown(house: House, method: str) -> None:
    async with house.open(era="legacy") as desk:
        with pytest.raises(MCPError) as refused:
            await ask(desk, method, taskId="task_unknown")

        assert refused.value.error.code == INVALID_PARAMS


async def test_a_call_that_cannot_begin_says_why(house: House) -> None:
    async with house.open(era="legacy") as desk:
        with pytest.raises(MCPError, match="white space"):
            await begun(desk, "start_task", instruction=" ")
        with pytest.raises(MCPError) as refused:
            await begun(desk, "pause", task_id="task_unknown")

        assert refused.value.error.code == METHOD_NOT_FOUND


async def test_the_user_is_asked_while_the_result_is_waited_for(house: House) -> None:
    user = User(["accept", "accept"])
    async with house.open(era="legacy", client={"elicitation_callback": user}) as desk:
        handle = await begun(desk, "start_task", instruction="[login at 2] Read my mail")

        result = await ask(desk, "tasks/result", taskId=handle["taskId"])

        assert result["structuredContent"]["state"] == "completed"
        assert len(user.asked) == 2
        assert user.urls
        named = [each.model_dump(by_alias=True)["_meta"][RELATED] for each in user.asked]
        assert named == [{"taskId": handle["taskId"]}] * 2


async def test_a_question_that_hangs_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_SECONDS", 0.1)
    user = User(is_away=True)
    async with house.open(era="legacy", client={"elicitation_callback": user}) as desk:
        handle = await begun(desk, "task_status", task_id=await _waiting(desk), wait_seconds=0.5)

        result = await ask(desk, "tasks/result", taskId=handle["taskId"])

        assert result["structuredContent"]["state"] == "needs_input"
        assert user.urls


async def _waiting(desk: Desk) -> str:
    facts = await desk.facts("start_task", instruction="[login at 2] Read my mail", wait_seconds=5)
    assert facts["state"] == "needs_input"
    return str(facts["task_id"])

"""One table of cases, on every road to our server: over stdio, over HTTP with and without sessions, and over HTTP of 2026-07-28.

The servers are real processes, each with a record of its own, in front of one simulator; the client is the SDK's.
"""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.session import IncomingMessage
from mcp.client.stdio import stdio_client
from mcp_types import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    CallToolResult,
    ImageContent,
    PromptReference,
    ResourceUpdatedNotification,
    TextContent,
    TextResourceContents,
)
from typing_extensions import override

from tests.hosts.conftest import SERVER, Launch, Lightcone, Place, launching, place_with_keeper
from tests.server.conftest import Updates, facts_of, text_of
from tests.server.schemas import check_fits
from tests.server.users import TakesHandles

BOUND_SECONDS = 60
NO_TASK = "task_AAAAAAAAAAAAAAAAAAAAAAAA"
SHORT = "[steps=4]"
LONG = "[steps=100] [step_seconds=0.3]"

pytestmark = [
    pytest.mark.anyio,
    # The SDK's client says so of what only the older era has, which is what is tested here.
    pytest.mark.filterwarnings("ignore:resources/(un)?subscribe is removed"),
]


@dataclass(frozen=True)
class Road:
    """How a client reaches the server.

    Attributes:
        flags: What the HTTP server is started with; None: the client starts a server over stdio.
        updates: How a client hears of changes between its calls, if it can.
    """

    name: str
    mode: Literal["legacy", "2026-07-28"]
    flags: tuple[str, ...] | None
    updates: Literal["subscribe", "listen"] | None

    @override
    def __str__(self) -> str:
        return self.name


ROADS = (
    Road("stdio", "legacy", None, "subscribe"),
    Road("legacy HTTP", "legacy", (), "subscribe"),
    Road("stateless legacy HTTP", "legacy", ("--stateless",), None),
    Road("2026-07-28 HTTP", "2026-07-28", (), "listen"),
)


@dataclass(frozen=True)
class Seat:
    """A connected client on one of the roads."""

    road: Road
    client: Client
    updates: Updates
    schemas: Mapping[str, Any]
    opens: "Open"

    async def call(self, tool: str, /, **arguments: Any) -> CallToolResult:
        """Call a tool; whatever it answers fits its schema, and says the same to those who read the text alone."""
        return self.checked(tool, await self.client.call_tool(tool, arguments))

    def checked(self, tool: str, answer: CallToolResult) -> CallToolResult:
        facts = facts_of(answer)
        check_fits(facts, self.schemas[tool])
        for told in ("summary", "next_step", "result"):
            assert facts.get(told, "") in text_of(answer)
        return answer

    async def facts(self, tool: str, /, **arguments: Any) -> Mapping[str, Any]:
        """What an answer without an error says."""
        answer = await self.call(tool, **arguments)
        assert not answer.is_error, text_of(answer)
        return facts_of(answer)

    async def start(self, case: str, *hooks: str) -> Mapping[str, Any]:
        """Start a task. Its instruction is its own, or another's would be taken for it."""
        instruction = f"Look at {case} by {self.road.name}. {' '.join(hooks)}"
        return await self.facts("start_task", instruction=instruction)

    async def ended(self, case: str) -> Mapping[str, Any]:
        """Start a short task, and wait until it has ended."""
        facts = await self.start(case, SHORT, "[result=Forty-two.]")
        while facts["state"] in ("starting", "running"):
            facts = await self.facts("task_status", task_id=facts["task_id"], since_seq=facts["seq"], wait_seconds=10)
        return facts


Case = Callable[[Seat], Awaitable[None]]
Open = Callable[..., AbstractAsyncContextManager[Seat]]


# ---- the cases


async def the_tools_are_listed_with_schemas(seat: Seat) -> None:
    tools = (await seat.client.list_tools()).tools
    assert {"start_task", "task_status", "pause", "resume", "inject_message"} <= {tool.name for tool in tools}
    assert all(tool.description and tool.input_schema and tool.output_schema for tool in tools)


async def a_task_is_started_and_answers(seat: Seat) -> None:
    facts = await seat.ended("an answer")
    assert (facts["state"], facts["result"]) == ("completed", "Forty-two.")


async def a_bad_argument_is_told_to_the_model(seat: Seat) -> None:
    answer = await seat.call("start_task", instruction="Look.", max_steps="many")
    assert answer.is_error
    assert "max_steps" in text_of(answer)
    assert (facts_of(answer)["error"]["category"], facts_of(answer)["error"]["retryable"]) == (
        "invalid_request",
        False,
    )


async def an_unknown_tool_is_told_to_the_model(seat: Seat) -> None:
    answer = await seat.client.call_tool("delete_everything", {})
    assert answer.is_error
    assert "delete_everything" in text_of(answer)


async def an_unknown_task_is_told_to_the_model(seat: Seat) -> None:
    answer = await seat.call("task_status", task_id=NO_TASK)
    assert answer.is_error
    assert facts_of(answer)["error"]["category"] == "not_found"


async def a_task_is_read_as_a_resource(seat: Seat) -> None:
    facts = await seat.ended("a resource")
    listed = {str(each.uri) for each in (await seat.client.list_resources()).resources}
    assert "northstar://tasks" in listed
    (content,) = (await seat.client.read_resource(f"northstar://tasks/{facts['task_id']}")).contents
    assert isinstance(content, TextResourceContents)
    read = json.loads(content.text)
    assert (read["state"], read["result"], read["seq"]) == ("completed", "Forty-two.", facts["seq"])


async def an_unknown_resource_is_an_error_of_the_protocol(seat: Seat) -> None:
    for uri in (f"northstar://tasks/{NO_TASK}", "file:///etc/passwd"):
        with pytest.raises(MCPError) as refused:
            await seat.client.read_resource(uri)
        assert refused.value.code == INVALID_PARAMS


async def a_picture_is_an_image(seat: Seat) -> None:
    facts = await seat.ended("a picture")
    answer = await seat.call("task_screenshot", task_id=facts["task_id"])
    assert [block.mime_type for block in answer.content if isinstance(block, ImageContent)] == ["image/png"]


async def prompts_are_listed_and_filled_in(seat: Seat) -> None:
    prompts = {prompt.name: prompt for prompt in (await seat.client.list_prompts()).prompts}
    assert {argument.name: argument.required for argument in prompts["delegate_task"].arguments or ()}["goal"]
    (message,) = (await seat.client.get_prompt("delegate_task", {"goal": "Find the opening hours."})).messages
    assert isinstance(message.content, TextContent)
    assert "> Find the opening hours." in message.content.text


async def a_prompt_that_cannot_be_filled_in_is_an_error_of_the_protocol(seat: Seat) -> None:
    for name, arguments in (("delegate_task", {}), ("no_such_prompt", {}), ("supervise_task", {"task_id": NO_TASK})):
        with pytest.raises(MCPError) as refused:
            await seat.client.get_prompt(name, arguments)
        assert refused.value.code == INVALID_PARAMS


async def arguments_are_completed(seat: Seat) -> None:
    facts = await seat.start("a completion", SHORT)
    supervise = PromptReference(name="supervise_task")
    found = await seat.client.complete(supervise, {"name": "task_id", "value": facts["task_id"][:12]})
    assert found.completion.values == [facts["task_id"]]


async def progress_comes_while_a_call_waits_and_not_after_it(seat: Seat) -> None:
    told: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    arguments = {"instruction": f"Look at progress by {seat.road.name}. {LONG}", "wait_seconds": 1}
    answer = seat.checked("start_task", await seat.client.call_tool("start_task", arguments, progress_callback=note))
    numbers = [progress for progress, _ in told]
    assert numbers, "no progress came"
    assert numbers == sorted(set(numbers))
    assert all(message and len(message) <= 200 for _, message in told)
    await seat.call("task_status", task_id=facts_of(answer)["task_id"])
    assert len(told) == len(numbers)


async def a_call_that_is_given_up_frees_nothing_but_its_waiter(seat: Seat) -> None:
    task_id = (await seat.start("a call given up", LONG))["task_id"]
    with anyio.CancelScope() as given_up:

        async def give_up(progress: float, total: float | None, message: str | None) -> None:
            given_up.cancel()

        waiting = {"task_id": task_id, "wait_seconds": 45}
        await seat.client.call_tool("task_status", waiting, progress_callback=give_up)
    assert given_up.cancelled_caught
    facts = await seat.facts("task_status", task_id=task_id)
    assert facts["state"] == "running"
    ended = await seat.facts("stop_task", task_id=task_id)
    assert ended["state"] == "stopped"


async def a_call_is_answered_later_by_a_handle(seat: Seat) -> None:
    call: dict[str, Any] = {
        "name": "start_task",
        "arguments": {"instruction": f"Look at a handle by {seat.road.name}. {SHORT}"},
    }
    if seat.road.mode == "legacy":
        # The SDK's client knows the older tasks' types and takes none of them for an answer: this goes below it.
        dispatcher: Any = seat.client.session._dispatcher
        begun = await dispatcher.send_raw_request("tools/call", {**call, "task": {"ttl": 60_000}}, None)
        answer = await dispatcher.send_raw_request("tasks/result", {"taskId": begun["task"]["taskId"]}, None)
        assert answer["structuredContent"]["state"] == "completed"
        return
    async with seat.opens(seat.road, extensions=[TakesHandles()]) as other:
        facts = facts_of(await other.client.call_tool(**call))
        assert facts["state"] == "completed"


async def a_task_is_steered(seat: Seat) -> None:
    task_id = (await seat.start("steering", LONG))["task_id"]
    assert (await seat.facts("pause", task_id=task_id))["state"] == "paused"
    told = await seat.facts("inject_message", task_id=task_id, message="Also note the price.")
    assert [receipt["state"] for receipt in told["receipts"]] == ["queued"]
    assert (await seat.facts("resume", task_id=task_id))["state"] == "running"


async def several_tasks_are_waited_for(seat: Seat) -> None:
    long = (await seat.start("the long one", LONG))["task_id"]
    short = (await seat.start("the short one", SHORT))["task_id"]
    facts = await seat.facts("wait_for_tasks", task_ids=[long, short], wait_seconds=20)
    assert [task["task_id"] for task in facts["tasks"]] == [short]
    assert [task["task_id"] for task in facts["waiting"]] == [long]


async def who_can_hear_of_changes_does(seat: Seat) -> None:
    task_id = (await seat.start("changes", LONG))["task_id"]
    uri = f"northstar://tasks/{task_id}"
    match seat.road.updates:
        case "listen":
            async with seat.client.listen(resource_subscriptions=[uri]) as stream:
                event = await anext(aiter(stream))
                assert getattr(event, "uri", None) == uri
        case "subscribe":
            await seat.client.subscribe_resource(uri)
            await seat.updates.until(uri)
        case None:
            resources = seat.client.server_capabilities.resources
            assert resources is not None
            assert not resources.subscribe
            with pytest.raises(MCPError) as refused:
                await seat.client.subscribe_resource(uri)
            assert refused.value.code == METHOD_NOT_FOUND


CASES: tuple[Case, ...] = (
    the_tools_are_listed_with_schemas,
    a_task_is_started_and_answers,
    a_bad_argument_is_told_to_the_model,
    an_unknown_tool_is_told_to_the_model,
    an_unknown_task_is_told_to_the_model,
    a_task_is_read_as_a_resource,
    an_unknown_resource_is_an_error_of_the_protocol,
    a_picture_is_an_image,
    prompts_are_listed_and_filled_in,
    a_prompt_that_cannot_be_filled_in_is_an_error_of_the_protocol,
    arguments_are_completed,
    progress_comes_while_a_call_waits_and_not_after_it,
    a_call_that_is_given_up_frees_nothing_but_its_waiter,
    a_call_is_answered_later_by_a_handle,
    a_task_is_steered,
    several_tasks_are_waited_for,
    who_can_hear_of_changes_does,
)


# ---- the roads


@pytest.mark.parametrize("road", ROADS, ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_a_case_is_the_same_on_every_road(seats: Open, road: Road, case: Case) -> None:
    with anyio.fail_after(BOUND_SECONDS):
        async with seats(road) as seat:
            await case(seat)


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with launching() as start:
        yield start


@pytest.fixture(scope="module")
def places(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[Road, Place]]:
    """A record for each road. Over stdio the way leads through a keeper, as it does for hosts; test_journeys.py has the other one."""
    lightcone = Lightcone(launch("northstar_mcp.simulator", "--step-seconds", "0.05"))
    with place_with_keeper(lightcone, tmp_path_factory.mktemp("stdio")) as keeper:
        yield {
            road: keeper if road.flags is None else Place(lightcone, tmp_path_factory.mktemp("http")) for road in ROADS
        }


@pytest.fixture(scope="module")
def seats(launch: Launch, places: Mapping[Road, Place]) -> Open:
    """Opens a client on a road; one HTTP server of each kind serves all of them."""
    urls = {
        road: launch("northstar_mcp", "serve", "--http", "--port", "0", *road.flags, env=places[road].env)
        for road in ROADS
        if road.flags is not None
    }

    @asynccontextmanager
    async def open_on(road: Road, **more: Any) -> AsyncIterator[Seat]:
        updates = Updates()

        async def hear(message: IncomingMessage) -> None:
            if isinstance(message, ResourceUpdatedNotification):
                updates.hear(str(message.params.uri))

        parameters = StdioServerParameters(
            command=SERVER[0], args=[*SERVER[1:]], env={**os.environ, **places[road].env}
        )
        way = urls[road] if road in urls else stdio_client(parameters)
        async with Client(way, mode=road.mode, message_handler=hear, **more) as client:
            tools = (await client.list_tools()).tools
            yield Seat(road, client, updates, {tool.name: tool.output_schema for tool in tools}, open_on)

    return open_on

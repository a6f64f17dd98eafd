"""The core's `Agent`, over real sockets."""

import base64
import json
from typing import Any

import pytest

from northstar_mcp.errors import (
    Broken,
    Disconnected,
    InvalidRequest,
    KeyMissing,
    NoReattach,
    NorthstarError,
    NotFound,
    PolicyRefused,
    TimedOut,
    Unavailable,
    UnreadableReply,
)
from northstar_mcp.lightcone.agent import LightconeAgent, SecondTask
from northstar_mcp.lightcone.client import LightconeClient
from northstar_mcp.redaction import Redactor
from northstar_mcp.tasks.model import EventType, Identified, TaskRequest
from northstar_mcp.tasks.ports import Agent, EventStream
from northstar_mcp.tasks.states import Happening

from .conftest import Play
from .scripted import HOLD, PNG

REQUEST = TaskRequest(instruction="Open example.com", max_steps=5, max_duration_seconds=60)


def frame(number: int, **event: Any) -> str:
    return f"id: {number}\ndata: {json.dumps(event)}\n\n"


async def words(stream: EventStream) -> list[str]:
    return [f"{observation.type} {observation.upstream_id}" async for observation in stream]


def test_it_is_the_core_s_agent() -> None:
    agent: Agent = LightconeAgent(LightconeClient(api_key=None))
    with pytest.raises(KeyMissing):
        agent.check_ready()


@pytest.mark.anyio
async def test_a_start_sends_the_request_with_its_key_and_streams_observations(play: Play) -> None:
    pieces = [frame(0, type="started", task_id="t1"), frame(1, type="completed", result="done")]
    async with (
        play({"sse": pieces, "headers": {"X-Task-ID": "t1"}}) as (client, server),
        LightconeAgent(client).start(REQUEST, idempotency_key="k") as stream,
    ):
        assert stream.northstar_task_id == "t1"
        assert await words(stream) == ["started 0", "completed 1"]
    assert server.requests[0].json == {
        "instruction": "Open example.com",
        "max_steps": 5,
        "max_duration_seconds": 60,
        "idempotency_key": "k",
    }


@pytest.mark.anyio
async def test_a_start_that_lightcone_answers_without_a_stream_is_a_start(play: Play) -> None:
    async with (
        play({"json": {"task_id": "t1", "status": "running"}}) as (client, _),
        LightconeAgent(client).start(REQUEST, idempotency_key="k") as stream,
    ):
        (only,) = [observation async for observation in stream]
    assert (only.type, only.happening, only.northstar_task_id) == (EventType.STARTED, Happening.STARTED, "t1")


@pytest.mark.anyio
async def test_a_request_that_cannot_be_is_refused_before_it_is_sent(play: Play) -> None:
    desktop = TaskRequest(instruction="x", max_steps=1, max_duration_seconds=1, kind="desktop", start_url="https://a.b")
    async with play() as (client, server):
        with pytest.raises(InvalidRequest):
            async with LightconeAgent(client).start(desktop, idempotency_key="k"):
                pytest.fail("it must not start")
    assert server.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize(("tail", "error"), [({"abort": True}, Disconnected), ({}, None)])
async def test_a_stream_that_ends_or_breaks_says_which(
    tail: dict[str, Any], error: type[Exception] | None, play: Play
) -> None:
    async with (
        play({"sse": [frame(0, type="started")], **tail}) as (client, _),
        LightconeAgent(client).start(REQUEST, idempotency_key="k") as stream,
    ):
        if error is None:
            assert await words(stream) == ["started 0"]
        else:
            with pytest.raises(error):
                await words(stream)


@pytest.mark.anyio
async def test_a_stream_that_sends_nothing_at_all_times_out(play: Play) -> None:
    async with (
        play({"sse": [frame(0, type="started"), HOLD]}, stream_read_timeout_seconds=0.5) as (client, _),
        LightconeAgent(client).start(REQUEST, idempotency_key="k") as stream,
    ):
        with pytest.raises(TimedOut):
            await words(stream)


def reattach(client: LightconeClient, after: str | None = "3") -> Any:
    return LightconeAgent(client).reattach(REQUEST, northstar_task_id="t1", idempotency_key="k", after=after)


@pytest.mark.anyio
async def test_nothing_is_sent_where_no_way_back_is_configured(play: Play) -> None:
    async with play() as (client, server):
        with pytest.raises(NoReattach):
            async with reattach(client):
                pytest.fail("there is no way")
    assert server.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("mode", "method", "path"), [("get", "GET", "/agent/tasks/t1/stream"), ("post", "POST", "/agent/tasks/stream")]
)
async def test_a_way_back_begins_behind_the_last_frame(mode: str, method: str, path: str, play: Play) -> None:
    async with (
        play({"sse": [frame(4, type="thinking", task_id="t1")]}, reattach=mode) as (client, server),
        reattach(client) as stream,
    ):
        assert await words(stream) == ["thinking 4"]
    (request,) = server.requests
    assert (request.method, request.path, request.headers["last-event-id"]) == (method, path, "3")
    assert (request.json or {}).get("idempotency_key") == ("k" if mode == "post" else None)


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["get", "post"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": 404, "text": "404 page not found", "ct": "text/plain"}, NotFound),
        ({"status": 405, "json": {}}, Broken),
        ({"status": 501, "json": {}, "headers": {"x-should-retry": "false"}}, Broken),
        ({"json": {"task_id": "t1", "reused": True}}, NoReattach),
        ({"json": {"error": "no"}}, UnreadableReply),
        ({"text": "<html>hello</html>", "ct": "text/html"}, UnreadableReply),
    ],
)
async def test_an_answer_that_is_no_stream_is_told_as_what_it_is(
    mode: str, answer: dict[str, Any], error: type[NorthstarError], play: Play
) -> None:
    async with play(answer, reattach=mode) as (client, _):
        with pytest.raises(error) as caught:
            async with reattach(client):
                pytest.fail("there is no way")
    assert type(caught.value) is error


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer",
    [
        {"sse": [frame(0, type="started", task_id="t2")], "headers": {"X-Task-ID": "t2"}},
        {"sse": [frame(0, type="started", task_id="t2")]},
        {"json": {"task_id": "t2"}},
    ],
)
async def test_a_second_task_started_by_reattaching_is_named(answer: dict[str, Any], play: Play) -> None:
    async with play(answer, reattach="post") as (client, _):
        with pytest.raises(SecondTask) as caught:
            async with reattach(client) as stream:
                await words(stream)
    assert caught.value.second_task_id == "t2"
    assert "t2" in caught.value.message


@pytest.mark.anyio
async def test_what_goes_wrong_inside_the_block_stays_what_it_is(play: Play) -> None:
    async with play({"sse": []}, reattach="get") as (client, _):
        with pytest.raises(NotFound, match="mine"):
            async with reattach(client):
                raise NotFound("mine")


@pytest.mark.anyio
@pytest.mark.parametrize("reused", [True, False, None, "yes"])
async def test_identifying_repeats_the_start_under_its_key(reused: Any, play: Play) -> None:
    async with play({"json": {"task_id": "t1", "status": "running", "reused": reused}}) as (client, server):
        found = await LightconeAgent(client).identify(REQUEST, idempotency_key="k")
    assert found == Identified(northstar_task_id="t1", reused=reused if isinstance(reused, bool) else None)
    assert (server.requests[0].path, server.requests[0].json["idempotency_key"]) == ("/agent/tasks", "k")


@pytest.mark.anyio
async def test_a_status_keeps_what_some_servers_add(play: Play) -> None:
    answer = {"status": "Completed", "exit_code": 1, "result": "r", "error": {"a": 1}, "computer_id": "c", "new": 1}
    async with play({"json": answer}, {"json": {"status": "running", "exit_code": None}}) as (client, _):
        full = await LightconeAgent(client).status("t")
        bare = await LightconeAgent(client).status("t")
    assert (full.word, full.happening, full.exit_code) == ("Completed", Happening.FAILED, 1)
    assert (full.result, full.error, full.computer_id) == ("r", '{"a": 1}', "c")
    assert (bare.word, bare.happening, bare.exit_code, bare.result, bare.error) == ("running", None, None, None, None)


@pytest.mark.anyio
async def test_steering_answers_with_lightcone_s_own_word(play: Play) -> None:
    replies = [{"json": {"status": word}} for word in ("paused", "running", "injected")]
    async with play(*replies, {"status": 204}) as (client, server):
        agent = LightconeAgent(client)
        said = [await agent.pause("t"), await agent.resume("t"), await agent.inject("t", "hi")]
        await agent.end_computer("c")
    assert said == ["paused", "running", "injected"]
    assert [(request.method, request.path) for request in server.requests] == [
        ("POST", "/agent/tasks/t/pause"),
        ("POST", "/agent/tasks/t/resume"),
        ("POST", "/agent/tasks/t/messages"),
        ("DELETE", "/computers/c"),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("field", ["base64", "image", "screenshot_base64", "screenshot_url"])
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
async def test_looking_takes_the_picture_from_the_answer(field: str, prefix: str, play: Play) -> None:
    result = {field: prefix + base64.b64encode(PNG).decode()}
    async with play({"json": {"status": "success", "result": result}}) as (client, server):
        screen = await LightconeAgent(client).look("c")
    assert (screen.data, screen.media_type) == (PNG, "image/png")
    assert (server.requests[0].path, server.requests[0].json) == ("/computers/c/screenshot", {"base64": True})


@pytest.mark.anyio
async def test_looking_fetches_the_picture_where_the_answer_only_points_to_it(play: Play) -> None:
    async with play({"json": {}}, {"raw": PNG, "ct": "image/png"}) as (client, server):
        server.steps[0] = {"json": {"status": "SUCCESS", "result": {"screenshot_url": f"{server.url}/s.png?sig=1"}}}
        assert (await LightconeAgent(client).look("c")).data == PNG
    assert "authorization" not in server.requests[1].headers


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": "EXECUTION_ERROR", "error_message": "the browser is gone"}, Unavailable),
        ({"status": "error", "error_message": "action timed out"}, TimedOut),
        ({"status": "SUCCESS", "result": {}}, UnreadableReply),
        ({"status": "SUCCESS", "result": None}, UnreadableReply),
        ({"status": "SUCCESS", "result": {"base64": "%%%"}}, UnreadableReply),
        ({"status": "SUCCESS", "result": {"screenshot_url": "https://evil.example/x.png"}}, PolicyRefused),
    ],
)
async def test_a_look_that_fails_says_how(answer: dict[str, Any], error: type[Exception], play: Play) -> None:
    async with play({"json": answer}) as (client, _):
        with pytest.raises(error):
            await LightconeAgent(client).look("c")


@pytest.mark.anyio
async def test_a_secret_header_that_a_proxy_repeats_is_taken_out_of_the_error(play: Play) -> None:
    answer = {"status": 400, "text": "bad gateway: Proxy-Token pt_9f8e7d6c5b4a3921", "ct": "text/plain"}
    async with play(answer, censor=Redactor(["pt_9f8e7d6c5b4a3921"]).text) as (client, _):
        with pytest.raises(NorthstarError) as caught:
            await client.retrieve_status("t1")
    assert "pt_9f8e7d6c5b4a3921" not in str(caught.value)
    assert "bad gateway" in str(caught.value)

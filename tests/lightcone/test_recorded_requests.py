"""What we send equals what the official client sent in these recordings, but for the departures listed here."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import pytest

from northstar_mcp.errors import (
    Broken,
    ConcurrentLimit,
    Conflict,
    Disconnected,
    InvalidRequest,
    KeyMissing,
    KeyRejected,
    NorthstarError,
    NotAllowed,
    NotFound,
    PlanLapsed,
    SettingsInvalid,
    TimedOut,
    Unavailable,
    UnreadableReply,
)
from northstar_mcp.lightcone.client import LightconeClient
from northstar_mcp.lightcone.params import ComputerParams, StartParams

from .conftest import KEY, Play
from .scripted import WIRE, recording

DEPARTURES: Final[Mapping[str, str]] = {
    "idempotency_key": "every start that may be retried has one: without it, one call can start three tasks",
    "null": "an unset key is left out; the official client sends an explicit None as null",
    "start_url with kind desktop": "refused here: Lightcone's answer would be 400",
    "x-stainless-*": "not sent: they describe the official client's build",
    "user-agent": "ours",
    "query and per-call headers": "not offered; extra_headers belong to the client",
}
MEANINGFUL: Final = ("authorization", "accept", "content-type", "accept-encoding", "x-env", "x-two", "last-event-id")

Operation: TypeAlias = Callable[[LightconeClient], Awaitable[object]]


def start(**fields: Any) -> Operation:
    async def starting(client: LightconeClient) -> object:
        return await client.start_task(
            StartParams.model_validate({"instruction": "x", "idempotency_key": "k", **fields})
        )

    return starting


def _full_body() -> dict[str, Any]:
    body: dict[str, Any] = dict(recording("start_full")["requests"][0]["body_json"])
    del body["start_url"]
    return body


# Recording -> our call, and how many of the official client's body fields we leave out or add.
SAME: Final[Mapping[str, tuple[Operation, dict[str, Any]]]] = {
    "start_minimal": (start(instruction="Open example.com", idempotency_key=None), {}),
    "start_full": (lambda client: client.start_task(StartParams.model_validate(_full_body())), {"start_url": None}),
    "start_none_values": (start(kind=None, model=None, idempotency_key=None), {"kind": None, "model": None}),
    "pause": (lambda client: client.pause("task_1"), {}),
    "resume": (lambda client: client.resume("task_1"), {}),
    "inject_message": (lambda client: client.inject_message("task_1", "Focus on the top 3"), {}),
    "retrieve_status": (lambda client: client.retrieve_status("task_1"), {}),
    "retrieve_status_weird_id": (lambda client: client.retrieve_status("../a b/ü?x#y"), {}),
    "computer_create": (
        lambda client: client.create_computer(
            ComputerParams.model_validate(
                {"kind": "browser", "display": {"width": 1280, "height": 720}, "persistent": True}
            )
        ),
        {},
    ),
    "computer_retrieve": (lambda client: client.retrieve_computer("comp_1"), {}),
    "computer_screenshot": (lambda client: client.screenshot("comp_1", base64=False), {}),
    "computer_delete": (lambda client: client.delete_computer("comp_1"), {}),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", SAME)
async def test_our_request_is_the_official_client_s(name: str, play: Play) -> None:
    case, (operation, left_out) = recording(name), SAME[name]
    async with play(*case["server_script"]) as (client, server):
        await operation(client)
    (ours,) = server.requests
    (theirs,) = case["requests"]
    assert (ours.method, ours.path) == (theirs["method"], theirs["path"])
    assert {**left_out, **(ours.json or {})} == {**(theirs["body_json"] or {}), **left_out}
    their_headers = {name.lower(): value for name, value in theirs["headers"]}
    for header in (*MEANINGFUL, "content-length" if not left_out else "accept"):
        assert ours.headers.get(header) == their_headers.get(header), header
    assert not any(header.startswith("x-stainless") for header in ours.headers)


@pytest.mark.anyio
async def test_both_starts_of_the_async_recording_are_the_official_client_s(play: Play) -> None:
    case = recording("async_start_and_stream")
    async with play(*case["server_script"]) as (client, server):
        await client.start_task(StartParams(instruction="x"))
        async with client.stream_task(StartParams(instruction="x")) as stream:
            assert len([received async for received in stream]) == 3
    for ours, theirs in zip(server.requests, case["requests"], strict=True):
        assert (ours.method, ours.path, ours.json) == (theirs["method"], theirs["path"], theirs["body_json"])
        assert ours.headers["accept"] == dict(theirs["headers"])["Accept"]


@pytest.mark.anyio
async def test_extra_headers_and_the_id_of_the_last_event_are_sent(play: Play) -> None:
    env, resumed = recording("env_custom_headers"), recording("stream_extra_last_event_id")
    headers = {"X-Env": "yes", "X-Two": "2", "authorization": "Bearer someone else", "X-Name": "Zoë"}
    async with play(*env["server_script"], *resumed["server_script"], extra_headers=headers) as (client, server):
        await client.start_task(StartParams(instruction="x"))
        async with client.stream_task(StartParams(instruction="x"), after="7"):
            pass
    for ours, case in zip(server.requests, (env, resumed), strict=True):
        theirs = {name.lower(): value for name, value in case["requests"][0]["headers"]}
        assert all(ours.headers[name] == theirs[name] for name in MEANINGFUL if name in theirs)


@pytest.mark.anyio
async def test_the_guessed_stream_path_is_the_one_that_was_recorded(play: Play) -> None:
    theirs = recording("custom_get_undocumented")["requests"][0]
    async with play({"sse": []}) as (client, server), client.follow_task("task_1", after="é"):
        pass
    (ours,) = server.requests
    assert (ours.method, ours.path) == (theirs["method"], theirs["path"])
    assert ours.headers["last-event-id"].encode("latin-1").decode() == "é"


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["", "  ", ".", "..", "x" * 600])
async def test_an_id_that_leads_elsewhere_is_refused_before_any_request(name: str, play: Play) -> None:
    async with play() as (client, server):
        for operation in (
            client.retrieve_status,
            client.pause,
            client.resume,
            client.delete_computer,
            client.screenshot,
        ):
            with pytest.raises(InvalidRequest) as caught:
                await operation(name)
            assert not caught.value.sent
    assert server.requests == []


# Recording -> what our start comes to, the number of requests, and the pauses with dice that always show 0.
OUTCOMES: Final[Mapping[str, tuple[type[NorthstarError] | str, int, list[float]]]] = {
    "start_400": (InvalidRequest, 1, []),
    "start_400_should_retry_true": ("task_1", 2, [0.5]),
    "start_401": (KeyRejected, 1, []),
    "start_402": (PlanLapsed, 1, []),
    "start_403": (NotAllowed, 1, []),
    "start_404": (NotFound, 1, []),
    "start_405": (Broken, 1, []),
    "start_408_x3": (Unavailable, 3, [0.5, 1.0]),
    "start_409_x3": (Conflict, 3, [0.5, 1.0]),
    "start_422": (InvalidRequest, 1, []),
    "start_429_retry_after": ("task_1", 2, [2.0]),
    "start_429_retry_after_120": ("task_1", 2, [0.5]),
    "start_429_retry_after_ms": ("task_1", 2, [1.5]),
    "start_429_should_retry_false": (ConcurrentLimit, 1, []),
    "start_429_x3": (ConcurrentLimit, 3, [0.5, 1.0]),
    "start_500_x3": (Unavailable, 3, [0.5, 1.0]),
    "start_502_x3": (Unavailable, 3, [0.5, 1.0]),
    "start_503_x3": (Unavailable, 3, [0.5, 1.0]),
    "start_504_x3": (Unavailable, 3, [0.5, 1.0]),
    "start_bad_base_url": (Disconnected, 0, [0.5, 1.0]),
    "start_drop": (Disconnected, 3, [0.5, 1.0]),
    "start_empty_key": (KeyMissing, 0, []),
    "start_extra": ("task_1", 1, []),
    "start_full": ("task_1", 1, []),
    "start_html_502": (Unavailable, 3, [0.5, 1.0]),
    "start_max_retries_0_500": (Unavailable, 1, []),
    "start_minimal": ("task_1", 1, []),
    "start_non_json_200": (UnreadableReply, 1, []),  # the official client answers "hello"
    "start_none_values": ("task_1", 1, []),
    "start_redirect": ("task_1", 2, []),
    "start_timeout": (TimedOut, 3, [0.5, 1.0]),
    "start_wrong_types": (UnreadableReply, 1, []),  # the official client answers a task without an id
}
OPTIONS: Final[Mapping[str, dict[str, Any]]] = {
    "start_bad_base_url": {"base_url": "http://127.0.0.1:1"},
    "start_empty_key": {"api_key": ""},
    "start_max_retries_0_500": {"max_retries": 0},
    "start_timeout": {"timeout_seconds": 0.3},
}


def test_every_recorded_start_has_an_outcome() -> None:
    assert set(OUTCOMES) == {path.stem for path in WIRE.glob("start_*.json")}


@pytest.mark.anyio
@pytest.mark.parametrize("name", OUTCOMES)
async def test_a_recorded_start_comes_to_what_is_expected(name: str, play: Play, pauses: list[float]) -> None:
    expected, requests, paused = OUTCOMES[name]
    async with play(*recording(name)["server_script"], **OPTIONS.get(name, {})) as (client, server):
        if isinstance(expected, str):
            assert (await client.start_task(StartParams(instruction="x", idempotency_key="k"))).task_id == expected
        else:
            with pytest.raises(expected) as caught:
                await client.start_task(StartParams(instruction="x", idempotency_key="k"))
            assert type(caught.value) is expected
            assert caught.value.sent is bool(requests)
            assert KEY not in repr(caught.value) + caught.value.message + caught.value.remedy
    assert len(server.requests) == requests
    assert pauses == paused
    assert len({request.body for request in server.requests}) <= 1


@pytest.mark.anyio
@pytest.mark.parametrize("name", [name for name, (_, requests, paused) in OUTCOMES.items() if requests > 1 and paused])
async def test_a_start_without_a_key_is_sent_exactly_once(name: str, play: Play) -> None:
    async with play(*recording(name)["server_script"], **OPTIONS.get(name, {})) as (client, server):
        with pytest.raises(NorthstarError):
            await client.start_task(StartParams(instruction="x"))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.tzafon.ai",
        "ftp://x",
        "http://",
        "https://u:secret@x.y",
        "https://x.y?key=1",
        "http://[::",
        "https://x:y",
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused_when_the_client_is_made(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        LightconeClient(api_key=KEY, base_url=url)
    assert "secret" not in str(caught.value)

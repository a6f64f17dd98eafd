"""Refusals and breaks, as errors of the tree: which one, with which words, and whether anything was sent."""

from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
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
    OutOfCredits,
    PlanLapsed,
    SettingsInvalid,
    TimedOut,
    Unavailable,
    UnreadableReply,
    WrongState,
)
from northstar_mcp.lightcone.client import LightconeClient
from northstar_mcp.lightcone.failures import failure, refusal, retry_after
from northstar_mcp.lightcone.params import ComputerParams, StartParams
from northstar_mcp.lightcone.retries import Again, after_reply, pause_seconds

from .conftest import KEY, Play


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, UnreadableReply),
        (400, InvalidRequest),
        (401, KeyRejected),
        (402, OutOfCredits),
        (403, NotAllowed),
        (404, NotFound),
        (405, Broken),
        (408, Unavailable),
        (409, Conflict),
        (410, NotFound),
        (413, InvalidRequest),
        (418, InvalidRequest),
        (422, InvalidRequest),
        (429, ConcurrentLimit),
        (500, Unavailable),
        (501, Broken),
        (503, Unavailable),
        (599, Unavailable),
    ],
)
def test_each_status_is_one_kind_of_error_with_a_remedy(status: int, kind: type[NorthstarError]) -> None:
    error = refusal(status, body="")
    assert type(error) is kind
    assert error.message
    assert error.remedy
    assert error.sent


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (
            '{"status":503,"title":"Service unavailable","detail":"Please try again later."}',
            "",
            "Please try again later.",
        ),
        ('{"type":"","title":"Invalid token","status":401}', "application/problem+json", "Invalid token"),
        ('{"error":{"message":"No such model","type":"x"}}', "application/json", "No such model"),
        ('{"type":"error","error":{"type":"x","message":"Overloaded"}}', "application/json", "Overloaded"),
        ('{"error":"plain words"}', "", "plain words"),
        ('{"message":"hello"}', "", "hello"),
        ('{"detail":[{"loc":["body"],"msg":"field required"}]}', "", "field required"),
        ('"just text"', "", "just text"),
        ("404 page not found\n", "text/plain", "404 page not found"),
        ("<html><head><title>502\n Bad &amp; Gateway</title></head>", "text/html", "502 Bad & Gateway"),
        ("<h1>Sorry</h1><script>alert(1)</script><p>down", "", "Sorry down"),
        ('{"error":', "application/json", '{"error":'),
    ],
)
def test_the_words_of_a_refusal_are_found_in_any_body(body: str, content_type: str, words: str) -> None:
    assert words in refusal(500, body=body, content_type=content_type).message


@pytest.mark.parametrize("body", ["", "{}", "null", "[]", '{"detail": null, "title": ""}'])
def test_a_refusal_without_words_is_a_sentence_all_the_same(body: str) -> None:
    assert refusal(500, body=body).message.startswith("Lightcone cannot serve this now (500)")


def test_a_long_refusal_is_cut() -> None:
    assert len(refusal(500, body="word " * 100_000).message) < 700


def test_the_lapsed_subscription_is_told_from_missing_credits() -> None:
    lapsed = refusal(402, body='{"error":"light_subscription_lapsed","status":"read_only"}')
    assert type(lapsed) is PlanLapsed
    assert type(refusal(402, body='{"title":"Out of credits"}')) is OutOfCredits


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_as_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=datetime(2026, 11, 20, 12, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    ("raised", "kind", "sent"),
    [
        (httpx.ConnectError("refused"), Disconnected, False),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"), Disconnected, False),
        (httpx.ConnectTimeout("x"), TimedOut, False),
        (httpx.PoolTimeout("x"), TimedOut, False),
        (httpx.ReadTimeout("x"), TimedOut, True),
        (httpx.WriteTimeout("x"), TimedOut, True),
        (httpx.ReadError("x"), Disconnected, True),
        (httpx.WriteError("x"), Disconnected, True),
        (httpx.RemoteProtocolError("x"), Disconnected, True),
        (httpx.LocalProtocolError(f"Illegal header value b'Bearer {KEY}'"), SettingsInvalid, False),
        (httpx.DecodingError("x"), UnreadableReply, True),
        (httpx.UnsupportedProtocol("x"), SettingsInvalid, False),
        (httpx.InvalidURL("x"), SettingsInvalid, False),
    ],
)
def test_a_break_says_whether_anything_can_have_arrived(
    raised: httpx.HTTPError, kind: type[NorthstarError], sent: bool
) -> None:
    error = failure(raised)
    assert type(error) is kind
    assert error.sent is sent
    assert KEY not in error.message


def test_pauses_grow_to_eight_seconds_and_shrink_by_a_quarter_at_most() -> None:
    assert [pause_seconds(n, asked=None, dice=0) for n in (0, 1, 2, 3, 4, 9, 999)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert pause_seconds(0, asked=None, dice=1) == 0.375


@pytest.mark.parametrize(("asked", "pause"), [(0.2, 0.2), (60, 60), (0, 0.5), (60.1, 0.5), (None, 0.5)])
def test_retry_after_is_honoured_up_to_a_minute(asked: float | None, pause: float) -> None:
    assert pause_seconds(0, asked=asked, dice=0) == pause


@pytest.mark.parametrize(
    ("again", "status", "wish", "expected"),
    [
        (Again.HARMLESS, 500, None, True),
        (Again.HARMLESS, 500, "false", False),
        (Again.HARMLESS, 400, "true", True),
        (Again.HARMLESS, 401, "true", False),
        *((Again.UNDONE, status, None, True) for status in (409, 429)),
        *((Again.UNDONE, status, None, False) for status in (401, 408, 500, 502, 503)),
        (Again.UNDONE, 503, "true", False),
        (Again.UNDONE, 429, "false", False),
        *((Again.HARMLESS, status, None, False) for status in (302, 400, 401, 402, 403, 404, 405, 422)),
        *((Again.HARMLESS, status, None, True) for status in (408, 409, 429, 502, 503, 504)),
        (Again.UNSENT, 429, None, True),
        (Again.UNSENT, 503, None, True),
        (Again.UNSENT, 503, "false", False),
        (Again.UNSENT, 500, "true", False),
        (Again.UNSENT, 408, None, False),
        (Again.NEVER, 503, "true", False),
    ],
)
def test_a_refused_request_is_sent_again_only_where_that_is_harmless(
    again: Again, status: int, wish: str | None, expected: bool
) -> None:
    assert after_reply(again, status, {} if wish is None else {"x-should-retry": wish}) is expected


@pytest.mark.anyio
async def test_after_a_401_nothing_more_is_sent(play: Play) -> None:
    refused = {"status": 401, "json": {"title": f"Invalid token {KEY}"}}
    async with play(refused, refused) as (client, server):
        client.check_ready()
        with pytest.raises(KeyRejected) as first:
            await client.retrieve_status("t")
        with pytest.raises(KeyRejected) as second:
            await client.retrieve_status("t")
        with pytest.raises(KeyRejected):
            client.check_ready()
    assert len(server.requests) == 1
    assert (first.value.sent, second.value.sent) == (True, False)
    assert KEY not in str(first.value) + str(second.value)
    assert "[key]" in str(first.value)


@pytest.mark.anyio
@pytest.mark.parametrize("key", [None, "", " \n"])
async def test_without_a_key_nothing_is_sent(key: str | None, play: Play) -> None:
    async with play(api_key=key) as (client, server):
        with pytest.raises(KeyMissing):
            client.check_ready()
        with pytest.raises(KeyMissing) as caught:
            async with client.stream_task(StartParams(instruction="x")):
                pass
    assert not caught.value.sent
    assert server.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["sk_a\nsk_b", "sk_ü", "sk a"])
async def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str, play: Play) -> None:
    async with play(api_key=key) as (client, server):
        with pytest.raises(KeyRejected) as caught:
            await client.retrieve_status("t")
    assert key not in str(caught.value)
    assert server.requests == []


@pytest.mark.anyio
async def test_white_space_around_the_key_is_no_part_of_it(play: Play) -> None:
    async with play({"json": {"status": "running"}}, api_key=f" {KEY}\n") as (client, server):
        await client.retrieve_status("t")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.anyio
async def test_the_client_shows_its_key_to_nobody(play: Play) -> None:
    async with play() as (client, _):
        assert KEY not in repr(client) + repr(client.__dict__)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/agent/tasks", "//evil.example/x", "https://127.0.0.1/", "http://[::", ""]
)
async def test_a_redirect_to_another_host_is_not_followed(location: str, play: Play) -> None:
    async with play({"status": 307, "json": {}, "headers": {"Location": location}}) as (client, server):
        if location == "":
            server.steps.append({"json": {"status": "running"}})
            server.steps[0] = {"status": 308, "json": {}}
        with pytest.raises(UnreadableReply):
            await client.retrieve_status("t")
    assert len(server.requests) == 1


@pytest.mark.anyio
async def test_redirects_on_the_same_host_keep_method_and_body_and_end(play: Play) -> None:
    hop = {"status": 308, "json": {}, "headers": {"Location": "/elsewhere"}}
    async with play(*[hop] * 10) as (client, server):
        with pytest.raises(UnreadableReply, match="more than 5 times"):
            await client.start_task(StartParams(instruction="x"))
    assert {(request.method, request.body) for request in server.requests} == {("POST", b'{"instruction":"x"}')}
    assert [request.path for request in server.requests] == ["/agent/tasks", *["/elsewhere"] * 5]


@pytest.mark.anyio
async def test_an_error_after_a_lost_attempt_does_not_claim_that_nothing_was_sent(play: Play) -> None:
    async with play({"drop": True}) as (client, server):

        async def gone(seconds: float) -> None:
            client._transport._base = "http://127.0.0.1:1"  # the next attempts find nobody

        client._transport._sleep = gone
        with pytest.raises(Disconnected) as caught:
            await client.retrieve_status("t")
        assert caught.value.sent
        with pytest.raises(Disconnected) as caught:
            await client.retrieve_status("t")
        assert not caught.value.sent
    assert len(server.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("steps", "requests"),
    [
        ([{"drop": True}, {"json": {}}], 1),
        ([{"status": 500, "json": {}}, {"json": {}}], 1),
        ([{"status": 503, "json": {}}, {"json": {"status": "queued"}}], 2),
        ([{"status": 429, "json": {}}, {"json": {"status": "queued"}}], 2),
    ],
)
async def test_a_message_is_sent_again_only_where_it_was_refused(steps: list[Any], requests: int, play: Play) -> None:
    async with play(*steps) as (client, server):
        if requests == 1:
            with pytest.raises(NorthstarError) as caught:
                await client.inject_message("t", "hi")
            assert caught.value.sent
        else:
            assert (await client.inject_message("t", "hi")).status == "queued"
    assert len(server.requests) == requests


@pytest.mark.anyio
async def test_a_message_that_cannot_have_arrived_is_sent_again(play: Play, pauses: list[float]) -> None:
    async with play(base_url="http://127.0.0.1:1") as (client, _):
        with pytest.raises(Disconnected) as caught:
            await client.inject_message("t", "hi")
    assert not caught.value.sent
    assert len(pauses) == 2


@pytest.mark.anyio
async def test_a_computer_is_made_by_one_request(play: Play) -> None:
    async with play({"status": 503, "json": {}}) as (client, server):
        with pytest.raises(Unavailable):
            await client.create_computer(ComputerParams())
    assert [request.json for request in server.requests] == [{}]


@pytest.mark.anyio
async def test_a_conflict_about_a_task_is_about_its_state(play: Play) -> None:
    async with play(*[{"status": 409, "json": {"title": "already finished"}}] * 3) as (client, _):
        with pytest.raises(WrongState, match="already finished"):
            await client.pause("t")


@pytest.mark.anyio
async def test_deleting_again_what_the_lost_first_attempt_deleted_is_a_success(play: Play) -> None:
    gone = {"status": 404, "text": "not found", "ct": "text/plain"}
    async with play({"drop": True}, gone, gone) as (client, server):
        await client.delete_computer("c")
        with pytest.raises(NotFound):
            await client.delete_computer("c")
    assert len(server.requests) == 3


@pytest.mark.anyio
async def test_an_empty_success_is_an_acknowledgement(play: Play) -> None:
    async with play({"status": 204, "text": ""}, {"text": "", "ct": "text/plain"}, {"json": {"status": 7}}) as (
        client,
        _,
    ):
        assert [(await client.pause("t")).status for _ in range(3)] == ["", "", "7"]


@pytest.mark.anyio
@pytest.mark.parametrize("value", [[], "running", None, {}, {"status": None}, {"status": {"a": 1}}, {"task_id": "t"}])
async def test_a_status_without_its_word_is_unreadable(value: Any, play: Play) -> None:
    async with play({"json": value}) as (client, _):
        with pytest.raises(UnreadableReply):
            await client.retrieve_status("t")


@pytest.mark.anyio
async def test_a_reply_without_an_end_is_cut_off(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("northstar_mcp.lightcone.transport.MAX_REPLY_BYTES", 1000)
    big = {"text": "x" * 70_000, "ct": "application/json"}
    async with play(big, {"status": 400, "text": "y" * 200_000}) as (client, _):
        with pytest.raises(UnreadableReply):
            await client.retrieve_status("t")
        with pytest.raises(InvalidRequest) as caught:
            await client.retrieve_status("t")
    assert len(caught.value.message) < 700


@pytest.mark.anyio
async def test_a_cancelled_call_stops_at_once_and_the_client_lives_on(play: Play) -> None:
    async with play({"delay": 9}, {"json": {"status": "running"}}) as (client, server):
        async with anyio.create_task_group() as group:
            group.start_soon(client.retrieve_status, "t")
            await server.arrived.wait()
            group.cancel_scope.cancel()
        await server.disconnected.wait()
        assert (await client.retrieve_status("t")).status == "running"


@pytest.mark.anyio
async def test_a_client_outside_its_block_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await LightconeClient(api_key=KEY).retrieve_status("t")

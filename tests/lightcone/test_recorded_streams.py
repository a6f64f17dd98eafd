"""Every recorded `stream_*` case: played by a real server to our client, and its bytes to the parser in awkward cuts.

The table says what must come of each. A recording that is not in it fails, and so does a line without a recording.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from northstar_mcp.errors import Disconnected, NorthstarError, NotAllowed, PlanLapsed, TimedOut, UnreadableReply
from northstar_mcp.lightcone.events import read_event
from northstar_mcp.lightcone.frames import FrameParser
from northstar_mcp.lightcone.params import StartParams

from .conftest import Play
from .scripted import HOLD, WIRE, bytes_of, recording

START = "started 0 task_1"
USUAL = (START, "progress_update 1", "completed 2")


@dataclass(frozen=True)
class Expected:
    """What arrives: `type id task_id` per event, or `=value` for what has no type; then, perhaps, an error."""

    events: tuple[str, ...] = ()
    error: type[NorthstarError] | None = None
    requests: int = 1


EXPECTED: Final[Mapping[str, Expected]] = {
    "stream_402": Expected(error=PlanLapsed),
    "stream_403_problem": Expected(error=NotAllowed),
    "stream_429_then_ok": Expected(USUAL, requests=2),
    "stream_500_then_ok": Expected(USUAL, requests=2),
    "stream_basic": Expected(USUAL),
    "stream_bom": Expected(("a",)),  # the official client loses it
    "stream_close_early": Expected((START, "progress_update 1", "progress_update 1", "completed 2")),
    "stream_connection_reset": Expected((START,), error=Disconnected),
    "stream_crlf": Expected(("a 0", "b 1")),
    "stream_done_marker": Expected(("a",)),
    "stream_drop_then_ok": Expected(USUAL, requests=2),
    "stream_extra_last_event_id": Expected(USUAL),
    "stream_id_only_frame": Expected(USUAL),
    "stream_idle_timeout": Expected((START,), error=TimedOut),
    "stream_idle_with_pings_under_timeout": Expected(("a", "b")),
    "stream_ids_then_ping": Expected(USUAL),
    "stream_ids_trailing_blank": Expected(USUAL),
    "stream_invalid_utf8": Expected(("\ufffd",)),
    "stream_json_error_200": Expected(error=UnreadableReply),  # the official client shows an empty stream
    "stream_json_string_data": Expected(("=hello",)),
    "stream_keepalive_empty_data": Expected((START, "completed 2")),
    "stream_multiline_data": Expected(("multi",)),
    "stream_named_events": Expected(("error", "screenshot")),
    "stream_no_final_blank_line": Expected(("a", "lost")),  # the official client loses it
    "stream_no_ids": Expected(("a", "b")),
    "stream_no_read_timeout_none": Expected((START, "completed 2")),
    "stream_ping_no_blank_line": Expected(USUAL),
    "stream_plain_text_data": Expected(("=hello world",)),
    "stream_response_headers": Expected(USUAL),
    "stream_retry_field": Expected(("a",)),
    "stream_split_chunks": Expected(("café",)),
    "stream_u2028": Expected(("a\u2028b",)),
}

RECORDED: Final = sorted(path.stem for path in WIRE.glob("stream_*.json"))


def told(received: Any) -> str:
    event = received.event
    if event.type is None:
        return f"={event.value}"
    return " ".join(filter(None, (event.type, received.upstream_id, event.task_id)))


def test_every_recording_has_an_expectation_and_every_expectation_a_recording() -> None:
    assert set(EXPECTED) == set(RECORDED)


@pytest.mark.anyio
@pytest.mark.parametrize("name", RECORDED)
async def test_a_recorded_stream_comes_to_what_is_expected(name: str, play: Play) -> None:
    expected, script = EXPECTED[name], recording(name)["server_script"]
    options = {}
    if expected.error is TimedOut:
        options["stream_read_timeout_seconds"] = 0.5
        script = [{"sse": [HOLD if not isinstance(piece, str) else piece for piece in step["sse"]]} for step in script]
    events, error = [], None
    async with play(*script, **options) as (client, server):
        try:
            async with client.stream_task(StartParams(instruction="go", idempotency_key="k")) as stream:
                async for received in stream:
                    events.append(told(received))  # noqa: PERF401 - what came before an error counts
        except NorthstarError as raised:
            error = raised
        assert len(server.requests) == expected.requests
    assert tuple(events) == expected.events
    assert type(error) is (expected.error or type(None))


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
@pytest.mark.parametrize("name", [name for name in RECORDED if "sse" in recording(name)["server_script"][-1]])
def test_a_recorded_stream_reads_alike_however_it_is_cut(name: str, cut: int) -> None:
    pieces = recording(name)["server_script"][-1]["sse"]
    stream = b"".join(bytes_of(piece) for piece in pieces if isinstance(piece, str))
    parser, frames = FrameParser(), []
    for start in range(0, len(stream), cut):
        frames += parser.feed(stream[start : start + cut])
    frames += parser.close()
    got = tuple(told(received) for frame in frames if (received := read_event(frame)) is not None)
    # The recording that stops in silence has its last frame behind the silence.
    assert got == (EXPECTED[name].events if name != "stream_idle_timeout" else (START, "completed 2"))


@pytest.mark.anyio
async def test_leaving_a_stream_early_closes_the_connection(play: Play) -> None:
    pieces = ['data: {"type":"started"}\n\n', HOLD]
    async with play({"sse": pieces}) as (client, server):
        async with client.stream_task(StartParams(instruction="go")) as stream:
            assert told(await anext(stream)) == "started"
        await server.disconnected.wait()


@pytest.mark.anyio
async def test_a_silent_stream_whose_pings_arrive_stays_open(play: Play) -> None:
    pieces = [*([": ping\n\n", 0.01] * 20), 'data: {"type":"completed"}\n\n']
    async with (
        play({"sse": pieces}, stream_read_timeout_seconds=5) as (client, _),
        client.stream_task(StartParams(instruction="go")) as stream,
    ):
        assert [told(received) async for received in stream] == ["completed"]


@pytest.mark.anyio
async def test_a_break_is_told_after_the_last_whole_frame_and_told_again(play: Play) -> None:
    async with (
        play({"sse": ['data: {"type":"completed"}'], "abort": True}) as (client, _),
        client.stream_task(StartParams(instruction="go")) as stream,
    ):
        assert told(await anext(stream)) == "completed"
        for _ in range(2):
            with pytest.raises(Disconnected):
                await anext(stream)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("step", "shown"),
    [
        ({"json": {"error": {"message": "model not found"}}}, "model not found"),
        ({"json": ["what"]}, "what"),
        ({"text": "<html><title>Sign in</title>", "ct": "text/html"}, "Sign in"),
        ({"text": "{", "ct": "application/problem+json"}, "instead of JSON"),
    ],
)
async def test_a_success_that_is_no_stream_is_an_unreadable_reply(step: dict[str, Any], shown: str, play: Play) -> None:
    async with play(step) as (client, _):
        with pytest.raises(UnreadableReply, match=shown):
            async with client.stream_task(StartParams(instruction="go")):
                pytest.fail("there is no stream")


@pytest.mark.anyio
async def test_a_plain_start_reply_instead_of_a_stream_gives_its_task_id_and_no_events(play: Play) -> None:
    async with (
        play({"json": {"task_id": "task_9", "status": "running"}}) as (client, _),
        client.stream_task(StartParams(instruction="go")) as stream,
    ):
        assert stream.task_id == "task_9"
        assert [received async for received in stream] == []


@pytest.mark.anyio
async def test_a_stream_under_another_content_type_is_still_read(play: Play) -> None:
    async with (
        play({"sse": ['data: {"type":"completed"}\n\n'], "ct": "text/plain"}) as (client, _),
        client.stream_task(StartParams(instruction="go")) as stream,
    ):
        assert [told(received) async for received in stream] == ["completed"]


@pytest.mark.anyio
async def test_the_raw_lines_recording_reads_as_two_events_with_the_header_s_task_id(play: Play) -> None:
    async with (
        play(*recording("with_streaming_response_lines")["server_script"]) as (client, _),
        client.stream_task(StartParams(instruction="x")) as stream,
    ):
        assert stream.task_id == "task_1"
        assert [told(received) async for received in stream] == [START, "completed 2"]

"""Bytes into frames: named cases, and properties over any bytes and any cuts."""

import json

import httpx
import httpx_sse
import pytest
from hypothesis import given
from hypothesis import strategies as st

from northstar_mcp.lightcone.frames import Frame, FrameParser


def frames_of(*pieces: bytes, max_bytes: int = 1 << 20) -> list[Frame]:
    parser = FrameParser(max_bytes=max_bytes)
    frames = [frame for piece in pieces for frame in parser.feed(piece)]
    return frames + parser.close()


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"", []),
        (b"\n\n\n", []),
        (b": ping\n\n", []),
        (b"retry: 3000\n\n", []),
        (b"id: 7\n\n", []),
        (b"data:\n\n", []),
        (b"id: 1\ndata: a\n\n: ping\n\nid: 2\ndata: b\n\n", ["a", "b"]),
        (b"data: a\n: ping\ndata: b\n\n", ["a\nb"]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", ["a", "b", "c"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: \xef\xbb\xbfa\n\n", ["\ufeffa"]),
        (b"data: \xff\n\n", ["\ufffd"]),
        ("data: a\u2028b\x85c\x0bd\n\n".encode(), ["a\u2028b\x85c\x0bd"]),
        (b"data: [DONE]\n\n", ["[DONE]"]),
        (b"data:a\ndata: b\n\n", ["a\nb"]),
        (b"what is this\n\ndata: a\n\n", ["a"]),
        (b'{"error": "not a stream at all"}', []),
    ],
)
def test_a_stream_gives_these_frames(stream: bytes, data: list[str]) -> None:
    assert [frame.data for frame in frames_of(stream)] == data


def test_a_frame_has_its_own_id_and_never_its_predecessors() -> None:
    frames = frames_of(b"id: 1\ndata: a\n\ndata: b\n\nid: 3\nevent: c\ndata: c\n\n")
    assert [(frame.id, frame.event) for frame in frames] == [("1", None), (None, None), ("3", "c")]


def test_an_id_too_long_to_be_one_is_left_out() -> None:
    assert frames_of(b"id: " + b"1" * 1000 + b"\ndata: a\n\n") == [Frame(data="a")]


@pytest.mark.parametrize(
    "tail", [b'data: {"type":"a"}', b'data: {"type":"a"}\n', b'data: {"type":"a"}\r', b'data: {"type":"a"}\nid: 1']
)
def test_a_whole_last_frame_without_its_blank_line_is_delivered(tail: bytes) -> None:
    assert [(frame.data, frame.id) for frame in frames_of(tail)] == [('{"type":"a"}', None)]


@pytest.mark.parametrize("tail", [b'data: {"type":"a"', b"data: 12", b"data: tex", b'data: {"type":\ndata: "a'])
def test_a_torn_last_frame_is_not_taken_for_a_whole_one(tail: bytes) -> None:
    assert frames_of(b"data: {}\n\n" + tail) == [Frame(data="{}")]


def test_closing_twice_is_harmless() -> None:
    parser = FrameParser()
    parser.feed(b"data: {}")
    assert parser.close() == [Frame(data="{}")]
    assert parser.close() == []


@pytest.mark.parametrize(
    "frame",
    [
        b"id: 5\nevent: big\ndata: " + b"x" * 5000 + b"\n\n",
        b"id: 5\nevent: big\n" + b"data: xxxxxxxx\n" * 500 + b"\n",
        b"id: 5\nevent: big\n" + b"data:\n" * 2000 + b"\n",
    ],
)
@pytest.mark.parametrize("cut", [1, 7, 100_000])
def test_a_frame_that_is_too_large_is_reported_by_its_size_and_the_next_one_is_read(frame: bytes, cut: int) -> None:
    stream = frame + b"id: 6\ndata: next\n\n"
    parser = FrameParser(max_bytes=1000)
    frames = []
    for start in range(0, len(stream), cut):
        frames += parser.feed(stream[start : start + cut])
        assert parser.held_bytes <= 1000
    big, after = frames
    assert (big.id, big.event, big.data) == ("5", "big", "")
    assert big.dropped_bytes > 1000
    assert after == Frame(data="next", id="6")


_LINES = st.sampled_from(
    [
        b"data: {}",
        b"data: a",
        b"data",
        b"id: 1",
        b"id",
        b"event: x",
        b": c",
        b"retry: 1",
        b"",
        b"",
        "data: é✓\u2028".encode(),
    ]
)
_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
_STREAMS = st.one_of(
    st.binary(max_size=200),
    st.lists(st.tuples(_LINES, _ENDS), max_size=30).map(lambda lines: b"".join(line + end for line, end in lines)),
)


@given(stream=_STREAMS, cuts=st.lists(st.integers(0, 400), max_size=20), max_bytes=st.sampled_from([50, 1 << 20]))
def test_any_cut_gives_the_same_frames_within_the_bound(stream: bytes, cuts: list[int], max_bytes: int) -> None:
    parser, frames, start = FrameParser(max_bytes=max_bytes), [], 0
    for end in [*sorted(cut for cut in cuts if cut < len(stream)), len(stream)]:
        frames += parser.feed(stream[start:end])
        assert parser.held_bytes <= max_bytes
        start = end
    assert frames + parser.close() == frames_of(stream, max_bytes=max_bytes)


_TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=30)


@given(events=st.lists(st.tuples(st.none() | st.integers(0, 99), st.lists(_TEXT, min_size=1, max_size=3)), max_size=8))
def test_a_well_formed_stream_reads_as_httpx_sse_reads_it(events: list[tuple[int | None, list[str]]]) -> None:
    wire = "".join(
        ("" if number is None else f"id: {number}\n") + "".join(f"data: {line}\n" for line in lines) + "\n"
        for number, lines in events
    ).encode()
    response = httpx.Response(200, headers={"Content-Type": "text/event-stream; charset=utf-8"}, content=wire)
    theirs = [event.data for event in httpx_sse.EventSource(response).iter_sse() if event.data.strip()]
    assert [frame.data for frame in frames_of(wire)] == theirs


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_json_of_any_shape_arrives_as_it_was_sent(value: object) -> None:
    frames = frames_of(b"data: " + json.dumps(value).encode() + b"\n\n")
    assert [json.loads(frame.data) for frame in frames] == [value]

"""Each answer to each open question about the hosted API, seen from outside."""

from dataclasses import fields

import pytest

from northstar_mcp.simulator import Dialect
from northstar_mcp.simulator.dialect import MEANINGS, OutOfSteps, Reattach

from .visitor import read, visiting

INSTRUCTION = "Open example.com and read the heading"


def test_every_key_has_a_meaning_and_a_default() -> None:
    assert list(MEANINGS) == [field.name for field in fields(Dialect)]
    assert Dialect.parse("") == Dialect()


def test_a_dialect_is_read_from_text_and_written_as_text() -> None:
    dialect = Dialect.parse("reattach=post, out_of_steps = silent")
    assert (dialect.reattach, dialect.out_of_steps) == (Reattach.POST, OutOfSteps.SILENT)
    assert Dialect.parse(str(dialect)) == dialect


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour=red", "unknown dialect key 'colour': the keys are task_id, reattach"),
        ("reattach=fax", "'reattach' takes get, post, none, not 'fax'"),
        ("reattach", "written key=value"),
        ("reattach=get,reattach=post", "given twice"),
    ],
)
def test_what_cannot_be_read_is_a_clear_error(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Dialect.parse(text)


@pytest.mark.anyio
@pytest.mark.parametrize(("place", "in_frames", "in_header"), [("frames", 1, 0), ("header", 0, 1), ("nowhere", 0, 0)])
async def test_the_task_id_is_where_the_dialect_puts_it(place: str, in_frames: bool, in_header: bool) -> None:
    async with visiting(f"task_id={place}") as visitor:
        reading = await visitor.stream(INSTRUCTION)
        assert [frame for _, frame in reading.frames if ("task_id" in frame) != in_frames] == []
        assert ("x-task-id" in reading.headers) == in_header


@pytest.mark.anyio
async def test_frames_without_ids_have_no_id_line_at_all() -> None:
    async with visiting("frame_ids=absent") as visitor:
        reading = await visitor.stream(INSTRUCTION)
        assert {frame_id for frame_id, _ in reading.frames} == {None}
        assert reading.id_only == []


@pytest.mark.anyio
async def test_reattaching_by_get_replays_what_follows_the_last_event_id() -> None:
    async with visiting("reattach=get") as visitor:
        whole = await visitor.stream(INSTRUCTION)
        task_id = whole.last["task_id"]
        assert (await visitor.replay(task_id)).frames == whole.frames
        assert (await visitor.replay(task_id, after=5)).frames == whole.frames[5:]
        assert (await visitor.replay(task_id, query="?from=5")).frames == whole.frames[4:]
        assert (await visitor.replay(task_id, after=10_000)).frames == []


@pytest.mark.anyio
async def test_reattaching_by_post_takes_the_same_key_and_the_last_event_id() -> None:
    async with visiting("reattach=post") as visitor:
        body = {"instruction": INSTRUCTION, "idempotency_key": "k"}
        whole = await visitor.stream(**body)
        async with visitor.opened(body, headers={"Last-Event-ID": "7"}) as answer:
            assert (await read(answer)).frames == whole.frames[7:]
        async with visitor.opened(body, query="?from=7") as answer:
            assert (await read(answer)).frames == whole.frames[6:]
        assert visitor.journal.counts["tasks_started"] == 1
        task_id = whole.last["task_id"]
        assert (await visitor.http.get(f"/agent/tasks/{task_id}/stream")).text == "404 page not found\n"


@pytest.mark.anyio
async def test_without_a_way_back_the_same_key_shows_the_start_and_nothing_that_was_missed() -> None:
    async with visiting("reattach=none") as visitor:
        body = {"instruction": INSTRUCTION, "idempotency_key": "k"}
        whole = await visitor.stream(**body)
        async with visitor.opened(body, headers={"Last-Event-ID": "3"}) as answer:
            assert (await read(answer)).types == ["started"]
        missing = await visitor.http.get(f"/agent/tasks/{whole.last['task_id']}/stream")
        assert (missing.status_code, missing.text) == (404, "404 page not found\n")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("dialect", "started"),
    [("", 1), ("idempotent_stream=no", 2), ("shared_keys=no", 1), ("idempotent_stream=no,reattach=post", 2)],
)
async def test_the_same_key_on_the_stream_starts_as_many_tasks_as_the_dialect_says(dialect: str, started: int) -> None:
    async with visiting(dialect) as visitor:
        for _ in range(2):
            await visitor.stream(INSTRUCTION, idempotency_key="k")
        assert visitor.journal.counts["tasks_started"] == started


@pytest.mark.anyio
@pytest.mark.parametrize(("shared", "reused"), [("yes", True), ("no", False)])
async def test_the_two_start_operations_share_their_keys_or_not(shared: str, reused: bool) -> None:
    async with visiting(f"shared_keys={shared}") as visitor:
        await visitor.stream(INSTRUCTION, idempotency_key="k")
        answer = await visitor.post("/agent/tasks", {"instruction": INSTRUCTION, "idempotency_key": "k"})
        assert answer.json()["reused"] is reused


@pytest.mark.anyio
async def test_the_status_may_carry_extras() -> None:
    async with visiting("status_fields=extra") as visitor:
        good = await visitor.stream(f"{INSTRUCTION} [result=fine]")
        bad = await visitor.stream(f"{INSTRUCTION} [fail]")
        told = [await visitor.get(f"/agent/tasks/{reading.last['task_id']}") for reading in (good, bad)]
        assert (told[0]["result"], told[0]["computer_id"]) == ("fine", good.of("started")[0]["computer_id"])
        assert told[1]["error"] == "Step 3 could not be carried out."


@pytest.mark.anyio
async def test_out_of_steps_may_show_in_the_stream_but_poll_running_for_ever() -> None:
    async with visiting("out_of_steps=status_running") as visitor:
        reading = await visitor.stream(INSTRUCTION, max_steps=1)
        assert reading.last["type"] == "max_steps"
        told = await visitor.get(f"/agent/tasks/{reading.last['task_id']}")
        assert told == {"status": "running", "task_id": reading.last["task_id"]}


@pytest.mark.anyio
async def test_out_of_steps_may_show_nowhere() -> None:
    async with visiting("out_of_steps=silent", ping_seconds=0.002) as visitor:
        async with visitor.opened({"instruction": INSTRUCTION, "max_steps": 1}) as answer:
            reading = await read(answer, pings_at_most=5)
        assert reading.last["type"] == "progress_update"
        assert await visitor.status(reading.last["task_id"]) == "running"


@pytest.mark.anyio
@pytest.mark.parametrize(("after_end", "status"), [("conflict", 409), ("missing", 404), ("accepted", 200)])
async def test_steering_an_ended_task_is_answered_as_the_dialect_says(after_end: str, status: int) -> None:
    async with visiting(f"after_end={after_end}") as visitor:
        task_id = (await visitor.stream(INSTRUCTION)).last["task_id"]
        answers = [
            await visitor.post(f"/agent/tasks/{task_id}/pause"),
            await visitor.post(f"/agent/tasks/{task_id}/resume"),
            await visitor.post(f"/agent/tasks/{task_id}/messages", {"message": "too late"}),
        ]
        assert [answer.status_code for answer in answers] == [status] * 3
        assert await visitor.status(task_id) == "completed"

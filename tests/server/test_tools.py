"""Each tool on its usual road, in both protocol eras, over a real engine and the simulator."""

import base64
import io
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import ImageContent

from northstar_mcp.server.pictures import MAX_EDGE, MAX_PIXELS
from northstar_mcp.tasks.policy import Policy
from tests.server.conftest import ERAS, House, connected, facts_of, text_of

pytestmark = pytest.mark.anyio
BOTH_ERAS = pytest.mark.parametrize("era", ERAS)
SLOW: dict[str, Any] = {"step_seconds": 0.05}
LONG = "Read the long page [steps=400]"


@BOTH_ERAS
async def test_a_task_is_started_followed_and_answered(house: House, era: str) -> None:
    async with house.open(era=era) as desk:
        first = await desk.facts("start_task", instruction="Open example.com [result=All done]", max_steps=20)
        assert first["state"] in ("starting", "running", "completed")
        assert first["reused"] is False

        last = await desk.facts("task_status", task_id=first["task_id"], since_seq=first["seq"], wait_seconds=5)

        assert last["state"] == "completed"
        assert last["result"] == "All done"
        assert last["max_steps"] == 20
        assert "poll_after_seconds" not in last
        assert [each["seq"] for each in last["events"]] == list(range(first["seq"] + 1, last["seq"] + 1))
        assert desk.starts == 1


async def test_start_task_can_wait_for_the_end(house: House) -> None:
    async with house.open() as desk:
        answer = await desk.call("start_task", instruction="Open example.com [result=Found it]", wait_seconds=5)

        text = text_of(answer)
        assert text.startswith("Northstar reports task task_")
        assert "Found it" in text
        assert text.splitlines()[-1].startswith("Next: ")


async def test_a_short_wait_ends_before_the_task_does(house: House) -> None:
    async with house.open(**SLOW) as desk:
        facts = await desk.facts("start_task", instruction=LONG, wait_seconds=0.3)

        assert facts["state"] == "running"
        assert facts["events"]
        assert facts["live_view_url"] == f"https://lightcone.ai/c/{facts['computer_id']}"


async def test_what_was_asked_for_is_what_lightcone_gets(house: House) -> None:
    asked: dict[str, Any] = {
        "instruction": "Open example.com",
        "kind": "browser",
        "start_url": "https://example.com",
        "model": "tzafon.northstar-cua-fast",
        "max_steps": 9,
        "max_duration_seconds": 60,
        "temperature": 0.5,
        "screenshot_mode": "base64",
        "viewport_width": 800,
        "viewport_height": 600,
        "persistent": True,
        "keep_alive": False,
    }
    async with house.open() as desk:
        await desk.ended(**asked)

        (start,) = desk.lightcone.journal.starts
        assert {name: start.body[name] for name in asked} == asked


async def test_steps_and_time_have_the_operators_defaults(house: House) -> None:
    async with house.open(policy=Policy(max_steps=7)) as desk:
        facts = await desk.facts("start_task", instruction="Open example.com")
        more = await desk.facts("start_task", instruction="Open example.org", max_steps=50)

        assert facts["max_steps"] == more["max_steps"] == 7
        assert "clamped" not in facts
        assert more["clamped"] == ["max_steps was lowered from 50 to 7, this server's limit."]


async def test_a_repeat_returns_the_task_that_is_under_way(house: House) -> None:
    async with house.open(**SLOW) as desk:
        first = await desk.started(LONG)

        again = await desk.call("start_task", instruction=LONG)

        assert facts_of(again)["task_id"] == first
        assert facts_of(again)["reused"] is True
        assert "nothing new was started" in text_of(again)
        assert desk.starts == 1


async def test_an_idempotency_key_for_other_work_is_a_conflict(house: House) -> None:
    async with house.open() as desk:
        await desk.ended("Open example.com", idempotency_key="job-1")

        told = await desk.fault("start_task", instruction="Open example.org", idempotency_key="job-1")
        again = await desk.call("start_task", instruction="Open example.com", idempotency_key="job-1")

        assert "was used before for other work" in told
        assert "that task has ended: nothing new was started" in text_of(again)
        assert desk.starts == 1


async def test_a_start_that_lightcone_refuses_is_an_error_with_the_reason(house: House) -> None:
    async with house.open(max_computers=1, **SLOW) as desk:
        await desk.started(LONG)

        answer = await desk.call("start_task", instruction="Another one", wait_seconds=5)

        assert answer.is_error
        assert facts_of(answer)["state"] == "failed"
        assert facts_of(answer)["error"]["category"] == "concurrent_limit"


@BOTH_ERAS
async def test_a_task_is_paused_told_something_resumed_and_stopped(house: House, era: str) -> None:
    async with house.open(era=era, **SLOW) as desk:
        task_id = await desk.started(LONG)

        paused = await desk.facts("pause", task_id=task_id)
        said = await desk.facts("inject_message", task_id=task_id, message="Note the footer as well")
        resumed = await desk.facts("resume", task_id=task_id)
        stopped = await desk.facts("stop_task", task_id=task_id)

        assert (paused["state"], paused["changed"]) == ("paused", True)
        assert [receipt["state"] for receipt in said["receipts"]] == ["queued"]
        assert (resumed["state"], resumed["changed"]) == ("running", True)
        assert (stopped["state"], stopped["confirmed"]) == ("stopped", True)
        assert stopped["done"]


async def test_a_second_pause_says_that_it_was_paused(house: House) -> None:
    async with house.open(**SLOW) as desk:
        task_id = await desk.started(LONG)
        await desk.facts("pause", task_id=task_id)

        again = await desk.facts("pause", task_id=task_id)

        assert again["changed"] is False


async def test_steering_a_task_that_has_ended_is_refused(house: House) -> None:
    async with house.open() as desk:
        task_id = (await desk.ended("Open example.com"))["task_id"]

        def asked() -> list[str]:
            return [call.path for call in desk.lightcone.journal.calls if call.method == "POST"]

        before = asked()

        for tool, more in (("pause", {}), ("resume", {}), ("inject_message", {"message": "Go on"})):
            assert "The task has ended (completed)." in await desk.fault(tool, task_id=task_id, **more)

        assert asked() == before


async def test_stopping_what_may_still_run_is_not_called_stopped(house: House) -> None:
    async with house.open(**SLOW) as desk:
        task_id = await desk.started("[wedge at 1] Read the page", keep_alive=True)

        facts = await desk.facts("stop_task", task_id=task_id)

        assert facts["confirmed"] is False
        assert facts["summary"].startswith("Stopping was not confirmed: Northstar may still act.")
        assert f'task_status with task_id "{task_id}"' in facts["next_step"]


async def test_a_task_that_ends_because_it_was_told_to_is_not_called_done(house: House) -> None:
    async with house.open(**SLOW) as desk:
        task_id = await desk.started(LONG, keep_alive=True)

        facts = await desk.facts("stop_task", task_id=task_id)

        assert facts["confirmed"] is True
        assert "take the work as unfinished" in facts["summary"]
        assert "take the work as unfinished" in (await desk.facts("task_status", task_id=task_id))["summary"]


async def test_a_task_that_waits_for_a_person_names_the_live_view_and_resume(house: House) -> None:
    async with house.open() as desk:
        facts = await desk.facts("start_task", instruction="[login at 2] Read my mail", wait_seconds=5)

        assert facts["state"] == "needs_input"
        assert facts["live_view_url"] in facts["next_step"]
        assert "resume" in facts["next_step"]

        done = await desk.facts("resume", task_id=facts["task_id"])
        last = await desk.facts("task_status", task_id=facts["task_id"], since_seq=done["seq"], wait_seconds=5)
        assert last["state"] == "completed"


async def test_tasks_are_listed_newest_first_page_by_page(house: House) -> None:
    async with house.open() as desk:
        ids = [(await desk.ended(f"Open page {n}"))["task_id"] for n in range(3)]

        first = await desk.facts("list_tasks", limit=2)
        second = await desk.facts("list_tasks", limit=2, cursor=first["next_cursor"])

        assert [each["task_id"] for each in first["tasks"] + second["tasks"]] == ids[::-1]
        assert "next_cursor" not in second
        assert first["tasks"][0]["instruction"] == "Open page 2"
        assert not {"result", "next_step"} & set(first["tasks"][0])


async def test_tasks_can_be_listed_by_state(house: House) -> None:
    async with house.open(**SLOW) as desk:
        running = await desk.started(LONG)
        ended = (await desk.ended("[steps=1] Look"))["task_id"]

        for state, expected in (("unfinished", [running]), ("ended", [ended]), ("completed", [ended]), ("failed", [])):
            listed = await desk.facts("list_tasks", state=state)
            assert [each["task_id"] for each in listed["tasks"]] == expected, state


async def test_the_first_of_several_tasks_to_end_is_told_with_its_result(house: House) -> None:
    async with house.open(**SLOW) as desk:
        long = await desk.started(LONG)
        short = await desk.started("[steps=2] [result=Short one] Look")

        answer = await desk.call("wait_for_tasks", task_ids=[long, short], wait_seconds=5)

        facts = facts_of(answer)
        assert [(each["task_id"], each["result"]) for each in facts["tasks"]] == [(short, "Short one")]
        assert [each["task_id"] for each in facts["waiting"]] == [long]
        assert f'task_ids ["{long}"]' in facts["next_step"]
        assert "Short one" in text_of(answer)


async def test_waiting_for_no_time_tells_what_has_ended_already(house: House) -> None:
    async with house.open() as desk:
        task_id = (await desk.ended("Open example.com"))["task_id"]

        facts = await desk.facts("wait_for_tasks", task_ids=[task_id, task_id], wait_seconds=0)

        assert [each["task_id"] for each in facts["tasks"]] == [task_id]
        assert facts["waiting"] == []


async def test_a_screenshot_is_one_picture_with_words_beside_it(house: House) -> None:
    from PIL import Image

    async with house.open() as desk:
        task_id = (await desk.ended("Open example.com", viewport_width=2560, viewport_height=1600))["task_id"]

        answer = await desk.call("task_screenshot", task_id=task_id)

        (picture,) = (block for block in answer.content if isinstance(block, ImageContent))
        with Image.open(io.BytesIO(base64.b64decode(picture.data))) as image:
            width, height = image.size
        told = facts_of(answer)["screenshot"]
        assert (told["width"], told["height"]) == (width, height)
        assert max(width, height) <= MAX_EDGE
        assert width * height <= MAX_PIXELS
        assert told["scale"] < 1
        assert f"with event #{told['seq']}" in text_of(answer)


async def test_a_screenshot_can_be_of_one_event_or_of_now(house: House) -> None:
    async with house.open(**SLOW) as desk:
        task_id = await desk.started(LONG)
        await desk.facts("task_status", task_id=task_id, wait_seconds=0.3)
        events = await desk.engine.ledger.events(task_id)
        seq = next(event.seq for event in events if event.type == "screenshot")

        of_event = await desk.facts("task_screenshot", task_id=task_id, seq=seq)
        live = await desk.facts("task_screenshot", task_id=task_id, live=True)

        assert of_event["screenshot"]["seq"] == seq
        assert "seq" not in live["screenshot"]


async def test_where_there_is_no_picture_it_says_so(house: House) -> None:
    async with house.open() as desk:
        task_id = (await desk.ended("Open example.com"))["task_id"]

        told = await desk.fault("task_screenshot", task_id=task_id, seq=1)

        assert told.startswith("Event 1 of this task has no screenshot.")


@BOTH_ERAS
async def test_an_aborted_call_ends_the_wait_and_not_the_task(house: House, era: str) -> None:
    async with house.open(era=era, **SLOW) as desk:
        task_id = await desk.started("[steps=20] Read the page")
        with anyio.move_on_after(0.2) as aborted:
            await desk.client.call_tool("task_status", {"task_id": task_id, "wait_seconds": 40})
        assert aborted.cancelled_caught

        facts = await desk.facts("task_status", task_id=task_id, wait_seconds=5)

        assert facts["state"] == "completed"
        assert desk.starts == 1


async def test_tasks_outlive_the_client_that_started_them(house: House, tmp_path: Path) -> None:
    async with house.workshop.open(step_seconds=0.02) as core:
        async with connected(core) as desk:
            task_id = await desk.started("[result=Still here] Read the page")
        async with connected(core) as later:
            facts = await later.facts("task_status", task_id=task_id, wait_seconds=5)

    assert facts["result"] == "Still here"

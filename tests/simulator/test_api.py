"""Refusals, idempotency, replay, computers and pictures, journal: the API around the agent."""

import io

import pytest
from PIL import Image

from .visitor import visiting

pytestmark = pytest.mark.anyio
INSTRUCTION = "Open example.com and read the heading"


@pytest.mark.parametrize("key", ["", "nope", "SK_upper"])
async def test_a_wrong_key_is_a_401_with_exactly_this_body(key: str) -> None:
    async with visiting() as visitor:
        for path in ("/agent/tasks/x", "/computers"):
            answer = await visitor.http.get(path, headers={"Authorization": f"Bearer {key}".strip()})
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.text == '{"status":401,"title":"Invalid token","type":""}'


async def test_a_list_of_accepted_keys_is_the_only_one_that_counts() -> None:
    async with visiting(accepted_keys=frozenset({"sk_test_key"})) as visitor:
        assert (await visitor.http.get("/computers")).status_code == 200
        other = await visitor.http.get("/computers", headers={"Authorization": "Bearer sk_other"})
        assert other.status_code == 401
    async with visiting(accepted_keys=frozenset()) as visitor:
        assert (await visitor.http.get("/computers")).status_code == 401


async def test_what_does_not_exist_is_a_404_with_exactly_this_body() -> None:
    async with visiting() as visitor:
        for path in ("/agent/tasks/task_x", "/agent/tasks/task_x/stream", "/computers/c", "/computers/c/status"):
            answer = await visitor.http.get(path)
            assert (answer.status_code, answer.text) == (404, '{"status":404,"title":"Session not found","type":""}')


async def test_an_unrouted_path_is_plain_text() -> None:
    async with visiting() as visitor:
        answer = await visitor.http.get("/agent/nothing")
        assert (answer.status_code, answer.text.strip()) == (404, "404 page not found")
        assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("name", ["kind", "stream_mode", "screenshot_mode", "on_missing_computer", "harness_version"])
async def test_a_word_outside_an_enumeration_is_a_503(name: str) -> None:
    async with visiting() as visitor:
        answer = await visitor.post("/agent/tasks", {"instruction": INSTRUCTION, name: "not-a-word"})
        assert answer.status_code == 503
        assert answer.json() == {
            "detail": "Please try again later.",
            "status": 503,
            "title": "Service unavailable",
            "type": "",
        }
        assert visitor.journal.counts["starts"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"instruction": ""},
        {"instruction": 7},
        {"instruction": "x", "max_steps": 0},
        {"instruction": "x", "max_steps": "5"},
        {"instruction": "x", "temperature": 3},
        {"instruction": "x", "viewport_width": 10},
        {"instruction": "x", "metadata": {"a": 1}},
        {"instruction": "x", "kind": ["browser"]},
        {"instruction": "x", "context": [{"role": "robot", "content": ""}]},
        {"instruction": "x", "kind": "desktop", "start_url": "https://example.com"},
    ],
)
async def test_other_wrong_arguments_are_a_400_problem(body: dict[str, object]) -> None:
    async with visiting() as visitor:
        for path in ("/agent/tasks", "/agent/tasks/stream"):
            answer = await visitor.post(path, body)
            assert (answer.status_code, answer.json()["status"]) == (400, 400)


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"x"', b"\xff"])
async def test_a_body_that_is_no_json_object_is_a_400(raw: bytes) -> None:
    async with visiting() as visitor:
        assert (await visitor.http.post("/agent/tasks", content=raw)).status_code == 400


async def test_nulls_count_as_absent_and_unknown_keys_are_kept() -> None:
    async with visiting() as visitor:
        await visitor.start(INSTRUCTION, kind=None, max_steps=None, enable_login_handoff=True)
        assert visitor.journal.starts[0].body == {"instruction": INSTRUCTION, "enable_login_handoff": True}


async def test_one_computer_too_many_is_a_429() -> None:
    async with visiting(max_computers=1) as visitor:
        await visitor.start(f"{INSTRUCTION} [wedge at 1]")
        for path, body in (("/agent/tasks", {"instruction": INSTRUCTION}), ("/computers", {})):
            answer = await visitor.post(path, body)
            assert (answer.status_code, answer.json()["title"]) == (429, "Concurrent limit reached")


async def test_the_same_key_finds_the_same_task() -> None:
    async with visiting() as visitor:
        body = {"instruction": INSTRUCTION, "idempotency_key": "expense-INV-4821"}
        first, again = [(await visitor.post("/agent/tasks", body)).json() for _ in range(2)]
        assert (first["reused"], again["reused"]) == (False, True)
        assert first["task_id"] == again["task_id"]
        assert again["idempotency_key"] == "expense-INV-4821"
        assert visitor.journal.counts["tasks_started"] == 1
        assert visitor.journal.counts["starts_reused"] == 1


async def test_evicted_frames_are_reported_as_a_gap() -> None:
    async with visiting(kept_frames=3) as visitor:
        task_id = await visitor.start(INSTRUCTION)
        await visitor.until(task_id, "completed")
        reading = await visitor.replay(task_id, after=2)
        assert reading.types[0] == "replay_gap"
        gap_id, gap = reading.frames[0]
        last = len(visitor.journal.frames[task_id])
        assert (gap["first_missed"], gap["last_missed"], gap_id) == (3, last - 3, str(last - 3))
        assert [frame_id for frame_id, _ in reading.frames[1:]] == [str(last - 2), str(last - 1), str(last)]


async def test_frames_are_bounded_by_size_too() -> None:
    async with visiting(kept_frame_bytes=200_000) as visitor:
        task_id = await visitor.start(f"{INSTRUCTION} [steps=4]", screenshot_mode="base64")
        await visitor.until(task_id, "completed")
        assert (await visitor.replay(task_id)).types[0] == "replay_gap"


async def test_a_stream_is_gone_some_time_after_the_end() -> None:
    async with visiting(stream_kept_seconds=0) as visitor:
        task_id = await visitor.start(INSTRUCTION)
        await visitor.until(task_id, "completed")
        assert (await visitor.http.get(f"/agent/tasks/{task_id}/stream")).status_code == 404
        assert await visitor.status(task_id) == "completed"


async def test_the_oldest_ended_tasks_are_forgotten() -> None:
    async with visiting(kept_tasks=2) as visitor:
        ids = []
        for _ in range(3):
            ids.append(await visitor.start(INSTRUCTION))
            await visitor.until(ids[-1], "completed")
        assert (await visitor.http.get(f"/agent/tasks/{ids[0]}")).status_code == 404
        assert len((await visitor.http.get("/_simulator/tasks")).json()) == 2


@pytest.mark.parametrize("size", [(1280, 720), (900, 1200), (200, 200)])
@pytest.mark.parametrize("kind", ["browser", "desktop"])
async def test_screenshots_are_pngs_of_the_viewports_size(kind: str, size: tuple[int, int]) -> None:
    async with visiting() as visitor:
        reading = await visitor.stream(
            f"{INSTRUCTION} [steps=2]", kind=kind, viewport_width=size[0], viewport_height=size[1]
        )
        url = reading.of("screenshot")[-1]["image"]
        picture = await visitor.http.get(url, headers={"Authorization": ""})
        assert picture.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(picture.content)) as image:
            image.load()
            assert (image.format, image.size) == ("PNG", size)
            assert len(set(image.convert("RGB").resize((64, 64)).tobytes())) > 5


async def test_screenshots_may_be_data_urls() -> None:
    async with visiting() as visitor:
        reading = await visitor.stream("Look [steps=1]", screenshot_mode="base64")
        assert reading.of("screenshot")[0]["image"].startswith("data:image/png;base64,iVBOR")


async def test_a_screenshot_url_with_another_signature_is_forbidden() -> None:
    async with visiting() as visitor:
        url = (await visitor.stream("Look [steps=1]")).of("screenshot")[0]["image"]
        assert (await visitor.http.get(url)).status_code == 200
        for wrong in (
            url[:-1] + ("0" if url[-1] != "0" else "1"),
            url.split("?")[0],
            url.replace("expires=", "expires=9"),
        ):
            assert (await visitor.http.get(wrong)).status_code == 403


async def test_a_screenshot_url_expires() -> None:
    async with visiting(screenshot_url_seconds=0) as visitor:
        url = (await visitor.stream("Look [steps=1]")).of("screenshot")[0]["image"]
        answer = await visitor.http.get(url)
        assert (answer.status_code, answer.text) == (403, "Request has expired")


async def test_deleting_the_computer_fails_its_task() -> None:
    async with visiting() as visitor:
        task_id = await visitor.start(f"{INSTRUCTION} [step_seconds=60]")
        (computer,) = (await visitor.http.get("/computers")).json()
        assert (await visitor.http.delete(f"/computers/{computer['id']}")).status_code == 204
        reading = await visitor.replay(task_id)
        assert (reading.last["type"], reading.last["error_code"]) == ("failed", "session_expired")
        assert await visitor.status(task_id) == "failed"


async def test_deleting_the_computer_ends_a_wedged_task_too() -> None:
    async with visiting() as visitor:
        task_id = await visitor.start(f"{INSTRUCTION} [wedge at 1]")
        (computer,) = (await visitor.http.get("/computers")).json()
        await visitor.http.delete(f"/computers/{computer['id']}")
        assert (await visitor.replay(task_id)).last["error_code"] == "session_expired"


@pytest.mark.parametrize(
    ("said", "stays"), [({}, False), ({"keep_alive": True}, True), ({"terminate_on_completion": False}, True)]
)
async def test_a_tasks_own_computer_ends_with_it_unless_kept_alive(said: dict[str, bool], stays: bool) -> None:
    async with visiting() as visitor:
        computer_id = (await visitor.stream(INSTRUCTION, **said)).of("started")[0]["computer_id"]
        assert (await visitor.http.get(f"/computers/{computer_id}")).status_code == (200 if stays else 404)


async def test_tasks_follow_each_other_on_one_computer_but_not_at_once() -> None:
    async with visiting() as visitor:
        computer_id = (await visitor.post("/computers", {"kind": "browser"})).json()["id"]
        first = await visitor.stream("Open example.com", computer_id=computer_id, start_url="https://example.com/first")
        assert first.of("started")[0]["computer_id"] == computer_id
        await visitor.start(f"{INSTRUCTION} [wedge at 1]", computer_id=computer_id)
        busy = await visitor.post("/agent/tasks", {"instruction": INSTRUCTION, "computer_id": computer_id})
        assert busy.status_code == 409


async def test_a_persistent_session_is_restored_with_what_it_showed() -> None:
    async with visiting() as visitor:
        first = await visitor.stream("Look", start_url="https://example.com/cart", persistent=True)
        saved = first.of("started")[0]["computer_id"]
        assert (await visitor.http.get(f"/computers/{saved}")).status_code == 404
        again = await visitor.stream("Look", computer_id=saved, keep_alive=True)
        assert again.of("started")[0]["computer_id"] == saved
        shown = (await visitor.post(f"/computers/{saved}/screenshot", {"base64": True})).json()
        assert shown["page_context"]["url"].startswith("https://")
        other = await visitor.stream("Look", environment_id=saved)
        assert other.of("started")[0]["restored_from"] == saved
        assert other.of("started")[0]["computer_id"] != saved


@pytest.mark.parametrize(("mode", "status"), [("fail", 404), ("restore", 404), ("create_new", 200)])
async def test_a_missing_computer_is_treated_as_asked(mode: str, status: int) -> None:
    async with visiting() as visitor:
        body = {"instruction": INSTRUCTION, "computer_id": "comp_gone", "on_missing_computer": mode}
        assert (await visitor.post("/agent/tasks", body)).status_code == status


async def test_a_missing_environment_is_a_404() -> None:
    async with visiting() as visitor:
        for path, body in (("/agent/tasks", {"instruction": "x"}), ("/computers", {})):
            assert (await visitor.post(path, {**body, "environment_id": "env_gone"})).status_code == 404


async def test_the_journal_tells_what_was_asked_and_done_without_the_key() -> None:
    async with visiting(key="sk_very_secret") as visitor:
        task_id = await visitor.start(INSTRUCTION, idempotency_key="k", metadata={"team": "blue"})
        await visitor.until(task_id, "completed")
        journal = await visitor.get("/_simulator/journal")
        (start,) = journal["starts"]
        assert (start["operation"], start["idempotency_key"], start["reused"]) == ("start", "k", False)
        assert start["body"]["metadata"] == {"team": "blue"}
        assert start["headers"]["authorization"].startswith("sha256:")
        assert journal["calls"][0] | {"at": 0} == {
            "method": "POST",
            "path": "/agent/tasks",
            "query": "",
            "status": 200,
            "fault": None,
            "at": 0,
        }
        assert [frame["type"] for frame in journal["frames"][task_id]][-1] == "completed"
        assert "very_secret" not in str(journal)
        (task,) = (await visitor.http.get("/_simulator/tasks")).json()
        assert (task["over"], task["metadata"], task["steps_done"] > 0) == (True, {"team": "blue"}, True)

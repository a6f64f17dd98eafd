"""The scripted agent as its stream shows it: steps, modes, limits, steering, hooks."""

import pytest

from northstar_mcp.simulator.script import Verb, write_script

from .visitor import read, visiting

pytestmark = pytest.mark.anyio
INSTRUCTION = "Open shop.example.com, search for wireless headphones and tell me the cheapest"


async def test_steps_follow_from_the_instruction() -> None:
    script = write_script(
        'Go to crm.example.com and sign in. Create contact "Dana", type "Acme Ltd", click "Save" and verify it.',
        start_url=None,
        browser=True,
    )
    assert [step.verb for step in script.steps] == [
        Verb.OPEN,
        Verb.LOOK,
        Verb.LOGIN,
        Verb.TYPE,
        Verb.TYPE,
        Verb.CLICK,
        Verb.VERIFY,
    ]
    assert [step.what for step in script.steps[3:6]] == ["Dana", "Acme Ltd", "“Save”"]


@pytest.mark.parametrize("instruction", ["go", "✓ 你好", "1. a1\n" * 40, "x" * 100_000, "[", "[steps=0]", "[[fail]"])
async def test_any_instruction_makes_between_four_and_twelve_steps(instruction: str) -> None:
    for browser in (True, False):
        script = write_script(instruction, start_url=None, browser=browser)
        assert (1 if "steps" in instruction else 4) <= len(script.steps) <= 12
        assert script == write_script(instruction, start_url=None, browser=browser)


async def test_a_task_runs_from_started_to_completed_and_tells_what_it_did() -> None:
    async with visiting() as visitor:
        reading = await visitor.stream(INSTRUCTION, kind="browser")
        assert reading.types[0] == "started"
        assert reading.types[1:5] == ["thinking", "executed", "screenshot", "progress_update"]
        assert reading.types[-1] == "completed"
        assert "searched for “wireless headphones”" in reading.last["result"]
        assert [frame_id for frame_id, _ in reading.frames] == [str(n + 1) for n in range(len(reading.frames))]
        assert reading.id_only == [str(len(reading.frames) + 1)]
        assert len({frame["task_id"] for _, frame in reading.frames}) == 1
        told = await visitor.get(f"/agent/tasks/{reading.last['task_id']}")
        assert told == {"status": "completed", "task_id": reading.last["task_id"], "exit_code": 0}


async def test_the_result_hook_and_the_steps_hook_are_exact() -> None:
    async with visiting() as visitor:
        reading = await visitor.stream(f"{INSTRUCTION} [steps=7] [result=42 €]")
        assert len(reading.of("executed")) == 7
        assert reading.last["result"] == "42 €"


async def test_max_steps_ends_the_task_before_it_is_done() -> None:
    async with visiting() as visitor:
        reading = await visitor.stream(f"{INSTRUCTION} [steps=9]", max_steps=2)
        assert (len(reading.of("executed")), reading.last["type"]) == (2, "max_steps")
        assert await visitor.status(reading.last["task_id"]) == "max_steps"


async def test_max_steps_that_just_suffice_let_it_complete() -> None:
    async with visiting() as visitor:
        assert (await visitor.stream("Look [steps=4]", max_steps=4)).last["type"] == "completed"


async def test_max_duration_ends_the_task_within_a_step() -> None:
    async with visiting(speed=200) as visitor:
        reading = await visitor.stream(f"{INSTRUCTION} [step_seconds=60]", max_duration_seconds=2)
        assert reading.last["type"] == "max_duration"
        assert await visitor.status(reading.last["task_id"]) == "max_duration"


async def test_concise_shows_progress_screenshots_and_the_end_only() -> None:
    async with visiting() as visitor:
        reading = await visitor.stream(f"{INSTRUCTION} [error at 2]", stream_mode="concise")
        assert set(reading.types) == {"started", "progress_update", "screenshot", "error", "completed"}


@pytest.mark.parametrize("delta_field", ["delta", "text", "content"])
async def test_text_deltas_come_as_progress_and_add_up_to_the_thought(delta_field: str) -> None:
    async with visiting(f"delta_field={delta_field}") as visitor:
        reading = await visitor.stream("Look [steps=1]", stream_deltas=True)
        pieces = [frame[delta_field] for frame in reading.of("progress_update") if delta_field in frame]
        assert len(pieces) > 2
        assert "".join(pieces) == reading.of("thinking")[0]["content"]


async def test_an_action_is_an_object_or_a_line_of_text() -> None:
    async with visiting() as visitor:
        action = (await visitor.stream(INSTRUCTION)).of("executed")[0]["action"]
        assert {"type", "x", "y"} <= set(action)
    async with visiting("action=text") as visitor:
        action = (await visitor.stream(INSTRUCTION)).of("executed")[0]["action"]
        assert action.startswith("open(")


async def test_kind_follows_from_the_start_url_unless_given() -> None:
    async with visiting() as visitor:
        browser = await visitor.stream("Look", start_url="https://example.org/a")
        desktop = await visitor.stream("Look")
        assert [reading.of("started")[0]["kind"] for reading in (browser, desktop)] == ["browser", "desktop"]
        assert "https://example.org/a" in browser.last["result"]


async def test_pause_acts_at_the_next_step_and_resume_goes_on() -> None:
    async with visiting() as visitor:
        async with visitor.opened({"instruction": f"{INSTRUCTION} [step_seconds=0.3]"}) as answer:
            task_id = visitor.journal.starts[-1].task_id
            await visitor.post(f"/agent/tasks/{task_id}/pause")
            await visitor.until(task_id, "paused")
            done = len([kind for kind in visitor.journal.frame_types(task_id) if kind == "executed"])
            assert done <= 1
            await visitor.post(f"/agent/tasks/{task_id}/resume")
            reading = await read(answer)
        states = [frame["state"] for frame in reading.of("progress_update")]
        assert states.index("paused") + 1 == states.index("running")
        assert reading.last["type"] == "completed"


async def test_a_message_is_taken_up_at_the_next_step_and_told_in_the_result() -> None:
    async with visiting() as visitor:
        task_id = await visitor.start(f"{INSTRUCTION} [login at 2]")
        await visitor.until(task_id, "paused")
        await visitor.post(f"/agent/tasks/{task_id}/messages", {"message": 'Search for "red shoes" instead'})
        await visitor.post(f"/agent/tasks/{task_id}/resume")
        reading = await visitor.replay(task_id)
        thoughts = [frame["content"] for frame in reading.of("thinking")]
        assert "red shoes" in thoughts[1]
        assert "Searched for “red shoes”" in [frame["description"] for frame in reading.of("executed")]
        assert 'Search for "red shoes" instead' in reading.last["result"]


async def test_a_message_that_says_stop_makes_the_agent_report_at_once() -> None:
    async with visiting() as visitor:
        task_id = await visitor.start(f"{INSTRUCTION} [login at 3]")
        await visitor.until(task_id, "paused")
        await visitor.post(f"/agent/tasks/{task_id}/messages", {"message": "Stop now."})
        await visitor.post(f"/agent/tasks/{task_id}/resume")
        reading = await visitor.replay(task_id)
        assert reading.last["result"].startswith("I stopped after step 2, as asked.")
        assert len(reading.of("executed")) == 2


async def test_login_is_required_then_the_task_waits_for_resume() -> None:
    async with visiting() as visitor:
        task_id = await visitor.start(f"{INSTRUCTION} [login at 2]")
        await visitor.until(task_id, "paused")
        await visitor.post(f"/agent/tasks/{task_id}/resume")
        types = (await visitor.replay(task_id)).types
        place = types.index("login_required")
        assert types[place : place + 3] == ["login_required", "computer_parked", "progress_update"]
        assert types[-1] == "completed"


async def test_an_error_is_not_the_end() -> None:
    async with visiting() as visitor:
        reading = await visitor.stream(f"{INSTRUCTION} [error at 2] [error at 3] [unknown at 1]")
        assert [frame["step"] for frame in reading.of("error")] == [2, 3]
        assert "weather_report" in reading.types
        assert reading.last["type"] == "completed"


@pytest.mark.parametrize(
    ("hook", "frame_type", "status"),
    [
        ("[fail]", "failed", "failed"),
        ("[fail at 1]", "failed", "failed"),
        ("[fail at 99]", "failed", "failed"),
        ("[config_error]", "config_error", "failed"),
        ("[cancelled at 2]", "cancelled", "cancelled"),
    ],
)
async def test_other_ends_are_terminal_frames(hook: str, frame_type: str, status: str) -> None:
    async with visiting() as visitor:
        reading = await visitor.stream(f"{INSTRUCTION} {hook}")
        assert reading.last["type"] == frame_type
        assert reading.id_only
        told = await visitor.get(f"/agent/tasks/{reading.last['task_id']}")
        assert (told["status"], told["exit_code"]) == (status, 1)


async def test_a_failure_says_its_code_and_whether_a_retry_can_help() -> None:
    async with visiting() as visitor:
        told = [(await visitor.stream(f"Look [fail={code}]")).last for code in ("exec_failed", "invalid_token")]
        assert [(frame["error_code"], frame["retryable"]) for frame in told] == [
            ("exec_failed", True),
            ("invalid_token", False),
        ]


async def test_a_crash_ends_the_stream_without_a_terminal_frame() -> None:
    async with visiting() as visitor:
        reading = await visitor.stream(f"{INSTRUCTION} [crash at 2]")
        assert (reading.last["type"], reading.id_only, reading.broken) == ("progress_update", [], False)
        assert await visitor.status(reading.last["task_id"]) == "failed"


async def test_a_wedge_is_nothing_but_pings() -> None:
    async with visiting(ping_seconds=0.002) as visitor:
        async with visitor.opened({"instruction": f"{INSTRUCTION} [wedge at 2]"}) as answer:
            reading = await read(answer, pings_at_most=20)
        assert reading.pings == 20
        task_id = reading.last["task_id"]
        assert len(reading.of("executed")) == 1
        assert await visitor.status(task_id) == "running"


async def test_a_reader_that_leaves_does_not_stop_the_task() -> None:
    async with visiting() as visitor:
        async with visitor.opened({"instruction": f"{INSTRUCTION} [step_seconds=0.01]"}) as answer:
            reading = await read(answer, frames_at_most=1)
        assert (await visitor.replay(reading.last["task_id"])).last["type"] == "completed"

"""The official `tzafon` package drives the simulator: every task operation, and the computers that a task needs."""

import json
from collections.abc import AsyncIterator, Iterator

import anyio
import anyio.to_thread
import httpx
import pytest
import tzafon
from tzafon import AsyncLightcone, Lightcone

from northstar_mcp.simulator import Dialect, Journal, SimulatorSettings, running

from .conftest import Launch
from .visitor import TIME_LIMIT

INSTRUCTION = "Go to example.com, read the heading and report it"


@pytest.fixture
def sync_client(launch: Launch) -> Iterator[Lightcone]:
    with Lightcone(api_key="sk_test", base_url=launch("--step-seconds", "0.005")) as client:
        yield client


def frames_of(lines: list[str]) -> list[dict[str, object]]:
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def test_the_synchronous_client_starts_steers_and_finishes_a_task(sync_client: Lightcone) -> None:
    tasks = sync_client.agent.tasks
    started = tasks.start(instruction=f"{INSTRUCTION} [steps=3] [login at 2]", kind="browser", idempotency_key="job-1")
    assert started.task_id is not None
    assert tasks.start(instruction=INSTRUCTION, idempotency_key="job-1").reused is True
    while tasks.retrieve_status(started.task_id).status != "paused":
        pass
    assert tasks.inject_message(started.task_id, message="I have signed in").status
    assert tasks.resume(started.task_id).status
    while (ended := tasks.retrieve_status(started.task_id)).status != "completed":
        pass
    assert ended.exit_code == 0


def test_the_synchronous_client_reads_a_stream_by_lines(sync_client: Lightcone) -> None:
    streaming = sync_client.agent.tasks.with_streaming_response
    with streaming.start_stream(instruction=INSTRUCTION, kind="browser") as response:
        frames = frames_of(list(response.iter_lines()))
    assert [frames[0]["type"], frames[-1]["type"]] == ["started", "completed"]
    assert "example.com" in str(frames[-1]["result"])


def test_the_synchronous_client_pauses_a_streaming_task(sync_client: Lightcone) -> None:
    tasks = sync_client.agent.tasks
    paused = False
    types: list[object] = []
    with tasks.with_streaming_response.start_stream(instruction=f"{INSTRUCTION} [step_seconds=0.02]") as response:
        for line in response.iter_lines():
            for frame in frames_of([line]):
                types.append(frame.get("state", frame["type"]))
                if frame["type"] == "screenshot" and not paused:
                    paused = tasks.pause(str(frame["task_id"])).status is not None
                if frame.get("state") == "paused":
                    tasks.resume(str(frame["task_id"]))
    assert types[-1] == "completed"
    assert types.index("paused") < types.index("running")


def test_the_synchronous_client_keeps_a_computer(sync_client: Lightcone) -> None:
    computer = sync_client.computers.create(kind="browser", display={"width": 1024, "height": 768})
    assert computer.id is not None
    assert computer.status == "ready"
    assert sync_client.computers.retrieve(computer.id).kind == "browser"
    assert sync_client.computers.retrieve_status(computer.id).status == "RUNNING"
    assert [known.id for known in sync_client.computers.list()] == [computer.id]
    sync_client.computers.keepalive(computer.id)
    shot = sync_client.computers.screenshot(computer.id)
    assert shot.status == "SUCCESS"
    assert shot.result is not None
    assert httpx.get(str(shot.result["screenshot_url"])).content.startswith(b"\x89PNG")
    sync_client.computers.delete(computer.id)
    with pytest.raises(tzafon.NotFoundError):
        sync_client.computers.retrieve(computer.id)


@pytest.mark.anyio
async def test_the_asynchronous_client_drives_every_task_operation() -> None:
    with anyio.fail_after(TIME_LIMIT):
        async with (
            running(SimulatorSettings(step_seconds=0.002)) as base_url,
            AsyncLightcone(api_key="sk_test", base_url=base_url) as client,
        ):
            tasks = client.agent.tasks
            started = await tasks.start(instruction=f"{INSTRUCTION} [login at 2]", kind="browser", metadata={"a": "b"})
            assert started.task_id is not None
            while (await tasks.retrieve_status(started.task_id)).status != "paused":
                pass
            await tasks.pause(started.task_id)
            await tasks.inject_message(started.task_id, message="Only the heading, please")
            await tasks.resume(started.task_id)
            while (await tasks.retrieve_status(started.task_id)).status != "completed":
                pass
            async with tasks.with_streaming_response.start_stream(instruction=INSTRUCTION) as response:
                frames = frames_of([line async for line in response.iter_lines()])
            assert frames[-1]["type"] == "completed"


@pytest.mark.anyio
async def test_the_asynchronous_client_keeps_a_computer() -> None:
    with anyio.fail_after(TIME_LIMIT):
        async with (
            running(SimulatorSettings()) as base_url,
            AsyncLightcone(api_key="sk_test", base_url=base_url) as client,
        ):
            computer = await client.computers.create(kind="desktop", persistent=True)
            assert computer.id is not None
            shot = await client.computers.screenshot(computer.id, base64=True)
            assert shot.page_context is None
            await client.computers.delete(computer.id)
            assert [saved.id for saved in await client.computers.list(type="persistent")] == [computer.id]
            again = await client.computers.create(environment_id=computer.id)
            assert (again.environment_id, again.kind) == (computer.id, "desktop")


@pytest.mark.anyio
async def test_the_official_iterator_works_where_frames_have_no_ids() -> None:
    plain = SimulatorSettings(dialect=Dialect.parse("frame_ids=absent"), step_seconds=0, ping_seconds=0.001)
    with anyio.fail_after(TIME_LIMIT):
        async with (
            running(plain) as base_url,
            AsyncLightcone(api_key="sk_test", base_url=base_url) as client,
        ):
            stream = await client.agent.tasks.start_stream(instruction=INSTRUCTION)
            frames: list[object] = [frame async for frame in stream]
            assert isinstance(frames[-1], dict)
            assert frames[-1]["type"] == "completed"
            await stream.close()


async def collect(stream: AsyncIterator[object], *, into: list[object]) -> None:
    async for frame in stream:
        into.append(frame)  # noqa: PERF401 - what came before a failure is wanted


@pytest.mark.anyio
async def test_the_official_iterator_fails_on_the_id_only_frame_as_it_does_on_the_hosted_api() -> None:
    with anyio.fail_after(TIME_LIMIT):
        async with (
            running(SimulatorSettings(step_seconds=0)) as base_url,
            AsyncLightcone(api_key="sk_test", base_url=base_url) as client,
        ):
            stream = await client.agent.tasks.start_stream(instruction=INSTRUCTION)
            seen: list[object] = []
            with pytest.raises(json.JSONDecodeError):
                await collect(stream, into=seen)
            assert isinstance(seen[-1], dict)
            assert seen[-1]["type"] == "completed"
            await stream.close()


@pytest.mark.anyio
async def test_the_official_client_retries_a_start_under_one_key_and_only_one_task_begins() -> None:
    journal = Journal()
    with anyio.fail_after(TIME_LIMIT):
        async with (
            running(SimulatorSettings(step_seconds=0), journal=journal) as base_url,
            httpx.AsyncClient(base_url=base_url) as http,
            AsyncLightcone(api_key="sk_test", base_url=base_url) as client,
        ):
            lost = {"match": {"method": "POST", "path": "/agent/tasks"}, "do": {"drop": "before_response"}}
            assert (await http.post("/_simulator/faults", json=lost)).status_code == 201
            started = await client.agent.tasks.start(instruction=INSTRUCTION, idempotency_key="once")
            assert started.reused is True
            assert journal.counts["tasks_started"] == 1
            assert [call.status for call in journal.calls] == [None, 200]

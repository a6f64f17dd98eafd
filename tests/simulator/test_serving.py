"""The simulator as a server: started, stopped, cancelled, as a process of its own; never blocking its event loop."""

import subprocess
import sys

import anyio
import httpx
import pytest
from blockbuster import BlockBuster

from northstar_mcp.simulator import SimulatorSettings, running, serve

from .conftest import Launch
from .visitor import TIME_LIMIT, Reading, read, visiting


@pytest.mark.anyio
async def test_serve_says_where_it_is_and_stops_when_cancelled() -> None:
    ready = anyio.Event()
    urls: list[str] = []

    def on_ready(base_url: str) -> None:
        urls.append(base_url)
        ready.set()

    with anyio.fail_after(TIME_LIMIT):
        async with anyio.create_task_group() as group:
            group.start_soon(serve, SimulatorSettings(), "127.0.0.1", 0, on_ready)
            await ready.wait()
            async with httpx.AsyncClient(base_url=urls[0]) as http:
                assert (await http.get("/computers")).status_code == 401
            group.cancel_scope.cancel()
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient() as http:
                await http.get(urls[0])


@pytest.mark.anyio
async def test_stopping_ends_open_streams_at_once() -> None:
    reading: list[Reading] = []
    begun = anyio.Event()

    async def follow(http: httpx.AsyncClient) -> None:
        asked = http.stream("POST", "/agent/tasks/stream", json={"instruction": "Look [wedge at 1]"})
        async with asked as answer:
            begun.set()
            reading.append(await read(answer))

    with anyio.fail_after(TIME_LIMIT):
        async with anyio.create_task_group() as group, running() as base_url:
            http = httpx.AsyncClient(base_url=base_url, headers={"Authorization": "Bearer sk_test"})
            group.start_soon(follow, http)
            await begun.wait()
            stopping_at = anyio.current_time()
        assert anyio.current_time() - stopping_at < 1
        assert (reading[0].types, reading[0].broken) == (["started"], False)
        await http.aclose()


@pytest.mark.anyio
async def test_a_failure_inside_the_block_comes_out_as_itself() -> None:
    with pytest.raises(ZeroDivisionError):
        async with running():
            raise ZeroDivisionError


@pytest.mark.anyio
async def test_a_taken_port_is_an_error_at_once() -> None:
    with anyio.fail_after(TIME_LIMIT):
        async with running() as base_url:
            with pytest.raises(OSError, match="in use"):
                async with running(port=int(base_url.rpartition(":")[2])):
                    pass


@pytest.mark.anyio
async def test_nothing_blocks_the_event_loop() -> None:
    blockbuster = BlockBuster()
    blockbuster.activate()
    try:
        async with visiting() as visitor:
            reading = await visitor.stream("Look [steps=2]", screenshot_mode="base64")
            assert reading.last["type"] == "completed"
    finally:
        blockbuster.deactivate()


def test_a_process_of_its_own_speaks_the_dialect_it_was_told(launch: Launch) -> None:
    base_url = launch("--step-seconds", "0", "--dialect", "task_id=header,frame_ids=absent", "--accept-key", "sk_one")
    with httpx.Client(base_url=base_url, headers={"Authorization": "Bearer sk_one"}) as http:
        answer = http.post("/agent/tasks/stream", json={"instruction": "Look"})
        assert answer.headers["x-task-id"] == http.get("/_simulator/tasks").json()[0]["task_id"]
        assert "id:" not in answer.text.splitlines()[0]
        assert http.get("/computers", headers={"Authorization": "Bearer sk_two"}).status_code == 401


def test_a_wrong_dialect_is_a_usage_error() -> None:
    command = [sys.executable, "-m", "northstar_mcp.simulator", "--dialect", "reattach=fax"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert "takes get, post, none" in done.stderr

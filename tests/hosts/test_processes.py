"""Server processes that come and go, as hosts start and end them: no task is lost, none is started twice, none is stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.hosts.conftest import SERVER, WITNESS, Place

pytestmark = pytest.mark.anyio

LONG = "Watch the page. [steps=40] [result=Forty-two.]"


@asynccontextmanager
async def _host(place: Place) -> AsyncIterator[Client]:
    """A host's conversation: a server process that lives as long as it, with a witness of its end."""
    command = [str(WITNESS), str(place.folder), *SERVER]
    parameters = StdioServerParameters(command=sys.executable, args=command, env={**os.environ, **place.env})
    with anyio.fail_after(60):
        async with Client(stdio_client(parameters)) as client:
            yield client


async def _facts(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    answer = await client.call_tool(tool, dict(arguments))
    assert not answer.is_error, answer.content
    told: dict[str, Any] = answer.structured_content
    return told


async def _finished(client: Client, task_id: str) -> dict[str, Any]:
    told = await _facts(client, "task_status", task_id=task_id)
    while "result" not in told:
        told = await _facts(client, "task_status", task_id=task_id, since_seq=told["seq"], wait_seconds=20)
    return told


def _runs_untouched(place: Place) -> None:
    """At Lightcone the one task goes on, and nobody has paused it, spoken to it or ended it."""
    (upstream,) = place.lightcone.tasks()
    assert upstream["status"] == "running"
    assert place.lightcone.steering() == []


async def test_a_task_outlives_the_conversation_that_started_it(place: Place) -> None:
    async with _host(place) as first:
        started = await _facts(first, "start_task", instruction=LONG, wait_seconds=0.5)
    assert place.exit_codes() == [0]
    _runs_untouched(place)
    async with _host(place) as second:
        (listed,) = (await _facts(second, "list_tasks"))["tasks"]
        assert listed["task_id"] == started["task_id"]
        told = await _finished(second, started["task_id"])
    assert (told["state"], told["result"]) == ("completed", "Forty-two.")
    assert place.lightcone.steering() == []


async def test_two_conversations_that_ask_at_once_share_one_task(place: Place) -> None:
    """Each has a server process of its own on the same ledger, and neither knows of the other."""
    answers: list[dict[str, Any]] = []

    async def ask(client: Client) -> None:
        started = await _facts(client, "start_task", instruction=LONG, wait_seconds=0)
        told = await _finished(client, started["task_id"])
        answers.append({**told, "reused": started.get("reused", False)})

    async with _host(place) as first, _host(place) as second, anyio.create_task_group() as group:
        group.start_soon(ask, first)
        group.start_soon(ask, second)
    assert len({answer["task_id"] for answer in answers}) == 1
    assert sorted(answer["reused"] for answer in answers) == [False, True]
    assert [(answer["state"], answer["result"]) for answer in answers] == [("completed", "Forty-two.")] * 2
    assert place.lightcone.steering() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_in_the_middle_of_a_call_ends_the_server_and_no_task(
    place: Place, number: signal.Signals
) -> None:
    async with _host(place) as client, anyio.create_task_group() as group:
        started = await _facts(client, "start_task", instruction=LONG, wait_seconds=0.5)
        waits = anyio.Event()
        group.start_soon(_wait_for_a_server_that_goes, client, started, waits)
        await waits.wait()
        os.kill(int((place.folder / "pid").read_text()), number)
    assert place.exit_codes() == [0]
    _runs_untouched(place)
    async with _host(place) as client:
        assert (await _finished(client, started["task_id"]))["result"] == "Forty-two."
    assert place.lightcone.steering() == []


async def _wait_for_a_server_that_goes(client: Client, started: Mapping[str, Any], waits: anyio.Event) -> None:
    async def note(progress: float, total: float | None, message: str | None) -> None:
        waits.set()

    asked = {"task_id": started["task_id"], "since_seq": started["seq"], "wait_seconds": 45}
    with pytest.raises(MCPError, match="closed"):
        await client.call_tool("task_status", asked, progress_callback=note)


async def test_a_server_that_nobody_speaks_to_follows_what_it_finds_and_ends_by_a_signal(place: Place) -> None:
    async with _host(place) as client:
        await _facts(client, "start_task", instruction=LONG, wait_seconds=0.5)
    async with await anyio.open_process([*SERVER], env={**os.environ, **place.env}, stderr=None) as process:
        with anyio.fail_after(30):
            while not _asked_how_it_is(place):  # noqa: ASYNC110 - another process's doing, seen over HTTP
                await anyio.sleep(0.05)
            process.terminate()
            assert await process.wait() == 0
    _runs_untouched(place)


def _asked_how_it_is(place: Place) -> bool:
    """Whether a follower has taken the task over: that is the first thing it does."""
    (task,) = place.lightcone.tasks()
    paths = [call["path"] for call in place.lightcone.journal()["calls"] if call["method"] == "GET"]
    return f"/agent/tasks/{task['task_id']}" in paths


async def test_a_served_ledger_goes_from_one_server_to_the_next(place: Place) -> None:
    with anyio.fail_after(60):
        async with _served(place) as url, Client(url) as client:
            started = await _facts(client, "start_task", instruction=LONG, wait_seconds=0.5)
        _runs_untouched(place)
        async with _served(place) as url, Client(url) as client:
            assert (await _finished(client, started["task_id"]))["result"] == "Forty-two."
    assert place.lightcone.steering() == []


@asynccontextmanager
async def _served(place: Place) -> AsyncIterator[str]:
    """The endpoint of a server over HTTP that is ended as service managers do it."""
    command = [*SERVER, "serve", "--http", "--port", "0"]
    env = {**os.environ, **place.env}
    async with await anyio.open_process(command, env=env, stdin=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        line = await BufferedByteReceiveStream(process.stderr).receive_until(b"\n", 1_000)
        yield line.decode().split()[-1]
        process.terminate()
        assert await process.wait() == 0

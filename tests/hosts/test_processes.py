"""Server processes that come and go, as hosts start and end them: no task is lost, none is started twice, none is stopped."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.hosts.conftest import SERVER, Place

pytestmark = pytest.mark.anyio

LONG = "Watch the page. [steps=40] [result=Forty-two.]"


@asynccontextmanager
async def _host(place: Place) -> AsyncIterator[Client]:
    """A host's conversation: a server process that lives as long as it."""
    parameters = StdioServerParameters(command=SERVER[0], args=list(SERVER[1:]), env={**os.environ, **place.env})
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


async def test_a_task_outlives_the_conversation_that_started_it(place: Place) -> None:
    async with _host(place) as first:
        started = await _facts(first, "start_task", instruction=LONG, wait_seconds=0.5)
    async with _host(place) as second:
        (listed,) = (await _facts(second, "list_tasks"))["tasks"]
        assert listed["task_id"] == started["task_id"]
        told = await _finished(second, started["task_id"])
    assert (told["state"], told["result"]) == ("completed", "Forty-two.")
    (upstream,) = place.lightcone.tasks()
    assert upstream["status"] == "completed"


async def test_two_conversations_share_a_task_and_start_it_once(place: Place) -> None:
    async with _host(place) as first, _host(place) as second:
        started = await _facts(first, "start_task", instruction=LONG, wait_seconds=0)
        again = await _facts(second, "start_task", instruction=LONG, wait_seconds=0)
        assert again["task_id"] == started["task_id"]
        assert again["reused"]
        assert (await _finished(second, started["task_id"]))["result"] == "Forty-two."
        assert (await _finished(first, started["task_id"]))["result"] == "Forty-two."
    assert len(place.lightcone.starts()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_server_and_no_task(place: Place, number: signal.Signals) -> None:
    async with _host(place) as client:
        await _facts(client, "start_task", instruction=LONG, wait_seconds=0.5)
    process = await anyio.open_process([*SERVER], env={**os.environ, **place.env}, stderr=subprocess.PIPE)
    async with process:
        with anyio.fail_after(30):
            while not _asked_how_it_is(place):  # noqa: ASYNC110 - another process's doing, seen over HTTP
                await anyio.sleep(0.05)
            process.send_signal(number)
            assert await process.wait() == 0
    (upstream,) = place.lightcone.tasks()
    assert upstream["status"] in {"running", "completed"}
    async with _host(place) as client:
        (listed,) = (await _facts(client, "list_tasks"))["tasks"]
        assert (await _finished(client, listed["task_id"]))["result"] == "Forty-two."


def _asked_how_it_is(place: Place) -> bool:
    """Whether a follower has taken the task over: that is the first thing it does."""
    (task,) = place.lightcone.tasks()
    paths = [call["path"] for call in place.lightcone.journal()["calls"] if call["method"] == "GET"]
    return f"/agent/tasks/{task['task_id']}" in paths

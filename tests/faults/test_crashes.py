"""The process that does the work is killed with SIGKILL at random moments, over and over: every task is started once and ends in the
record. In turn that is a server of its own, as without a keeper, and the keeper, whose hosts then go on with another.

`NORTHSTAR_CRASHES=200` makes it as many kills as that; the seed is in the test, so that a run can be had again.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from northstar_mcp.ledger import open_ledger
from northstar_mcp.tasks.model import Event, Task
from tests.faults.witness import of_the_events
from tests.hosts.conftest import SERVER, Launch, Lightcone, Place, launch, place

KILLS = int(os.environ.get("NORTHSTAR_CRASHES", "20"))
SEED = 20261121
TASKS_AT_ONCE = 4
SETTLED = {"completed"}
_INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "crash", "version": "1"},
}

__all__ = ["launch", "place"]  # the fixtures


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def lightcone(launch: Launch) -> Lightcone:
    return Lightcone(launch("northstar_mcp.simulator", "--step-seconds", "0.05"))


class Seen:
    """All that the simulator's journal has shown: it shows the newest only, so it is looked at again and again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.starts: dict[tuple[str, float], dict[str, Any]] = {}
        self.frames: dict[str, list[str]] = {}

    def look(self) -> None:
        journal = httpx.get(f"{self._url}/_simulator/journal").raise_for_status().json()
        self.starts |= {(start["task_id"], start["at"]): start for start in journal["starts"]}
        self.frames |= {task: [frame["type"] for frame in frames] for task, frames in journal["frames"].items()}


@pytest.mark.anyio
@pytest.mark.timeout(60 + KILLS * 10)
@pytest.mark.parametrize("road", ["stdio", "keeper"])
async def test_no_kill_loses_a_task_or_starts_one_twice(place: Place) -> None:
    dice = random.Random(SEED)
    env = {**os.environ, **place.env, "NORTHSTAR_MCP_LEASE_SECONDS": "1"}
    started, seen = 0, Seen(place.lightcone.url)
    for _ in range(KILLS):
        process = await anyio.open_process([*SERVER], env=env, stderr=subprocess.DEVNULL)
        async with process:
            started += await _start_some(process, dice, number=started)
            await anyio.sleep(dice.uniform(0, 0.6))
            for pid in _keepers(place):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await anyio.sleep(dice.uniform(0, 0.6) if place.runtime else 0)
            process.kill()
        await anyio.to_thread.run_sync(seen.look)
    await _finish(env)
    await anyio.to_thread.run_sync(seen.look)
    await _check(place, seen)


def _keepers(place: Place) -> list[int]:
    """The processes that work for this place's hosts in the background."""
    if place.runtime is None:
        return []
    found = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [int(entry.name) for entry in found if _is_keeper(entry, os.fsencode(place.runtime))]


def _is_keeper(process: Path, runtime: bytes) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"northstar_mcp.keeper" in words and any(word.startswith(runtime) for word in words)


async def _start_some(process: Any, dice: random.Random, *, number: int) -> int:
    """Ask for some tasks without waiting for an answer: the kill may come at any point of any of them."""
    messages: list[dict[str, Any]] = [
        {"id": 0, "method": "initialize", "params": _INITIALIZE},
        {"method": "notifications/initialized"},
    ]
    count = dice.randint(1, TASKS_AT_ONCE)
    for each in range(number, number + count):
        asked = {"instruction": f"Task {each}. [steps=6] [result=Done {each}.]", "idempotency_key": f"crash-{each}"}
        call = {"name": "start_task", "arguments": asked}
        messages.append({"id": each + 1, "method": "tools/call", "params": call})
    lines = [json.dumps({"jsonrpc": "2.0", **message}) for message in messages]
    await process.stdin.send(("\n".join(lines) + "\n").encode())
    with anyio.move_on_after(dice.uniform(0.3, 1.2)):
        while True:
            await process.stdout.receive()
    return count


async def _finish(env: dict[str, str]) -> None:
    """A server that is left alone brings every task to its end."""
    parameters = StdioServerParameters(command=SERVER[0], args=list(SERVER[1:]), env=env)
    with anyio.fail_after(50):
        async with Client(stdio_client(parameters)) as client:
            while True:
                answer = await client.call_tool("list_tasks", {"state": "unfinished", "limit": 20})
                facts: dict[str, Any] = answer.structured_content or {}
                if not facts["tasks"]:
                    return
                ids = [task["task_id"] for task in facts["tasks"]]
                await client.call_tool("wait_for_tasks", {"task_ids": ids, "wait_seconds": 10})


async def _check(place: Place, seen: Seen) -> None:
    keys = [start["idempotency_key"] for start in seen.starts.values() if not start["reused"]]
    assert len(keys) == len(set(keys)), "a task was started twice"
    found: list[str] = []
    async with open_ledger(place.folder / "data") as ledger:
        for task_id in _task_ids(place.folder / "data"):
            task = await ledger.get(task_id)
            assert task is not None
            events = list(await ledger.events(task_id))
            found += [f"{task.request.instruction}: {fault}" for fault in _faults(task, events, keys, seen)]
    assert not found, "\n".join(found)
    assert len(keys) > KILLS / 2, "hardly a task was started: the kills came too early to prove anything"


def _faults(task: Task, events: list[Event], keys: list[str], seen: Seen) -> list[str]:
    if not task.state.ended:
        return [f"it never ended: {task.state}"]
    if keys.count(task.idempotency_key) != 1:
        return [f"it was started {keys.count(task.idempotency_key)} times, and is {task.state}"]
    found = []
    if task.state not in SETTLED:
        found.append(f"it is {task.state}")
    if task.result is not None and task.result not in task.request.instruction:
        found.append(f"its result is {task.result!r}")
    if [event.seq for event in events] != list(range(1, task.seq + 1)):
        found.append("its events are not numbered without gaps")
    return found + of_the_events(task, events, seen.frames[str(task.northstar_task_id)])


def _task_ids(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "ledger.sqlite3") as connection:
        rows = connection.execute("SELECT task_id FROM tasks").fetchall()
    connection.close()
    return [str(row[0]) for row in rows]

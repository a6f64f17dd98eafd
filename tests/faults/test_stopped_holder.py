"""Two real server processes on one data directory: each task is followed by one of them, also where that one stands still.

A process that is stopped past its lease (a suspended container, a debugger, a machine out of memory) does not know it. Another takes
over; on waking, the first finds its lease lost, leaves the stream, and writes nothing more.
"""

import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client

from northstar_mcp.ledger import open_ledger
from northstar_mcp.ledger.schema import FILE_NAME
from northstar_mcp.simulator import Journal, SimulatorSettings, running
from northstar_mcp.tasks.model import Event, Task
from northstar_mcp.tasks.states import State
from tests.faults.witness import of_the_events
from tests.hosts.conftest import Lightcone, Place

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP is POSIX's"),
]

SERVE = (sys.executable, "-m", "northstar_mcp", "serve")
ENDLESS = "[steps=500] [step_seconds=0.2]"  # until it is told to stop
TASKS = 3
LINE_BYTES = 1_000_000
STREAM = "/agent/tasks/stream"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Server(Protocol):
    """A server process, and one conversation with it."""

    process: Process

    async def ask(self, tool: str, **arguments: object) -> dict[str, Any]: ...


@dataclass
class OverHttp:
    process: Process
    client: Client

    async def ask(self, tool: str, **arguments: object) -> dict[str, Any]:
        answer = await self.client.call_tool(tool, arguments)
        assert not answer.is_error, answer.content
        facts: dict[str, Any] = answer.structured_content
        return facts


@dataclass
class OverStdio:
    """Spoken to line by line: the SDK's client would not say the process's id."""

    process: Process
    lines: BufferedByteReceiveStream
    asked: int = field(default=0)

    async def greet(self) -> None:
        client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "two", "version": "1"}}
        await self.request("initialize", client)
        await self.send(method="notifications/initialized")

    async def ask(self, tool: str, **arguments: object) -> dict[str, Any]:
        answer = await self.answer(tool, **arguments)
        assert not answer.get("isError"), answer
        facts: dict[str, Any] = answer["structuredContent"]
        return facts

    async def answer(self, tool: str, **arguments: object) -> dict[str, Any]:
        """The whole of it, an error as well."""
        return await self.request("tools/call", {"name": tool, "arguments": arguments})

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        await self.send(id=self.asked, method=method, params=params)
        while True:
            message = json.loads(await self.lines.receive_until(b"\n", LINE_BYTES))
            if message.get("id") == self.asked:
                answer: dict[str, Any] = message["result"]
                return answer

    async def send(self, **message: object) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


@asynccontextmanager
async def _process(env: dict[str, str], log: Path, *arguments: str) -> AsyncIterator[Process]:
    """A server that is ended by a signal, and ends well."""
    with log.open("wb") as stderr:
        opening = await anyio.open_process([*SERVE, *arguments], env={**os.environ, **env}, stderr=stderr)
    async with opening as process:
        try:
            yield process
            process.terminate()
            assert await process.wait() == 0
        finally:
            # One that still stands still would never end.
            if process.returncode is None:
                process.kill()


@asynccontextmanager
async def over_http(env: dict[str, str], log: Path) -> AsyncIterator[OverHttp]:
    async with _process(env, log, "--http", "--port", "0") as process:
        await _until(lambda: bool(_first_line(log)))
        async with Client(_first_line(log).split()[-1]) as client:
            yield OverHttp(process, client)


def _first_line(log: Path) -> str:
    """Nothing, until it is whole."""
    line, end, _ = log.read_text().partition("\n")
    return line if end else ""


@asynccontextmanager
async def over_stdio(env: dict[str, str], log: Path) -> AsyncIterator[OverStdio]:
    async with _process(env, log, "--stdio") as process:
        assert process.stdout is not None
        server = OverStdio(process, BufferedByteReceiveStream(process.stdout))
        await server.greet()
        yield server


@dataclass(frozen=True)
class House:
    """Two servers on one data directory, and what Lightcone and the disk say of them."""

    http: OverHttp
    stdio: OverStdio
    journal: Journal
    data: Path

    async def start(self, server: Server, number: int) -> str:
        words = f"Task {number}. {ENDLESS}"
        facts = await server.ask("start_task", instruction=words, max_steps=500, wait_seconds=0)
        return str(facts["task_id"])

    def leases(self, tasks: Sequence[str]) -> list[tuple[str | None, int]]:
        """Holder and token of each."""
        return self._rows("SELECT holder, token FROM leases WHERE task_id = ?", tasks)

    def writers(self, tasks: Sequence[str]) -> set[str]:
        """Who wrote last to these."""
        return {str(by) for (by,) in self._rows("SELECT changed_by FROM tasks WHERE task_id = ?", tasks)}

    def seqs(self, tasks: Sequence[str]) -> list[int]:
        return [int(seq) for (seq,) in self._rows("SELECT seq FROM tasks WHERE task_id = ?", tasks)]

    def _rows(self, query: str, tasks: Sequence[str]) -> list[Any]:
        with closing(sqlite3.connect(self.data / FILE_NAME)) as connection:
            return [connection.execute(query, (task,)).fetchone() for task in tasks]

    def streams(self, path: str) -> int:
        """How many streams were opened there and are over."""
        return sum(call.path == path for call in self.journal.calls)

    def stand_still(self, server: Server) -> None:
        """SIGSTOP, but not in the middle of a transaction: then nobody could write until it goes on."""
        while True:
            server.process.send_signal(signal.SIGSTOP)
            if self._may_write():
                return
            server.process.send_signal(signal.SIGCONT)

    def _may_write(self) -> bool:
        with closing(sqlite3.connect(self.data / FILE_NAME, timeout=1, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            connection.execute("ROLLBACK")
            return True

    async def read(self, task_id: str) -> tuple[Task, list[Event]]:
        async with open_ledger(self.data) as ledger:
            task = await ledger.get(task_id)
            assert task is not None
            return task, list(await ledger.events(task_id, limit=10_000))


async def _until(true: Callable[[], bool]) -> None:
    """Other processes' doings, seen on the disk and at Lightcone; the caller bounds the time."""
    while not true():  # noqa: ASYNC110
        await anyio.sleep(0.05)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    journal = Journal(kept=100_000)
    with anyio.fail_after(90):
        async with running(SimulatorSettings(), journal=journal) as url:
            env = Place(Lightcone(url), tmp_path).env | {"NORTHSTAR_MCP_LEASE_SECONDS": "1"}
            logs = tmp_path / "http.log", tmp_path / "stdio.log"
            async with over_http(env, logs[0]) as http, over_stdio(env, logs[1]) as stdio:
                yield House(http, stdio, journal, tmp_path / "data")
    assert not [log.read_text() for log in logs if "ERROR" in log.read_text()]


@pytest.mark.parametrize("stopped", ["http", "stdio"])
async def test_a_holder_that_stood_still_past_its_lease_writes_nothing_more(house: House, stopped: str) -> None:
    holder, other = (house.http, house.stdio) if stopped == "http" else (house.stdio, house.http)
    tasks = [await house.start(holder, number) for number in range(TASKS)]
    others = [await house.start(other, TASKS)]
    await _until(lambda: min(house.seqs(tasks + others)) > 5)
    assert [token for _, token in house.leases(tasks + others)] == [1] * (TASKS + 1)
    (writer,) = house.writers(tasks)

    house.stand_still(holder)
    await _until(lambda: [token for _, token in house.leases(tasks)] == [2] * TASKS)
    taken_at = max(house.seqs(tasks))
    await _until(lambda: min(house.seqs(tasks)) > taken_at + 5)
    (successor,) = house.writers(tasks)
    assert successor != writer

    holder.process.send_signal(signal.SIGCONT)
    await _until(lambda: house.streams(STREAM) == TASKS)  # it has left its streams, and the tasks go on
    woken_at = max(house.seqs(tasks))
    await _until(lambda: min(house.seqs(tasks)) > woken_at + 5)
    assert house.writers(tasks + others) == {successor}
    assert [token for _, token in house.leases(tasks + others)] == [2] * TASKS + [1]
    assert all([not (await house.read(task))[0].state.ended for task in tasks])

    for task in tasks + others:
        await other.ask("inject_message", task_id=task, message="Stop now.")
        while (await holder.ask("task_status", task_id=task, wait_seconds=5))["state"] != "completed":
            pass
    await _check(house, tasks, ways_back=1)
    await _check(house, others, ways_back=0)
    assert house.streams(STREAM) == TASKS + 1
    assert house.writers(tasks + others) == {successor}


async def _check(house: House, tasks: list[str], *, ways_back: int) -> None:
    """Each was started once, followed by one at a time, written down without a gap or a double, and ended once."""
    begun = [start.idempotency_key for start in house.journal.starts if not start.reused]
    for task_id in tasks:
        task, events = await house.read(task_id)
        assert begun.count(task.idempotency_key) == 1
        assert task.state is State.COMPLETED
        assert [event.seq for event in events] == list(range(1, task.seq + 1))
        assert not of_the_events(task, events, house.journal.frame_types(str(task.northstar_task_id)))
        assert house.streams(f"/agent/tasks/{task.northstar_task_id}/stream") == ways_back

"""One bad thing stays one bad thing: its task is told the truth, the other tasks do not notice, and memory stays within its bound.

What a part does by itself is tried beside that part (frames and their bound in tests/lightcone, a full or locked database in
tests/ledger). Here the parts work together: an engine, or a server process, with two tasks of which one meets the bad thing.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from northstar_mcp.app import open_app
from northstar_mcp.ledger import open_ledger
from northstar_mcp.ledger.schema import FILE_NAME
from northstar_mcp.lightcone.agent import LightconeAgent
from northstar_mcp.lightcone.client import LightconeClient
from northstar_mcp.settings import Settings
from northstar_mcp.simulator import Journal, SimulatorSettings, running
from northstar_mcp.tasks.engine import Engine, open_engine
from northstar_mcp.tasks.model import Event, EventType, Task, TaskRequest
from northstar_mcp.tasks.ports import Agent
from northstar_mcp.tasks.starting import start
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.watching import wait
from tests.faults.test_stopped_holder import OverStdio, over_stdio
from tests.faults.witness import of_the_events
from tests.hosts.conftest import Lightcone, Place
from tests.lightcone.scripted import scripted
from tests.tasks.conftest import QUICK

pytestmark = pytest.mark.anyio
posix = pytest.mark.skipif(sys.platform == "win32", reason="what is tried is POSIX's")

MIB = 2**20
STORM = 2_000
UNREAD = 60  # answers of some 20 KB each: far more than a pipe holds


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def ended(engine: Engine, task: Task) -> Task:
    """The task, once it has ended; the caller bounds the time."""
    while not task.state.ended:
        (task,) = (await wait(engine, [task.task_id], principal="local", seconds=5, since={})).changed or (task,)
    return task


async def begun(engine: Engine, instruction: str) -> Task:
    request = TaskRequest(instruction=instruction, max_steps=500, max_duration_seconds=120)
    return (await start(engine, request, principal="local")).task


# ---- what Lightcone sends


def frame(number: int, **fields: object) -> bytes:
    return f"id: {number}\ndata: {json.dumps(fields)}\n\n".encode()


def stream(task_id: str, *pieces: object) -> dict[str, Any]:
    """A whole task's stream, with these pieces in the middle."""
    last = frame(999_999, type="completed", result=f"Done: {task_id}.")
    return {"sse": [frame(1, type="started", task_id=task_id), *pieces, last]}


def _thought(number: int) -> bytes:
    return frame(number, type="thinking", step=1, content=f"Thought {number}. " + "x" * 300)


BAD_FRAMES = {
    "is not JSON": [b'id: 2\ndata: {"type": "thinking"\n\n'],
    "is not UTF-8": [b"id: 2\ndata: \xff\xfe\xfd\n\n"],
    "is no object": [b"id: 2\ndata: [1, 2]\n\n"],
    "is nested without end": [b"id: 2\ndata: " + b"[" * 200_000 + b"\n\n"],
    "holds half a character": [b'id: 2\ndata: {"type": "thinking", "\\ud800": "\\udfff\\u0000"}\n\n'],
    "holds a number without end": [b'id: 2\ndata: {"type": "thinking", "step": ' + b"9" * 5_000 + b"}\n\n"],
    "has 10 MB": [frame(2, type="thinking", content="x" * 10_000_000)],
    "has 10 MB and says the end": [frame(2, type="completed", result="x" * 10_000_000)],
    "has 100 MB and no end": [b"id: 2\ndata: ", *[b"x" * 65_536] * 1_600, b"\n\n"],
    "has 300,000 lines": [*[b"data:\n" * 10_000] * 30, b"\n"],
}


@asynccontextmanager
async def two_tasks(folder: Path, *pieces: object) -> AsyncIterator[tuple[Engine, Task, Task]]:
    """An engine whose first task has the stream with these pieces; the second's is as it should be."""
    async with scripted([stream("task_bad", *pieces), stream("task_good", _thought(2))]) as far:
        settings = Settings(api_key=SecretStr("sk_test"), base_url=far.url, data_dir=folder)
        async with open_app(settings) as engine:
            await engine.agent()  # what it loads is not the frame's memory
            bad = await begun(engine, "The one.")
            await far.arrived.wait()
            yield engine, bad, await begun(engine, "The other.")


@pytest.mark.parametrize("pieces", BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_a_bad_frame_is_one_event_and_costs_neither_task_its_answer(tmp_path: Path, pieces: list[bytes]) -> None:
    tracemalloc.start()
    try:
        with anyio.fail_after(60):
            async with two_tasks(tmp_path / "data", *pieces) as (engine, bad, good):
                good, bad = await ended(engine, good), await ended(engine, bad)
                kinds = [event.type for event in await engine.ledger.events(bad.task_id)]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (bad.state, bad.result) == (State.COMPLETED, "Done: task_bad.")
    assert (good.state, good.result) == (State.COMPLETED, "Done: task_good.")
    assert len(kinds) == 3
    assert kinds[0] is EventType.STARTED
    assert kinds[1] in {EventType.UNKNOWN, EventType.THINKING}
    assert most < 64 * MIB  # a frame of 16 MiB as bytes, as text and as a value, and no more of them


async def test_a_storm_of_events_is_written_down_whole_while_another_task_ends(tmp_path: Path) -> None:
    storm = b"".join(_thought(number) for number in range(2, STORM))
    tracemalloc.start()
    try:
        with anyio.fail_after(60):
            async with two_tasks(tmp_path / "data", storm) as (engine, bad, good):
                good, bad = await ended(engine, good), await ended(engine, bad)
                events = await engine.ledger.events(bad.task_id, limit=2 * STORM)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (bad.state, good.state) == (State.COMPLETED, State.COMPLETED)
    assert [event.upstream_id for event in events[:-1]] == [str(number) for number in range(1, STORM)]
    assert good.ended_at is not None
    assert bad.ended_at is not None
    assert good.ended_at < bad.ended_at  # it did not wait for the storm to be over
    assert most < 16 * MIB


# ---- the disk, and whoever else uses it


@dataclass(frozen=True)
class House:
    """A real server process, the Lightcone that it speaks to, and its data directory."""

    server: OverStdio
    journal: Journal
    data: Path

    async def start(self, instruction: str) -> str:
        facts = await self.server.ask("start_task", instruction=instruction, max_steps=500, wait_seconds=0)
        return str(facts["task_id"])

    async def until_sent(self, frames: int) -> None:
        """Until Lightcone has sent so many more frames; the caller bounds the time."""
        until = self.journal.counts["frames"] + frames
        while self.journal.counts["frames"] < until:  # noqa: ASYNC110 - the simulator tells nobody
            await anyio.sleep(0.02)

    async def until_started(self, tasks: int) -> list[str]:
        """The tasks' ids, once there are so many; the caller bounds the time."""
        while True:
            async with open_ledger(self.data) as ledger:
                if len(found := await ledger.page("local", states=None, limit=tasks, before=None)) == tasks:
                    return [task.task_id for task in found]
            await anyio.sleep(0.05)

    async def until_its_lease_is_over(self, task_id: str) -> None:
        """Until nobody holds the task any more; the caller bounds the time."""
        with closing(sqlite3.connect(self.data / FILE_NAME)) as connection:
            (until,) = connection.execute("SELECT expires_at FROM leases WHERE task_id = ?", (task_id,)).fetchone()
        while time.time() * 1e6 < until:  # noqa: ASYNC110 - time tells nobody
            await anyio.sleep(0.05)

    async def read(self, task_id: str) -> tuple[Task, list[Event]]:
        async with open_ledger(self.data) as ledger:
            task = await ledger.get(task_id)
            assert task is not None
            return task, list(await ledger.events(task_id, limit=10_000))

    async def ended(self, task_id: str) -> Task:
        """By the record, whatever the server says; the caller bounds the time."""
        async with open_ledger(self.data) as ledger:
            with ledger.watch(task_id) as watch:
                while (task := await ledger.get(task_id)) is None or not task.state.ended:
                    await watch.changed()
            return task

    async def is_whole(self, task_id: str) -> bool:
        """Started once, and every frame that was sent is there, once."""
        task, events = await self.read(task_id)
        starts = [start for start in self.journal.starts if start.idempotency_key == task.idempotency_key]
        assert [event.seq for event in events] == list(range(1, task.seq + 1))
        assert not of_the_events(task, events, self.journal.frame_types(str(task.northstar_task_id)))
        return [start.reused for start in starts] == [False]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    journal = Journal(kept=100_000)
    with anyio.fail_after(90):
        async with running(SimulatorSettings(step_seconds=0.05), journal=journal) as url:
            env = Place(Lightcone(url), tmp_path).env | {"NORTHSTAR_MCP_LEASE_SECONDS": "1"}
            async with over_stdio(env, tmp_path / "server.log") as server:
                yield House(server, journal, tmp_path / "data")


@contextmanager
def full_disk(house: House) -> Iterator[None]:
    """No file of the server may grow or be written: what a disk without room is like, as far as nobody but root can make one."""
    import resource  # Windows has none

    pid = house.server.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def locked_ledger(house: House) -> Iterator[None]:
    """Another process holds the ledger's lock."""
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, house.data / FILE_NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.stdin.close()


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@posix
@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        pytest.param(
            full_disk,
            "disk",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process"),
        ),
        (locked_ledger, "locked by another process"),
    ],
    ids=["full disk", "locked ledger"],
)
async def test_what_cannot_be_written_down_is_refused_in_words_and_what_runs_goes_on_afterwards(
    house: House, trouble: Callable[[House], AbstractContextManager[None]], words: str
) -> None:
    running_task = await house.start("[steps=120] [result=Written.]")
    await house.until_sent(10)
    with trouble(house):
        refused = await house.server.answer("start_task", instruction="Another. [steps=3]", wait_seconds=0)
        told = refused["content"][0]["text"]
        assert refused["isError"]
        assert words in told
        status = await house.server.ask("task_status", task_id=running_task)  # reading goes on
        assert status["state"] == "running"
        await house.until_its_lease_is_over(running_task)
    assert len(house.journal.starts) == 1  # what was refused was not sent
    another = await house.start("Another. [steps=3]")
    for task_id in (running_task, another):
        assert (await house.ended(task_id)).state is State.COMPLETED
        assert await house.is_whole(task_id)


# ---- who does not read


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in /proc")
async def test_a_host_that_never_reads_costs_no_task_its_end_and_the_server_little_memory(house: House) -> None:
    server = house.server
    await house.ended(await house.start("One that loads what tasks need. [steps=1] [step_seconds=0]"))
    await server.request("resources/subscribe", {"uri": "northstar://tasks"})
    before = _memory(server.process.pid)
    for number in range(4):
        asked = {"instruction": f"Task {number}. [steps=200] [step_seconds=0]", "max_steps": 500, "wait_seconds": 30}
        call = {"name": "start_task", "arguments": asked, "_meta": {"progressToken": number}}
        await server.send(id=f"start {number}", method="tools/call", params=call)
    for number in range(UNREAD):
        await server.send(id=f"list {number}", method="tools/list")
    tasks = await house.until_started(5)
    for task_id in tasks:
        assert (await house.ended(task_id)).state is State.COMPLETED
        assert await house.is_whole(task_id)
    assert _memory(server.process.pid) < before + 48 * MIB
    await server.request("ping", {})  # behind all that was not read


def _memory(pid: int) -> int:
    """What the process has in memory, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---- the time of day


class JumpingClock:
    """The machine's time of day, set by somebody to another one."""

    def __init__(self) -> None:
        self.set_by = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.set_by


@asynccontextmanager
async def engine_by(clock: JumpingClock, url: str, folder: Path) -> AsyncIterator[Engine]:
    async with LightconeClient(api_key="sk_test", base_url=url, reattach="get") as client:
        agent = LightconeAgent(client)

        async def get_agent() -> Agent:
            return agent

        async with (
            open_ledger(folder, clock=clock) as ledger,
            open_engine(ledger=ledger, feed=ledger, agent=get_agent, clock=clock, timing=QUICK) as engine,
        ):
            yield engine


JUMPS = [timedelta(days=1), timedelta(days=-1)]


@pytest.mark.parametrize("jump", JUMPS, ids=["forwards", "backwards"])
async def test_a_clock_that_jumps_changes_nothing_for_the_tasks_that_are_followed(
    tmp_path: Path, jump: timedelta
) -> None:
    clock, journal = JumpingClock(), Journal()
    with anyio.fail_after(30):
        async with (
            running(SimulatorSettings(step_seconds=0.1), journal=journal) as url,
            engine_by(clock, url, tmp_path / "data") as engine,
        ):
            tasks = [await begun(engine, f"Task {number}. [steps=20] [result=Done.]") for number in range(2)]
            await _until_seq(engine, tasks[0], 10)
            clock.set_by = jump
            tasks.append(await begun(engine, "One more. [steps=3] [result=Done.]"))
            tasks = [await ended(engine, task) for task in tasks]
            found = [await _what_is_missing(engine, task, journal) for task in tasks]
    assert [(task.state, task.result) for task in tasks] == [(State.COMPLETED, "Done.")] * 3
    assert all(task.elapsed_seconds(clock.now()) >= 0 for task in tasks)
    assert found == [[]] * 3
    calls = [call.path for call in journal.calls if not call.path.startswith("/screens/")]
    assert calls == ["/agent/tasks/stream"] * 3  # nobody asked, paused or stopped


async def test_a_clock_that_was_set_back_does_not_keep_the_next_server_from_going_on(tmp_path: Path) -> None:
    clock, journal = JumpingClock(), Journal()
    with anyio.fail_after(30):
        async with running(SimulatorSettings(step_seconds=0.1), journal=journal) as url:
            async with engine_by(clock, url, tmp_path / "data") as engine:
                task = await begun(engine, "[steps=20] [result=Done.]")
                await _until_seq(engine, task, 10)
            clock.set_by = timedelta(days=-1)
            async with engine_by(clock, url, tmp_path / "data") as engine:
                task = await ended(engine, task)
                found = await _what_is_missing(engine, task, journal)
    assert (task.state, task.result, found) == (State.COMPLETED, "Done.", [])
    assert [start.reused for start in journal.starts] == [False]


async def _until_seq(engine: Engine, task: Task, seq: int) -> None:
    with engine.feed.watch(task.task_id) as watch:
        while not await engine.ledger.events(task.task_id, after=seq - 1):
            await watch.changed()


async def _what_is_missing(engine: Engine, task: Task, journal: Journal) -> list[str]:
    events = list(await engine.ledger.events(task.task_id))
    return of_the_events(task, events, journal.frame_types(str(task.northstar_task_id)))

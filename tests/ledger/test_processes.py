"""Several real processes on one file, and one that is killed."""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from northstar_mcp.ledger import open_ledger

from .builders import LONG_AGO, a_step, a_task

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


class Other:
    """Another process, at arm's length."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._out = BufferedByteReceiveStream(process.stdout)

    async def line(self) -> str:
        return (await self._out.receive_until(b"\n", 1000)).decode()

    async def sign(self) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send(b"go\n")

    async def kill(self) -> list[str]:
        """Kill it; what it had still said."""
        self._process.kill()
        rest: list[str] = []
        try:
            while True:
                rest.append(await self.line())
        except anyio.IncompleteRead:
            return rest


@asynccontextmanager
async def another(what: str, folder: Path, name: str) -> AsyncIterator[Other]:
    command = [sys.executable, "-m", "tests.ledger.worker", what, str(folder), name]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with anyio.fail_after(20):
        async with await anyio.open_process(command, env=environment, stderr=subprocess.DEVNULL) as process:
            yield Other(process)


async def test_the_same_work_added_by_several_processes_at_once_is_one_task(folder: Path) -> None:
    async with (
        another("add", folder, "task_a") as a,
        another("add", folder, "task_b") as b,
        another("add", folder, "task_c") as c,
    ):
        others = (a, b, c)
        assert [await other.line() for other in others] == ["ready"] * 3
        for other in others:
            await other.sign()
        answers = {await other.line() for other in others}
    assert len(answers) == 1
    async with open_ledger(folder) as ledger:
        assert set(await ledger.unfinished()) == answers


async def test_each_task_is_leased_to_one_process(folder: Path) -> None:
    async with open_ledger(folder) as ledger:
        for number in range(10):
            await ledger.add(a_task(f"task_{number}"), repeats_since=LONG_AGO)
        async with another("lease", folder, "a") as a, another("lease", folder, "b") as b:
            assert [await a.line(), await b.line()] == ["ready"] * 2
            await a.sign()
            await b.sign()
            got = (await a.line()).split() + (await b.line()).split()
    assert sorted(got) == [str(number) for number in range(10)]


async def test_a_change_wakes_a_watcher_in_another_process(folder: Path) -> None:
    async with open_ledger(folder) as ledger:
        task = await ledger.add(a_task(), repeats_since=LONG_AGO)
        async with another("watch", folder, "task_1") as other:
            assert await other.line() == "ready"
            await ledger.record(a_step(task, count=1))
            assert await other.line() == "task_1"


@pytest.mark.parametrize("lines", [1, 40, 163])
async def test_what_was_acknowledged_before_a_kill_is_there_without_gaps(folder: Path, lines: int) -> None:
    said: defaultdict[str, int] = defaultdict(int)
    async with another("streams", folder, "task") as other:
        heard = [await other.line() for _ in range(lines)]
        heard += await other.kill()
    for line in heard:
        name, seq = line.split()
        said[name] = max(said[name], int(seq))
    async with open_ledger(folder) as ledger:
        for task_id in await ledger.unfinished():
            task = await ledger.get(task_id)
            numbers = [event.seq for event in await ledger.events(task_id, limit=100_000)]
            assert task is not None
            assert numbers == list(range(1, task.seq + 1))
            assert task.seq >= said[task_id]
            assert task.seq % 2 == 0  # two events a change: a change is whole or not there
            await ledger.record(a_step(task, count=1))  # and work goes on
        assert set(said) <= set(await ledger.unfinished())

"""A second process on one ledger, for test_processes.py: python -m tests.ledger.worker WHAT FOLDER NAME.

It speaks one line at a time on stdout.
"""

import sys
from pathlib import Path

import anyio

from northstar_mcp.ledger import SqliteLedger, open_ledger
from northstar_mcp.tasks.model import Screen

from .builders import LONG_AGO, a_step, a_task


def say(*words: object) -> None:
    print(*words, flush=True)


async def stream(ledger: SqliteLedger, name: str) -> None:
    """Record events until killed, saying each number once it is on the disk."""
    task = await ledger.add(a_task(name), repeats_since=LONG_AGO)
    while True:
        change = a_step(task, count=2)
        await ledger.record(change)
        task = change.task
        say(name, task.seq)


async def streams(ledger: SqliteLedger, name: str) -> None:
    """Several streams at once, so that a kill hits a group commit."""
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(stream, ledger, f"{name}_{number}")


async def add(ledger: SqliteLedger, name: str) -> None:
    """Start the same work as everybody else, on a sign."""
    say("ready")
    await anyio.to_thread.run_sync(sys.stdin.readline)
    task = await ledger.add(a_task(name, fingerprint="same"), repeats_since=LONG_AGO)
    say(task.task_id)


async def lease(ledger: SqliteLedger, name: str) -> None:
    """Try for ten leases, on a sign."""
    say("ready")
    await anyio.to_thread.run_sync(sys.stdin.readline)
    got = [n for n in range(10) if await ledger.acquire(f"task_{n}", holder=name, seconds=60) is not None]
    say(*got)


async def watch(ledger: SqliteLedger, name: str) -> None:
    """Tell the first change of a task."""
    with ledger.watch(name) as look_out:
        say("ready")
        say(*await look_out.changed())


async def keep(ledger: SqliteLedger, name: str) -> None:
    """Keep the same pictures as everybody else, on a sign."""
    say("ready")
    await anyio.to_thread.run_sync(sys.stdin.readline)
    for seq in range(1, 61):
        for task_id in ("task_1", "task_2"):
            await ledger.keep_screen(task_id, seq, Screen(data=bytes(100), media_type="image/png"))
    say("done")


async def main(what: str, folder: str, name: str) -> None:
    async with open_ledger(Path(folder), screens_bytes=1000) as ledger:
        await {"streams": streams, "add": add, "lease": lease, "watch": watch, "keep": keep}[what](ledger, name)


if __name__ == "__main__":
    _, what, folder, name = sys.argv
    anyio.run(main, what, folder, name)

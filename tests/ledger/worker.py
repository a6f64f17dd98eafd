"""A second process on one ledger, for test_processes.py: python -m tests.ledger.worker WHAT FOLDER NAME.

It speaks one line at a time on stdout.
"""

import sys
from pathlib import Path

import anyio

from northstar_mcp.ledger import SqliteLedger, open_ledger

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


async def main(what: str, folder: str, name: str) -> None:
    async with open_ledger(Path(folder)) as ledger:
        await {"streams": streams, "add": add, "lease": lease, "watch": watch}[what](ledger, name)


if __name__ == "__main__":
    _, what, folder, name = sys.argv
    anyio.run(main, what, folder, name)

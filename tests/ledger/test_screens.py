"""Kept pictures: what goes when there are too many, and that no file is left behind."""

import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from northstar_mcp.errors import LedgerUnavailable
from northstar_mcp.ledger import SqliteLedger, open_ledger, queries, reading, schema, sqlite
from northstar_mcp.ledger.screens import IMAGE_BYTES
from northstar_mcp.ledger.writer import Transaction
from northstar_mcp.tasks.model import Screen, Task
from northstar_mcp.tasks.states import State

from .builders import LONG_AGO, a_step, a_task, an_event
from .test_processes import another

pytestmark = pytest.mark.anyio

PICTURE = Screen(data=bytes(100), media_type="image/png")


@pytest.fixture
async def ledger(folder: Path) -> AsyncIterator[SqliteLedger]:
    async with open_ledger(folder, screens_bytes=350) as opened:
        yield opened


async def shown(ledger: SqliteLedger, task_id: str, *, pictures: int = 1, state: State = State.RUNNING) -> Task:
    """A task with events whose pictures are elsewhere."""
    task = await ledger.add(a_task(task_id), repeats_since=LONG_AGO)
    events = [an_event(task_id, seq, screen_url=f"https://pictures/{seq}") for seq in range(1, pictures + 1)]
    change = a_step(task, *events, state=state)
    await ledger.record(change)
    return change.task


def files(folder: Path) -> set[str]:
    """Every file below the folder of pictures."""
    return {str(path.relative_to(folder / "screens")) for path in (folder / "screens").rglob("*") if path.is_file()}


async def names(ledger: SqliteLedger, *task_ids: str) -> set[str]:
    """Every file that a row names."""
    return {
        f"{task_id}/{name}"
        for task_id in task_ids
        for name in await ledger._readers.ask(partial(reading.kept_files, task_id=task_id))
    }


def kept_bytes(folder: Path) -> int:
    with closing(sqlite3.connect(folder / schema.FILE_NAME)) as connection:
        total, counted = connection.execute(
            "SELECT (SELECT bytes FROM kept_screens), (SELECT coalesce(sum(size), 0) FROM screens)"
        ).fetchone()
    assert total == counted
    return int(total)


# ---- what goes


async def test_pictures_of_ended_tasks_go_before_older_ones_of_others(folder: Path, ledger: SqliteLedger) -> None:
    await shown(ledger, "running", pictures=2)
    await shown(ledger, "ended", pictures=2, state=State.COMPLETED)
    for task_id, seq in (("running", 1), ("running", 2), ("ended", 1), ("ended", 2)):
        await ledger.keep_screen(task_id, seq, PICTURE)
    assert files(folder) == {"running/1.png", "running/2.png", "ended/2.png"}
    assert kept_bytes(folder) == 300
    assert await ledger.last_screen("ended", seq=1) is not None  # its address


async def test_the_last_picture_of_an_unfinished_task_never_goes(folder: Path, ledger: SqliteLedger) -> None:
    for number in range(5):
        await shown(ledger, f"task_{number}", pictures=2)
        for seq in (1, 2):
            await ledger.keep_screen(f"task_{number}", seq, PICTURE)
    assert files(folder) == {f"task_{number}/2.png" for number in range(5)}
    last = await ledger.get("task_0")
    assert last is not None
    await ledger.record(replace(a_step(last), task=replace(last, revision=last.revision + 1, state=State.STOPPED)))
    await shown(ledger, "task_5")
    await ledger.keep_screen("task_5", 1, PICTURE)
    assert files(folder) == {"task_5/1.png"} | {f"task_{number}/2.png" for number in range(1, 5)}


async def test_what_has_gone_is_not_wanted_again(folder: Path, ledger: SqliteLedger) -> None:
    await shown(ledger, "task_1", pictures=5)
    for seq in range(1, 6):
        await ledger.keep_screen("task_1", seq, PICTURE)
    assert files(folder) == {"task_1/3.png", "task_1/4.png", "task_1/5.png"}
    assert await ledger.unkept_screens("task_1", newest=10) == []
    await ledger.keep_screen("task_1", 1, PICTURE)
    assert files(folder) == {"task_1/3.png", "task_1/4.png", "task_1/5.png"}


async def test_pictures_that_come_with_events_count_as_well(folder: Path, ledger: SqliteLedger) -> None:
    await shown(ledger, "old", state=State.COMPLETED)
    await ledger.keep_screen("old", 1, PICTURE)
    task = await ledger.add(a_task("new"), repeats_since=LONG_AGO)
    for seq in (1, 2, 3):
        change = a_step(task, count=1, screens={seq: PICTURE})
        await ledger.record(change)
        task = change.task
    assert files(folder) == {"new/1.png", "new/2.png", "new/3.png"}
    assert await ledger.unkept_screens("new", newest=10) == []


async def test_a_limit_that_was_lowered_is_reached_step_by_step(folder: Path) -> None:
    async with open_ledger(folder) as ledger:
        await shown(ledger, "old", pictures=300, state=State.COMPLETED)
        async with anyio.create_task_group() as group:
            for seq in range(1, 301):
                group.start_soon(ledger.keep_screen, "old", seq, PICTURE)
        assert len(files(folder)) == 300
    async with open_ledger(folder, screens_bytes=100) as ledger:
        await shown(ledger, "new", pictures=3)
        await ledger.keep_screen("new", 1, PICTURE)
        assert len(files(folder)) == 301 - 256
        await ledger.keep_screen("new", 2, PICTURE)
        assert files(folder) == {"new/2.png"}
        assert kept_bytes(folder) == 100


async def test_a_picture_too_large_to_be_kept_leaves_nothing(folder: Path, ledger: SqliteLedger) -> None:
    await shown(ledger, "task_1")
    await ledger.keep_screen("task_1", 1, Screen(data=bytes(IMAGE_BYTES + 1), media_type="image/png"))
    assert files(folder) == set()
    assert await ledger.last_screen("task_1", kept=True) is None


def test_the_oldest_are_found_by_their_index(folder: Path) -> None:
    with closing(schema.connect(schema.prepare(folder))) as connection:
        for query in (queries.OLDEST_OF_ENDED, queries.OLDEST_OF_UNFINISHED):
            plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", (1,)))
            assert "SCAN s USING INDEX screens_kept" in plan
            assert "TEMP B-TREE" not in plan


async def test_pictures_that_an_older_version_kept_are_counted_and_go_first(folder: Path) -> None:
    async with open_ledger(folder) as ledger:
        await shown(ledger, "task_1", pictures=5, state=State.COMPLETED)
        for seq in (2, 1):
            await ledger.keep_screen("task_1", seq, PICTURE)
    _turn_back(folder)
    async with open_ledger(folder, screens_bytes=350) as ledger:
        assert kept_bytes(folder) == 200
        await ledger.keep_screen("task_1", 3, PICTURE)
        _keep_as_version_1(folder, "task_1", 4)  # one that has the file open still
        assert kept_bytes(folder) == 400
        assert await ledger.unkept_screens("task_1", newest=10) == [(5, "https://pictures/5")]
        await ledger.keep_screen("task_1", 5, PICTURE)
    assert files(folder) == {"task_1/2.png", "task_1/3.png", "task_1/5.png"}


def _turn_back(folder: Path) -> None:
    """To the schema before pictures were counted."""
    with closing(sqlite3.connect(folder / schema.FILE_NAME)) as connection:
        connection.executescript(
            "DROP TRIGGER screens_added; DROP TRIGGER screens_changed; DROP TRIGGER screens_deleted;"
            "DROP TABLE kept_screens; DROP INDEX screens_kept; ALTER TABLE screens DROP COLUMN kept;"
            "PRAGMA user_version = 2"
        )


def _keep_as_version_1(folder: Path, task_id: str, seq: int) -> None:
    (folder / "screens" / task_id / f"{seq}.png").write_bytes(bytes(100))
    with closing(sqlite3.connect(folder / schema.FILE_NAME)) as connection:
        connection.execute(
            "INSERT INTO screens (task_id, seq, url, media_type, file, size) VALUES (?, ?, NULL, 'image/png', ?, 100)"
            " ON CONFLICT (task_id, seq) DO UPDATE SET url = coalesce(excluded.url, url),"
            " media_type = excluded.media_type, file = excluded.file, size = excluded.size",
            (task_id, seq, f"{seq}.png"),
        )
        connection.commit()


# ---- what is left behind


async def test_a_caller_that_is_cancelled_at_any_point_leaves_no_stray_file(folder: Path, ledger: SqliteLedger) -> None:
    await shown(ledger, "task_1", pictures=40)
    for seq in range(1, 41):
        with anyio.move_on_after(seq * 0.0002):
            await ledger.keep_screen("task_1", seq, PICTURE)
    await ledger.get("task_1")
    await shown(ledger, "task_2")  # behind everything that was handed in
    named = await names(ledger, "task_1")
    assert files(folder) == named
    assert len(named) <= 3


async def test_a_caller_that_is_cancelled_while_it_waits_leaves_no_stray_file(
    folder: Path, ledger: SqliteLedger
) -> None:
    await shown(ledger, "task_1")
    begun, go_on = threading.Event(), threading.Event()

    def stand_still(_: Transaction) -> None:
        begun.set()
        assert go_on.wait(10)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(ledger._writer.submit, stand_still)
            await anyio.to_thread.run_sync(begun.wait)
            group.start_soon(ledger.keep_screen, "task_1", 1, PICTURE)
            while not ledger.statistics().writer.waiting:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        go_on.set()
        await shown(ledger, "task_2")
    assert files(folder) == set()
    assert await ledger.unkept_screens("task_1", newest=1) == [(1, "https://pictures/1")]


async def test_a_picture_that_the_disk_does_not_take_leaves_nothing(folder: Path, ledger: SqliteLedger) -> None:
    await shown(ledger, "task_1")
    (folder / "screens" / "task_1").write_bytes(b"no folder")
    with pytest.raises(LedgerUnavailable):
        await ledger.keep_screen("task_1", 1, PICTURE)
    assert files(folder) == {"task_1"}
    assert kept_bytes(folder) == 0


async def test_a_crash_between_the_naming_and_the_commit_is_swept(folder: Path, ledger: SqliteLedger) -> None:
    await shown(ledger, "task_1", pictures=3)
    await ledger.keep_screen("task_1", 1, PICTURE)
    place = folder / "screens" / "task_1"
    for name, age in (("1.png", 7200), ("2.png", 7200), ("3.png", 0)):
        (place / name).write_bytes(b"x")
        os.utime(place / name, (time.time() - age,) * 2)
    (folder / "screens" / "not a task").mkdir()
    (folder / "screens" / "file").write_bytes(b"")
    await sqlite.sweep(ledger._readers, ledger._screens)
    assert files(folder) == {"file", "task_1/1.png", "task_1/3.png"}  # named by a row; perhaps being written now


async def test_an_opened_ledger_sweeps_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_ledger(folder) as ledger:
        await shown(ledger, "task_1")
    stray = folder / "screens" / "task_1" / "1.png"
    stray.parent.mkdir()
    stray.write_bytes(b"x")
    os.utime(stray, (0, 0))
    monkeypatch.setattr(sqlite, "SWEEP_SECONDS", 0)
    with anyio.fail_after(10):
        async with open_ledger(folder):
            while stray.exists():
                await anyio.lowlevel.checkpoint()


# ---- several processes


async def test_two_processes_keep_one_bound_and_each_picture_once(folder: Path) -> None:
    async with open_ledger(folder, screens_bytes=1000) as ledger:
        await shown(ledger, "task_1", pictures=60)
        await shown(ledger, "task_2", pictures=60, state=State.COMPLETED)
        async with another("keep", folder, "a") as a, another("keep", folder, "b") as b:
            assert [await a.line(), await b.line()] == ["ready"] * 2
            await a.sign()
            await b.sign()
            assert [await a.line(), await b.line()] == ["done"] * 2
        assert kept_bytes(folder) <= 1000
        named = await names(ledger, "task_1", "task_2")
        assert files(folder) == named
        assert "task_1/60.png" in named
        assert await ledger.unkept_screens("task_1", newest=60) == []

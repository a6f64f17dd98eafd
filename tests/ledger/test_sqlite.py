"""What is particular to SQLite: files, versions, failures, group commit."""

# ruff: noqa: ASYNC240 - to look at the files is what these tests are for

import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from northstar_mcp.errors import LedgerUnavailable, SettingsInvalid
from northstar_mcp.ledger import ChangeInvalid, SqliteLedger, open_ledger, schema, screens, sqlite
from northstar_mcp.ledger.writer import Transaction
from northstar_mcp.tasks.model import Screen, Task
from northstar_mcp.tasks.ports import LeaseLost, Moved

from .builders import LONG_AGO, NOON, a_step, a_task, an_event

pytestmark = pytest.mark.anyio


class SetClock:
    """A clock that says what it is set to."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time


@pytest.fixture
async def ledger(folder: Path) -> AsyncIterator[SqliteLedger]:
    async with open_ledger(folder) as opened:
        yield opened


async def added(ledger: SqliteLedger, task_id: str = "task_1") -> Task:
    return await ledger.add(a_task(task_id), repeats_since=LONG_AGO)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ---- files


async def test_nobody_else_may_read_the_files(folder: Path, ledger: SqliteLedger) -> None:
    await ledger.record(a_step(await added(ledger), count=1, screens={1: Screen(data=b"x", media_type="image/png")}))
    assert mode(folder) == 0o700
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm", "1.png"}
    assert {mode(path) for path in files} == {0o600}
    assert {mode(path) for path in folder.rglob("*") if path.is_dir()} == {0o700}


async def test_closing_leaves_one_file(folder: Path) -> None:
    async with open_ledger(folder) as ledger:
        await added(ledger)
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["ledger.sqlite3"]


async def test_an_error_of_the_body_comes_out_as_it_is(folder: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with open_ledger(folder):
            raise KeyError("mine")


async def test_a_closed_ledger_says_so(folder: Path) -> None:
    async with open_ledger(folder) as ledger:
        task = await added(ledger)
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.record(a_step(task, count=1))
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.get("task_1")


async def test_the_ledger_can_be_asked_whether_it_lives(ledger: SqliteLedger) -> None:
    await ledger.ping()


# ---- versions


def test_migrations_are_numbered_without_gaps() -> None:
    assert [step.version for step in schema.migrations()] == list(range(1, len(schema.migrations()) + 1))


async def test_a_file_of_a_newer_version_is_refused_untouched(folder: Path) -> None:
    folder.mkdir()
    path = folder / schema.FILE_NAME
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(SettingsInvalid, match="999") as refused:
        async with open_ledger(folder):
            pytest.fail("it was opened")
    assert "Upgrade" in refused.value.remedy
    assert path.read_bytes() == before
    assert mode(path) == 0o644
    assert [file.name for file in folder.iterdir()] == [schema.FILE_NAME]


def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    good = schema.Migration(version=1, sql="CREATE TABLE a (x);")
    bad = schema.Migration(version=2, sql="CREATE TABLE b (x);\nCREATE TABLE a (x);\n")
    with closing(schema.connect(tmp_path / "file")) as connection:
        schema.migrate(connection, [good])
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(connection, [good, bad])
        assert schema.version_of(connection) == 1
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("a",)]


def test_many_may_create_the_file_at_once(folder: Path) -> None:
    errors: list[BaseException] = []

    def prepare() -> None:
        try:
            schema.prepare(folder)
        except BaseException as error:  # noqa: BLE001 - to be seen by the test, not by the thread
            errors.append(error)

    threads = [threading.Thread(target=prepare) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


async def test_a_file_that_is_no_database_is_told_as_that(folder: Path) -> None:
    folder.mkdir()
    (folder / schema.FILE_NAME).write_bytes(b"not a database, by far" * 100)
    with pytest.raises(LedgerUnavailable, match="not a database"):
        async with open_ledger(folder):
            pytest.fail("it was opened")


async def test_a_folder_that_cannot_be_made_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerUnavailable, match="data directory"):
        async with open_ledger(tmp_path / "file" / "data"):
            pytest.fail("it was opened")


# ---- failures


@contextmanager
def full_disk(ledger: SqliteLedger) -> Iterator[None]:
    """The database may not grow by a single page."""
    connection = ledger._writer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        connection.execute("PRAGMA max_page_count = 1000000")


async def test_a_full_disk_fails_what_does_not_fit_and_later_work_goes_on(ledger: SqliteLedger) -> None:
    task = await added(ledger)
    change = a_step(task, replace(an_event("task_1", 1), text="x" * 1_000_000))
    with full_disk(ledger):
        with pytest.raises(LedgerUnavailable, match="full") as failed:
            await ledger.record(change)
        assert await ledger.get("task_1") == task
    assert "free space" in failed.value.remedy
    assert failed.value.retryable
    await ledger.record(change)
    assert await ledger.events("task_1") == list(change.events)


async def test_the_one_that_does_not_fit_fails_alone(ledger: SqliteLedger) -> None:
    tasks = [await added(ledger, f"task_{number}") for number in range(6)]
    failed: list[str] = []

    async def record(task: Task) -> None:
        text = "x" * 1_000_000 if task.task_id == "task_3" else "x"
        try:
            await ledger.record(a_step(task, replace(an_event(task.task_id, 1), text=text)))
        except LedgerUnavailable:
            failed.append(task.task_id)

    with full_disk(ledger), anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for task in tasks:
                group.start_soon(record, task)
    assert failed == ["task_3"]
    assert [len(await ledger.events(task.task_id)) for task in tasks] == [1, 1, 1, 0, 1, 1]


async def test_a_locked_database_fails_all_who_wait_and_later_work_goes_on(folder: Path, ledger: SqliteLedger) -> None:
    task = await added(ledger)
    ledger._writer._connection.execute("PRAGMA busy_timeout = 50")
    errors: list[LedgerUnavailable] = []

    async def record() -> None:
        try:
            await ledger.record(a_step(task, count=1))
        except LedgerUnavailable as error:
            errors.append(error)

    with closing(sqlite3.connect(folder / schema.FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(record)
        assert await ledger.get("task_1") == task  # reading goes on meanwhile
        other.execute("ROLLBACK")
    assert len(errors) == 50
    assert "locked by another process" in errors[0].message
    await ledger.record(a_step(task, count=1))


async def test_an_error_that_nobody_foresaw_is_the_callers_alone(ledger: SqliteLedger) -> None:
    def fail(transaction: Transaction) -> None:
        transaction.connection.execute("DELETE FROM changes")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ledger._writer.submit(fail)
    await ledger.record(a_step(await added(ledger), count=1))


# ---- group commit


async def test_those_who_wait_share_a_commit(ledger: SqliteLedger) -> None:
    tasks = [await added(ledger, f"task_{number}") for number in range(100)]
    before = ledger.statistics().writer
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for task in tasks:
                group.start_soon(ledger.record, a_step(task, count=1))
    after = ledger.statistics().writer
    assert after.operations - before.operations == 100
    assert after.batches - before.batches <= 5
    assert after.largest_batch > 20


async def test_a_refusal_undoes_nothing_of_its_batch(ledger: SqliteLedger) -> None:
    tasks = [await added(ledger, f"task_{number}") for number in range(30)]
    refused: list[str] = []

    async def record(number: int, task: Task) -> None:
        good = a_step(task, count=1)
        bad = (
            replace(good, task=replace(good.task, revision=9)),
            a_step(task, an_event(task.task_id, 7)),
            good,
        )
        try:
            await ledger.record(bad[number % 3])
        except (Moved, ChangeInvalid) as error:
            refused.append(type(error).__name__)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for number, task in enumerate(tasks):
                group.start_soon(record, number, task)
    assert sorted(refused) == ["ChangeInvalid"] * 10 + ["Moved"] * 10
    assert [len(await ledger.events(task.task_id)) for task in tasks] == [0, 0, 1] * 10


async def test_a_cancelled_callers_work_is_dropped_if_not_begun_and_done_if_begun(ledger: SqliteLedger) -> None:
    begun, go_on = threading.Event(), threading.Event()
    one, two, three = [await added(ledger, f"task_{number}") for number in (1, 2, 3)]

    def stand_still(transaction: Transaction) -> None:
        begun.set()
        go_on.wait(10)
        transaction.connection.execute("UPDATE changes SET last = last + 1000")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as waiters:
            waiters.start_soon(ledger._writer.submit, stand_still)
            await anyio.to_thread.run_sync(begun.wait)
            for task in (one, two):
                waiters.start_soon(ledger.record, a_step(task, count=1, screens={1: Screen(data=b"x")}))
            while ledger.statistics().writer.waiting < 2:
                await anyio.lowlevel.checkpoint()
            waiters.cancel_scope.cancel()
        go_on.set()
        await ledger.record(a_step(three, count=1))
    assert await ledger.events("task_1") == await ledger.events("task_2") == []
    assert len(await ledger.events("task_3")) == 1
    with closing(sqlite3.connect(ledger._readers._path)) as connection:
        assert connection.execute("SELECT last > 1000 FROM changes").fetchone() == (1,)
    assert list(ledger._screens._staging.iterdir()) == []


class Held:
    """Work that stands still in the middle of its transaction until the ledger is being closed."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._go_on = threading.Event()

    def work(self, _transaction: Transaction) -> None:
        self.begun.set()
        assert self._go_on.wait(10)

    async def let_go_when_closing(self, ledger: SqliteLedger) -> None:
        while ledger._writer._receive.statistics().open_send_streams:
            await anyio.lowlevel.checkpoint()
        # One more round, so that a time limit of nothing has passed.
        await anyio.wait_all_tasks_blocked()
        self._go_on.set()


async def close_while_busy(folder: Path) -> list[str]:
    """Close with one piece of work begun and twenty handed in; what each of the twenty callers was told."""
    held, told = Held(), list[str]()

    async def record(ledger: SqliteLedger, task: Task) -> None:
        try:
            await ledger.record(a_step(task, count=1))
            told.append("written")
        except LedgerUnavailable:
            told.append("unavailable")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group, open_ledger(folder) as ledger:
            tasks = [await added(ledger, f"task_{number}") for number in range(20)]
            group.start_soon(ledger._writer.submit, held.work)
            await anyio.to_thread.run_sync(held.begun.wait)
            for task in tasks:
                group.start_soon(record, ledger, task)
            while ledger.statistics().writer.waiting < 20:
                await anyio.lowlevel.checkpoint()
            group.start_soon(held.let_go_when_closing, ledger)
    return told


async def test_closing_finishes_what_was_handed_in(folder: Path) -> None:
    assert await close_while_busy(folder) == ["written"] * 20
    async with open_ledger(folder) as ledger:
        assert [len(await ledger.events(f"task_{number}")) for number in range(20)] == [1] * 20


async def test_closing_that_takes_too_long_refuses_what_has_not_begun(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "CLOSE_SECONDS", 0)
    assert await close_while_busy(folder) == ["unavailable"] * 20
    async with open_ledger(folder) as ledger:
        assert [len(await ledger.events(f"task_{number}")) for number in range(20)] == [0] * 20


async def test_a_cancelled_owner_still_closes(folder: Path) -> None:
    with anyio.CancelScope() as scope:
        async with open_ledger(folder) as ledger:
            await added(ledger)
            scope.cancel()
            await anyio.sleep_forever()
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["ledger.sqlite3"]


# ---- pictures


async def test_the_newest_pictures_are_kept_within_the_bound(
    folder: Path, ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screens, "TASK_BYTES", 250)
    task = await added(ledger)
    for seq in range(1, 6):
        url = "https://pictures/1" if seq == 1 else None
        picture = Screen(data=bytes(100), media_type="image/png")
        change = a_step(task, an_event("task_1", seq, screen_url=url), screens={seq: picture})
        await ledger.record(change)
        task = change.task
    assert {path.name for path in (folder / "screens" / "task_1").iterdir()} == {"4.png", "5.png"}
    oldest = await ledger.last_screen("task_1", seq=1)
    assert oldest is not None
    assert oldest[1] == Screen(url="https://pictures/1", media_type="image/png")
    assert await ledger.last_screen("task_1", seq=2) is None
    assert await ledger.last_screen("task_1", seq=4) is not None


async def test_a_picture_that_is_too_large_is_not_kept(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "IMAGE_BYTES", 10)
    await ledger.record(a_step(await added(ledger), count=1, screens={1: Screen(data=bytes(11))}))
    assert await ledger.last_screen("task_1") is None


async def test_a_refused_change_leaves_no_picture_and_overwrites_none(folder: Path, ledger: SqliteLedger) -> None:
    task = await added(ledger)
    first = a_step(task, count=1, screens={1: Screen(data=b"right", media_type="image/png")})
    await ledger.record(first)
    with pytest.raises(Moved):
        await ledger.record(a_step(task, count=1, screens={1: Screen(data=b"wrong", media_type="image/png")}))
    assert (folder / "screens" / "task_1" / "1.png").read_bytes() == b"right"
    assert list((folder / "screens" / ".staging").iterdir()) == []


async def test_a_picture_whose_file_is_gone_is_no_error(folder: Path, ledger: SqliteLedger) -> None:
    await ledger.record(a_step(await added(ledger), count=1, screens={1: Screen(data=b"x")}))
    (folder / "screens" / "task_1" / "1.bin").unlink()
    assert await ledger.last_screen("task_1") is None


async def test_an_id_that_is_a_path_gets_no_folder(folder: Path, ledger: SqliteLedger) -> None:
    task = await added(ledger, "../../task")
    with pytest.raises(ChangeInvalid):
        await ledger.record(a_step(task, count=1, screens={1: Screen(data=b"x")}))
    assert list(folder.parent.iterdir()) == [folder]


# ---- clocks that jump


async def test_a_clock_set_forward_lets_another_take_over_and_the_first_is_fenced(folder: Path) -> None:
    clock = SetClock()
    async with open_ledger(folder, clock=clock) as one, open_ledger(folder, clock=clock) as two:
        task = await added(one)
        old = await one.acquire("task_1", holder="one", seconds=10)
        clock.time += timedelta(hours=1)
        new = await two.acquire("task_1", holder="two", seconds=10)
        assert new is not None
        clock.time -= timedelta(hours=1)
        with pytest.raises(LeaseLost):
            await one.record(a_step(task, count=1, lease=old))
        await two.record(a_step(task, count=1, lease=new))


async def test_a_clock_set_back_does_not_keep_a_dead_holders_lease(folder: Path) -> None:
    clock = SetClock()
    async with open_ledger(folder, clock=clock) as ledger:
        await added(ledger)
        await ledger.acquire("task_1", holder="dead", seconds=10)
        clock.time -= timedelta(seconds=5)
        assert await ledger.acquire("task_1", holder="two", seconds=10) is None  # a small step is no reason
        clock.time -= timedelta(hours=1)
        assert await ledger.acquire("task_1", holder="two", seconds=10) is not None

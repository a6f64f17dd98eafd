"""What every change feed does; two openings of one store stand for two processes."""

import anyio
import pytest

from northstar_mcp.ledger import feed
from northstar_mcp.tasks.model import Task
from northstar_mcp.tasks.ports import Moved, Watch

from .builders import LONG_AGO, a_step, a_task
from .conftest import AnyLedger, Store

pytestmark = pytest.mark.anyio

LOOKS = 3 * feed.LOOK_SECONDS


async def added(ledger: AnyLedger, task_id: str) -> Task:
    return await ledger.add(a_task(task_id), repeats_since=LONG_AGO)


async def next_of(watch: Watch) -> frozenset[str]:
    with anyio.fail_after(10):
        return await watch.changed()


async def is_silent(watch: Watch) -> bool:
    """True if nothing is told for as long as several looks at the record take."""
    with anyio.move_on_after(LOOKS):
        await watch.changed()
        return False
    return True


async def test_a_watch_tells_what_changed_since_it_began(ledger: AnyLedger) -> None:
    one, two = await added(ledger, "task_1"), await added(ledger, "task_2")
    with ledger.watch("task_1", "task_2") as watch:
        await ledger.record(a_step(one, count=1))
        assert await next_of(watch) == {"task_1"}
        await ledger.record(a_step(two, count=1))
        assert await next_of(watch) == {"task_2"}
        assert await is_silent(watch)


async def test_changes_between_two_answers_are_one(ledger: AnyLedger) -> None:
    with ledger.watch() as watch:
        one = await added(ledger, "task_1")
        await added(ledger, "task_2")
        await ledger.record(a_step(one, count=3))
        assert await next_of(watch) == {"task_1", "task_2"}
        assert await is_silent(watch)


async def test_a_watch_does_not_tell_of_other_tasks(ledger: AnyLedger) -> None:
    await added(ledger, "task_1")
    with ledger.watch("task_1") as watch:
        await added(ledger, "task_2")
        assert await is_silent(watch)


async def test_what_was_refused_is_no_change(ledger: AnyLedger) -> None:
    task = await added(ledger, "task_1")
    await ledger.record(a_step(task, count=1))
    with ledger.watch("task_1") as watch:
        with pytest.raises(Moved):
            await ledger.record(a_step(task, count=1))
        lease = await ledger.acquire("task_1", holder="one", seconds=60)
        assert lease is not None
        assert await is_silent(watch)


async def test_a_cancelled_wait_forgets_nothing(ledger: AnyLedger) -> None:
    task = await added(ledger, "task_1")
    with ledger.watch("task_1") as watch:
        with anyio.move_on_after(0):
            await watch.changed()
        await ledger.record(a_step(task, count=1))
        assert await next_of(watch) == {"task_1"}


async def test_a_change_of_another_process_is_told_once(store: Store) -> None:
    async with store.open() as there:
        task = await added(there, "task_1")
        async with store.open() as here:
            with here.watch("task_1") as named, here.watch() as everything:
                await there.record(a_step(task, count=1))
                assert await next_of(named) == {"task_1"}
                assert await next_of(everything) == {"task_1"}
                assert await is_silent(named)


async def test_changes_of_both_processes_are_told_to_both(store: Store) -> None:
    async with store.open() as here, store.open() as there:
        task = await added(there, "task_1")
        with here.watch("task_1") as ours, there.watch("task_1") as theirs:
            change = a_step(task, count=1)
            await there.record(change)
            assert await next_of(ours) == {"task_1"}
            assert await next_of(theirs) == {"task_1"}
            await here.record(a_step(change.task, count=1))
            assert await next_of(ours) == {"task_1"}
            assert await next_of(theirs) == {"task_1"}


async def test_a_change_made_elsewhere_right_after_a_watch_began_is_not_missed(store: Store) -> None:
    async with store.open() as here, store.open() as there:
        task = await added(there, "task_1")
        for number in range(5):
            with here.watch("task_1") as watch:
                change = a_step(task, count=1)
                await there.record(change)
                await added(here, f"task_of_ours_{number}")  # must not hide it
                assert await next_of(watch) == {"task_1"}
            task = change.task


async def test_a_watch_of_all_tasks_holds_a_bounded_number_and_misses_none(
    ledger: AnyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "ALL_TASKS", 3)
    monkeypatch.setattr(feed, "_LOOK_ROWS", 4)
    with ledger.watch() as watch:
        for number in range(20):
            await ledger.add(a_task(f"task_{number}"), repeats_since=LONG_AGO)
        told: set[str] = set()
        while len(told) < 20:
            told |= await next_of(watch)
        assert await is_silent(watch)

"""What every ledger does, whichever database holds it."""

from dataclasses import fields, replace
from datetime import timedelta, timezone

import anyio
import pytest

from northstar_mcp.ledger import ChangeInvalid, RepeatedFrame
from northstar_mcp.tasks.model import (
    Change,
    Event,
    EventType,
    Lease,
    ReceiptState,
    Screen,
    Task,
    TaskError,
    TaskRequest,
)
from northstar_mcp.tasks.ports import Leased, LeaseLost, Moved, TooMany
from northstar_mcp.tasks.states import Happening, State

from .builders import LONG_AGO, NOON, a_receipt, a_step, a_task, an_event, at
from .conftest import AnyLedger, Store

pytestmark = pytest.mark.anyio

ODD = "a lone \ud83d surrogate, a \x00 nul, a \u2028 separator, and 日本 🎉"


async def added(ledger: AnyLedger, task: Task) -> Task:
    return await ledger.add(task, repeats_since=LONG_AGO)


# ---- adding


async def test_a_task_is_read_as_it_was_written(ledger: AnyLedger) -> None:
    every_field = Task(
        task_id="task_full",
        principal="ann",
        request=TaskRequest(
            instruction=ODD,
            max_steps=7,
            max_duration_seconds=60,
            kind="browser",
            start_url="https://example.org",
            model="northstar",
            temperature=0.1,
            screenshot_mode="url",
            viewport_width=1280,
            viewport_height=720,
            persistent=False,
            environment_id="env",
            computer_id="comp",
            on_missing_computer="fail",
            keep_alive=True,
        ),
        idempotency_key="key",
        fingerprint="print",
        caller_key="mine",
        created_at=NOON,
        updated_at=at(1),
        state=State.FAILED,
        revision=3,
        seq=0,
        last_upstream_id="17-0",
        upstream_status="weird",
        northstar_task_id="ns",
        computer_id="comp",
        model="northstar-2",
        result=ODD,
        exit_code=2,
        error=TaskError(category="broken", message=ODD, retryable=True, remedy="Wait."),
        steps=4,
        clamped=("max_steps was 900", "and so on"),
        start_sent_at=at(2),
        stopping=Happening.STOPPED,
        paused_at=at(2),
        waits_for="a log-in",
        name_asked_at=at(2),
        second_task_id="nst_second",
        started_at=at(3),
        ended_at=at(4),
    )
    unset = [field.name for field in fields(Task) if getattr(every_field, field.name) is None]
    assert unset == []

    await added(ledger, every_field)

    assert await ledger.get("task_full") == every_field


async def test_an_unknown_task_is_none(ledger: AnyLedger) -> None:
    assert await ledger.get("task_none") is None
    assert await ledger.events("task_none") == []
    assert await ledger.receipts("task_none") == []
    assert await ledger.upstream_ids("task_none") == frozenset()
    assert await ledger.last_screen("task_none") is None


async def test_the_same_arguments_again_answer_the_task_that_stands(ledger: AnyLedger) -> None:
    first = await added(ledger, a_task("task_1", fingerprint="same"))
    again = await added(ledger, a_task("task_2", fingerprint="same", created_at=at(5)))
    assert again == first
    assert await ledger.get("task_2") is None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(a_task("task_2", fingerprint="different"), id="other arguments"),
        pytest.param(a_task("task_2", fingerprint="same", principal="bob"), id="another principal"),
        pytest.param(a_task("task_2", fingerprint="same", caller_key="mine"), id="with a key of its own"),
    ],
)
async def test_what_is_no_repeat_is_a_new_task(ledger: AnyLedger, other: Task) -> None:
    await added(ledger, a_task("task_1", fingerprint="same"))
    assert await added(ledger, other) == other


async def test_a_task_that_has_ended_is_not_repeated(ledger: AnyLedger) -> None:
    first = await added(ledger, a_task("task_1", fingerprint="same"))
    await ledger.record(a_step(first, state=State.COMPLETED))
    second = a_task("task_2", fingerprint="same")
    assert await added(ledger, second) == second


async def test_unfinished_tasks_are_counted_where_one_is_added(ledger: AnyLedger) -> None:
    mine = replace(a_task("task_1", caller_key="mine"), account="one")
    await added(ledger, mine)
    await added(ledger, replace(a_task("task_2"), account="another"))
    await added(ledger, replace(a_task("task_3", principal="bob"), account="one"))
    with pytest.raises(TooMany) as refused:
        await ledger.add(replace(a_task("task_4"), account="one"), repeats_since=NOON, most=1)
    assert refused.value.unfinished == 1
    assert await ledger.get("task_4") is None
    again = replace(a_task("task_5", caller_key="mine"), account="one")
    assert (await ledger.add(again, repeats_since=NOON, most=1)).task_id == "task_1"
    assert (await ledger.add(replace(a_task("task_6"), account="one"), repeats_since=NOON, most=2)).task_id == "task_6"


async def test_a_key_that_was_given_back_can_be_used_again(ledger: AnyLedger) -> None:
    first = await added(ledger, a_task("task_1", caller_key="mine"))
    refused = a_step(first, state=State.FAILED)
    await ledger.record(replace(refused, task=replace(refused.task, caller_key=None)))
    assert (await added(ledger, a_task("task_2", caller_key="mine"))).task_id == "task_2"


async def test_the_window_for_repeats_includes_its_first_moment(ledger: AnyLedger) -> None:
    first = a_task("task_1", fingerprint="same")
    await ledger.add(first, repeats_since=NOON)
    assert await ledger.add(a_task("task_2", fingerprint="same"), repeats_since=NOON) == first
    late = a_task("task_3", fingerprint="same")
    assert await ledger.add(late, repeats_since=NOON + timedelta(microseconds=1)) == late


async def test_a_callers_key_finds_its_task_whatever_the_arguments_and_the_state(ledger: AnyLedger) -> None:
    first = await added(ledger, a_task("task_1", caller_key="mine"))
    ended = a_step(first, state=State.FAILED)
    await ledger.record(ended)
    again = a_task("task_2", caller_key="mine", created_at=at(9_999_999))
    assert await ledger.add(again, repeats_since=at(9_999_999)) == ended.task
    assert (await added(ledger, a_task("task_3", caller_key="mine", principal="bob"))).task_id == "task_3"


async def test_of_many_equal_tasks_at_once_one_is_written(store: Store) -> None:
    answers: list[Task] = []
    async with store.open() as one, store.open() as two:

        async def add(ledger: AnyLedger, number: int) -> None:
            answers.append(await added(ledger, a_task(f"task_{number}", fingerprint="same")))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(add, (one, two)[number % 2], number)
        assert len({task.task_id for task in answers}) == 1
        assert len(await one.unfinished()) == 1


async def test_an_id_cannot_be_given_twice(ledger: AnyLedger) -> None:
    await added(ledger, a_task("task_1"))
    with pytest.raises(ChangeInvalid, match="stands already"):
        await added(ledger, a_task("task_1", fingerprint="other"))


# ---- listing


async def test_pages_go_from_the_newest_to_the_oldest_and_miss_none(ledger: AnyLedger) -> None:
    for number in range(7):
        # Two by two at the same moment: a page must be able to begin between them.
        await added(ledger, a_task(f"task_{number}", created_at=at(number // 2)))
    await added(ledger, a_task("task_of_bob", principal="bob", created_at=at(100)))
    seen: list[str] = []
    while page := await ledger.page("ann", states=None, limit=2, before=seen[-1] if seen else None):
        seen += [task.task_id for task in page]
    assert seen == [f"task_{number}" for number in (6, 5, 4, 3, 2, 1, 0)]


async def test_a_page_holds_the_wanted_states_only(ledger: AnyLedger) -> None:
    for number, state in enumerate((State.RUNNING, State.PAUSED, State.COMPLETED)):
        await added(ledger, a_task(f"task_{number}", state=state, created_at=at(number)))
    wanted = frozenset({State.RUNNING, State.COMPLETED})
    assert [task.task_id for task in await ledger.page("ann", states=wanted, limit=9, before=None)] == [
        "task_2",
        "task_0",
    ]
    assert await ledger.page("ann", states=frozenset(), limit=9, before=None) == []


async def test_a_page_before_someone_elses_task_is_empty(ledger: AnyLedger) -> None:
    await added(ledger, a_task("task_1"))
    await added(ledger, a_task("task_of_bob", principal="bob", created_at=at(100)))
    assert await ledger.page("ann", states=None, limit=9, before="task_of_bob") == []
    assert await ledger.page("ann", states=None, limit=9, before="task_none") == []


async def test_unfinished_tasks_are_those_of_everybody_oldest_first(ledger: AnyLedger) -> None:
    await added(ledger, a_task("task_new", created_at=at(2)))
    await added(ledger, a_task("task_old", created_at=at(1), principal="bob"))
    await added(ledger, a_task("task_done", state=State.STOPPED))
    assert await ledger.unfinished() == ["task_old", "task_new"]


# ---- recording


async def test_a_change_is_read_as_it_was_written(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    event = Event(
        task_id=task.task_id,
        seq=1,
        type=EventType.SCREENSHOT,
        text=ODD,
        at=at(1).astimezone(timezone(timedelta(hours=5))),
        upstream_id=ODD,
        upstream_type="screenshot",
        step=10**30,
        screen_url="https://pictures/1",
        payload={ODD: [ODD, {"n": 10**30, "x": 1.5, "none": None, "yes": True}]},
    )
    change = a_step(task, event, receipts=(a_receipt(task.task_id, "message_1", 1),), state=State.RUNNING)
    await ledger.record(change)
    assert await ledger.get(task.task_id) == change.task
    assert await ledger.events(task.task_id) == [event]
    assert await ledger.receipts(task.task_id) == list(change.receipts)
    assert await ledger.upstream_ids(task.task_id) == {ODD}


async def test_a_number_that_is_none_survives(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    event = replace(an_event(task.task_id, 1), payload={"x": float("nan"), "y": float("-inf")})
    await ledger.record(a_step(task, event))
    (read,) = await ledger.events(task.task_id)
    assert str(read.payload) == str(event.payload)


async def test_what_was_recorded_is_there_after_opening_again(store: Store) -> None:
    async with store.open() as ledger:
        change = a_step(await added(ledger, a_task()), count=3)
        await ledger.record(change)
    async with store.open() as ledger:
        assert await ledger.get("task_1") == change.task
        assert await ledger.events("task_1") == list(change.events)


async def test_events_are_read_from_behind_a_number_and_up_to_a_limit(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    await ledger.record(a_step(task, count=10))
    assert [event.seq for event in await ledger.events(task.task_id, after=4, limit=3)] == [5, 6, 7]
    assert await ledger.events(task.task_id, after=10) == []


async def test_a_change_decided_on_an_old_revision_is_refused_and_writes_nothing(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    first = a_step(task, count=1)
    await ledger.record(first)
    with pytest.raises(Moved):
        await ledger.record(a_step(task, count=2, receipts=(a_receipt(task.task_id, "message_1", 1),)))
    assert await ledger.get(task.task_id) == first.task
    assert len(await ledger.events(task.task_id)) == 1
    assert await ledger.receipts(task.task_id) == []


async def test_a_change_of_a_task_that_does_not_exist_is_refused(ledger: AnyLedger) -> None:
    with pytest.raises(Moved):
        await ledger.record(a_step(a_task("task_none"), count=1))


async def test_of_changes_decided_on_one_revision_exactly_one_is_written(store: Store) -> None:
    outcomes: list[str] = []
    async with store.open() as one, store.open() as two:
        task = await added(one, a_task())

        async def record(ledger: AnyLedger) -> None:
            try:
                await ledger.record(a_step(task, count=1))
                outcomes.append("written")
            except Moved:
                outcomes.append("moved")

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for number in range(10):
                    group.start_soon(record, (one, two)[number % 2])
    assert sorted(outcomes) == ["moved"] * 9 + ["written"]


def invalid_changes() -> list[object]:
    task = a_task()
    good = a_step(task, count=1)
    return [
        pytest.param(a_step(task, an_event(task.task_id, 2)), id="a gap"),
        pytest.param(replace(good, task=replace(good.task, seq=5)), id="a seq without events"),
        pytest.param(a_step(task, an_event("task_2", 1)), id="an event of another task"),
        pytest.param(replace(good, receipts=(a_receipt("task_2", "m", 1),)), id="a receipt of another task"),
        pytest.param(replace(good, screens={2: Screen(data=b"x")}), id="a picture without an event"),
        pytest.param(replace(good, task=replace(good.task, principal="bob")), id="another owner"),
        pytest.param(replace(good, task=replace(good.task, created_at=at(1))), id="another birthday"),
    ]


@pytest.mark.parametrize("change", invalid_changes())
async def test_a_change_that_contradicts_the_record_is_a_bug_and_writes_nothing(
    ledger: AnyLedger, change: Change
) -> None:
    task = await added(ledger, a_task())
    with pytest.raises(ChangeInvalid):
        await ledger.record(change)
    assert await ledger.get(task.task_id) == task
    assert await ledger.events(task.task_id) == []


async def test_a_frame_is_recorded_once(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    first = a_step(task, an_event(task.task_id, 1, upstream_id="1-0"))
    await ledger.record(first)
    with pytest.raises(RepeatedFrame):
        await ledger.record(a_step(first.task, an_event(task.task_id, 2, upstream_id="1-0")))
    assert await ledger.get(task.task_id) == first.task
    other = await added(ledger, a_task("task_2"))
    await ledger.record(a_step(other, an_event("task_2", 1, upstream_id="1-0")))


async def test_a_receipt_changes_in_place(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    first = a_step(task, count=2, receipts=(a_receipt("task_1", "m1", 1), a_receipt("task_1", "m2", 2)))
    await ledger.record(first)
    picked_up = a_receipt("task_1", "m1", 1, state=ReceiptState.PICKED_UP)
    await ledger.record(a_step(first.task, receipts=(picked_up,)))
    assert await ledger.receipts("task_1") == [picked_up, a_receipt("task_1", "m2", 2)]


# ---- pictures


async def test_the_last_picture_is_the_newest_with_its_bytes(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    picture = Screen(data=b"\x89PNG", media_type="image/png")
    change = a_step(task, count=3, screens={1: Screen(data=b"old", media_type="image/jpeg"), 2: picture})
    await ledger.record(change)
    assert await ledger.last_screen("task_1") == (change.events[1], picture)
    assert await ledger.last_screen("task_1", seq=1) == (change.events[0], Screen(data=b"old", media_type="image/jpeg"))
    assert await ledger.last_screen("task_1", seq=3) is None


async def test_a_picture_elsewhere_is_its_url_until_its_bytes_are_there(
    ledger: AnyLedger,
) -> None:
    task = await added(ledger, a_task())
    first = a_step(task, an_event("task_1", 1, screen_url="https://pictures/1"))
    await ledger.record(first)
    assert await ledger.last_screen("task_1") == (first.events[0], Screen(url="https://pictures/1"))
    fetched = Screen(data=b"bytes", media_type="image/webp")
    await ledger.record(a_step(first.task, screens={1: fetched}))
    assert await ledger.last_screen("task_1") == (first.events[0], fetched)


async def test_a_picture_that_is_kept_later_changes_nothing_else(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    change = a_step(task, *(an_event("task_1", seq, screen_url=f"https://pictures/{seq}") for seq in (1, 2, 3)))
    await ledger.record(change)
    assert await ledger.unkept_screens("task_1", newest=2) == [(3, "https://pictures/3"), (2, "https://pictures/2")]
    picture = Screen(data=b"bytes", media_type="image/webp")
    with ledger.watch("task_1") as watch:
        await ledger.keep_screen("task_1", 2, picture)
        with anyio.move_on_after(0.05):
            pytest.fail(f"{await watch.changed()} was told of")
    assert await ledger.get("task_1") == change.task
    assert await ledger.unkept_screens("task_1", newest=2) == [(3, "https://pictures/3")]
    assert await ledger.last_screen("task_1") == (change.events[2], Screen(url="https://pictures/3"))
    assert await ledger.last_screen("task_1", kept=True) == (change.events[1], picture)
    assert await ledger.last_screen("task_1", seq=2) == (change.events[1], picture)


async def test_a_picture_is_kept_once_and_only_where_there_is_one(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    change = a_step(task, an_event("task_1", 1, screen_url="https://pictures/1"), an_event("task_1", 2))
    await ledger.record(change)
    first = Screen(data=b"first", media_type="image/png")
    await ledger.keep_screen("task_1", 1, first)
    for task_id, seq in (("task_1", 1), ("task_1", 2), ("task_1", 3), ("task_none", 1)):
        await ledger.keep_screen(task_id, seq, Screen(data=b"second", media_type="image/jpeg"))
    assert await ledger.last_screen("task_1") == (change.events[0], first)
    assert await ledger.last_screen("task_none", kept=True) is None


# ---- leases


async def test_a_key_is_made_once_and_shared(store: Store) -> None:
    async with store.open() as one, store.open() as two:
        first = await one.secret("a")
        assert len(first) == 32
        assert await two.secret("a") == first
        assert await two.secret("b") != first


async def test_a_new_task_is_its_holders_from_its_first_moment(ledger: AnyLedger) -> None:
    first = Leased(holder="one", seconds=60)
    await ledger.add(a_task("task_1", fingerprint="same"), repeats_since=NOON, leased=first)
    assert await ledger.acquire("task_1", holder="two", seconds=60) is None
    repeat = Leased(holder="two", seconds=60)
    await ledger.add(a_task("task_2", fingerprint="same"), repeats_since=NOON, leased=repeat)
    assert await ledger.acquire("task_1", holder="one", seconds=60) == Lease(task_id="task_1", holder="one", token=1)


async def test_a_lease_has_one_holder(store: Store) -> None:
    async with store.open() as one, store.open() as two:
        await added(one, a_task())
        lease = await one.acquire("task_1", holder="one", seconds=60)
        assert lease is not None
        assert await two.acquire("task_1", holder="two", seconds=60) is None
        await one.release(lease)
        taken = await two.acquire("task_1", holder="two", seconds=60)
        assert taken is not None
        assert taken.token > lease.token


async def test_asking_again_for_what_one_holds_keeps_the_token(ledger: AnyLedger) -> None:
    await added(ledger, a_task())
    lease = await ledger.acquire("task_1", holder="one", seconds=60)
    assert lease is not None
    assert await ledger.acquire("task_1", holder="one", seconds=60) == lease


async def test_a_lease_that_ran_out_can_be_taken_and_its_holder_writes_nothing_more(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    old = await ledger.acquire("task_1", holder="one", seconds=0)
    new = await ledger.acquire("task_1", holder="two", seconds=60)
    assert old is not None
    assert new is not None
    with pytest.raises(LeaseLost):
        await ledger.renew(old, seconds=60)
    with pytest.raises(LeaseLost):
        await ledger.record(a_step(task, count=1, lease=old))
    await ledger.release(old)  # harmless
    await ledger.renew(new, seconds=60)
    await ledger.record(a_step(task, count=1, lease=new))
    assert [event.seq for event in await ledger.events("task_1")] == [1]


async def test_a_lease_that_ran_out_and_that_nobody_took_still_stands(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    lease = await ledger.acquire("task_1", holder="one", seconds=0)
    assert lease is not None
    await ledger.record(a_step(task, count=1, lease=lease))
    await ledger.renew(lease, seconds=60)
    assert await ledger.acquire("task_1", holder="two", seconds=60) is None


async def test_a_lost_lease_is_told_before_a_moved_revision(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    old = await ledger.acquire("task_1", holder="one", seconds=0)
    new = await ledger.acquire("task_1", holder="two", seconds=60)
    await ledger.record(a_step(task, count=1, lease=new))
    with pytest.raises(LeaseLost):
        await ledger.record(a_step(task, count=1, lease=old))


async def test_a_lease_given_back_no_longer_lets_its_holder_write(ledger: AnyLedger) -> None:
    task = await added(ledger, a_task())
    lease = await ledger.acquire("task_1", holder="one", seconds=60)
    assert lease is not None
    await ledger.release(lease)
    with pytest.raises(LeaseLost):
        await ledger.record(a_step(task, count=1, lease=lease))


async def test_a_task_that_does_not_exist_cannot_be_leased(ledger: AnyLedger) -> None:
    with pytest.raises(ChangeInvalid):
        await ledger.acquire("task_none", holder="one", seconds=60)

"""Progress while a call waits: it grows, does not repeat itself, breaks silence, and never ends the wait."""

from itertools import pairwise

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from northstar_mcp.server.progress import APART_SECONDS, Reporter
from northstar_mcp.tasks.model import EventType
from tests.server.builders import event, task
from tests.server.conftest import ERAS, House, Progress

pytestmark = pytest.mark.anyio
LONG = "Read the long page [steps=400]"


class Host:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Progress] = []
        self.more = anyio.Event()

    async def hear(self, progress: float, total: float | None, message: str | None) -> None:
        self.told.append((progress, total, message))
        self.more.set()
        self.more = anyio.Event()

    async def until(self, count: int) -> None:
        while len(self.told) < count:
            await self.more.wait()

    @property
    def numbers(self) -> list[float]:
        return [number for number, _, _ in self.told]


def check(host: Host) -> None:
    """What the specification asks of every sequence of progress."""
    assert all(before < after for before, after in pairwise(host.numbers)), host.told
    messages = [message for _, _, message in host.told]
    assert all(before != after for before, after in pairwise(messages)), messages
    assert all(message and len(message) <= 200 and len(message.splitlines()) == 1 for message in messages)


@pytest.mark.parametrize("era", ERAS)
async def test_a_waiting_call_tells_what_happens(house: House, era: str) -> None:
    host = Host()
    async with house.open(era=era, step_seconds=0.05) as desk:
        task_id = await desk.started(LONG)

        await desk.client.call_tool(
            "task_status", {"task_id": task_id, "wait_seconds": 1.8}, progress_callback=host.hear
        )

    check(host)
    assert 3 <= len(host.told) <= 4  # two a second
    assert any(message and message.startswith("step ") for _, _, message in host.told)
    assert all(total is None for _, total, _ in host.told)


@pytest.mark.parametrize("era", ERAS)
async def test_nothing_is_told_once_the_call_has_returned(house: House, era: str) -> None:
    host = Host()
    async with house.open(era=era, step_seconds=0.05) as desk:
        task_id = await desk.started(LONG)
        known = (await desk.task(task_id)).seq

        await desk.client.call_tool(
            "task_status", {"task_id": task_id, "wait_seconds": 0.7}, progress_callback=host.hear
        )
        told = len(host.told)
        await anyio.sleep(1.2)

        assert (await desk.task(task_id)).seq > known + 10  # it went on
        assert len(host.told) == told >= 1


async def test_the_number_is_the_events_seq(house: House) -> None:
    host = Host()
    async with house.open(step_seconds=0.05) as desk:
        task_id = await desk.started(LONG)

        await desk.client.call_tool(
            "task_status", {"task_id": task_id, "wait_seconds": 1.2}, progress_callback=host.hear
        )

        events = {e.seq: e.text for e in await desk.engine.ledger.events(task_id)}
        for number, _, message in host.told:
            assert message is not None
            assert message.endswith(events[int(number)])


async def test_of_several_tasks_it_grows_as_well(house: House) -> None:
    host = Host()
    async with house.open(step_seconds=0.03) as desk:
        ids = [await desk.started(f"{LONG} {n}") for n in range(3)]

        await desk.client.call_tool(
            "wait_for_tasks", {"task_ids": ids, "wait_seconds": 1.8}, progress_callback=host.hear
        )

    check(host)
    assert 3 <= len(host.told) <= 4


async def test_a_host_that_shows_progress_is_waited_for_without_asking(house: House) -> None:
    host = Host()
    # Only the framed transport carries a token; the SDK's in-process shortcut of the newer era does not.
    async with house.open(era="legacy", step_seconds=0.02) as desk:
        shown = await desk.client.call_tool(
            "start_task", {"instruction": "Open example.com [steps=3]"}, progress_callback=host.hear
        )
        unseen = await desk.facts("start_task", instruction="Open example.org [steps=3]")

    assert shown.structured_content is not None
    assert shown.structured_content["state"] == "completed"
    assert unseen["state"] in ("starting", "running")


async def test_a_client_that_cannot_be_told_does_not_end_the_wait(house: House) -> None:
    async def fail(progress: float, total: float | None, message: str | None) -> None:
        raise anyio.BrokenResourceError

    async with house.open(step_seconds=0.02) as desk:
        task_id = await desk.started("Open example.com [steps=3]")

        answer = await desk.client.call_tool(
            "task_status", {"task_id": task_id, "wait_seconds": 5}, progress_callback=fail
        )

    assert answer.structured_content is not None
    assert answer.structured_content["state"] == "completed"


async def test_silence_is_broken_by_a_heartbeat_that_still_grows() -> None:
    host = Host()
    reporter = Reporter(host.hear, start=4, heartbeat_seconds=0.01, apart_seconds=0)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(reporter.run)
            await host.until(3)
            await reporter.tell(task(), event(5))
            await host.until(len(host.told) + 2)
            group.cancel_scope.cancel()

    numbers = host.numbers
    assert all(before < after for before, after in pairwise(numbers))
    assert numbers[0] > 4
    assert 5.0 in numbers
    assert all(number < 5 for number in numbers[: numbers.index(5.0)])


async def test_of_a_burst_the_newest_is_told() -> None:
    host = Host()
    reporter = Reporter(host.hear, start=0)
    for seq in range(1, 1001):
        await reporter.tell(task(), event(seq, f"step {seq}"))

    await reporter.flush()

    assert host.numbers == [1000.0]


async def test_what_was_told_a_moment_ago_is_not_followed_by_more_as_the_call_ends() -> None:
    host = Host()
    reporter = Reporter(host.hear, start=0)
    for seq in (1, 2):
        await reporter.tell(task(), event(seq, f"step {seq}"))
        await reporter.flush()

    assert host.numbers == [1.0]


async def test_at_most_two_are_told_in_a_second() -> None:
    host = Host()
    at: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        at.append(anyio.current_time())
        await host.hear(progress, total, message)

    reporter = Reporter(hear, start=0)
    async with anyio.create_task_group() as group:
        group.start_soon(reporter.run)
        for seq in range(1, 200):
            await reporter.tell(task(), event(seq, f"step {seq}"))
            await anyio.sleep(0.01)
        await reporter.flush()
        group.cancel_scope.cancel()

    assert len(at) >= 3
    assert all(after - before >= APART_SECONDS for before, after in pairwise(at))
    check(host)


@given(st.lists(st.tuples(st.text(max_size=300), st.sampled_from(list(EventType))), max_size=30))
async def test_whatever_happens_progress_keeps_the_rules(happened: list[tuple[str, EventType]]) -> None:
    host = Host()
    reporter = Reporter(host.hear, start=0, apart_seconds=0)
    for seq, (text, kind) in enumerate(happened, start=1):
        await reporter.tell(task(), event(seq, text, kind))
        if seq % 3 == 0:
            await reporter.flush()
    await reporter.flush()

    check(host)

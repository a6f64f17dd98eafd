"""Looking and waiting, which change nothing."""

import anyio
import anyio.lowlevel
import pytest

from northstar_mcp.errors import NotFound
from northstar_mcp.tasks.model import Event, Task
from northstar_mcp.tasks.screens import show
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.steering import pause
from northstar_mcp.tasks.watching import look, page, wait
from tests.tasks.conftest import Workshop

pytestmark = pytest.mark.anyio

LONG = "[steps=49] [step_seconds=0.1]"


async def test_a_wait_tells_every_event_in_order_and_ends_with_the_task(workshop: Workshop) -> None:
    async with workshop.open() as core:
        told: list[int] = []

        async def tell(task: Task, event: Event) -> None:
            told.append(event.seq)

        task = (await core.start("[steps=5]")).task
        waited = await wait(
            core.engine, [task.task_id], principal="local", seconds=9, since={task.task_id: 0}, tell=tell
        )
        (ended,) = waited.changed
        assert ended.state is State.COMPLETED
        assert told == list(range(1, ended.seq + 1))


async def test_a_wait_answers_the_first_of_several_that_changes(workshop: Workshop) -> None:
    async with workshop.open() as core:
        long = await core.started(LONG)
        short = (await core.start("[steps=2]")).task
        waited = await wait(core.engine, [long.task_id, short.task_id], principal="local", seconds=9)
        assert [task.task_id for task in waited.changed] == [short.task_id]
        assert [task.task_id for task in waited.waiting] == [long.task_id]


async def test_a_wait_is_bounded_and_an_aborted_one_leaves_the_task_alone(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        waited = await wait(core.engine, [task.task_id], principal="local", seconds=0)
        assert [t.task_id for t in waited.waiting] == [task.task_id]
        with anyio.move_on_after(0.05):
            await wait(core.engine, [task.task_id], principal="local", seconds=30)
        assert not (await core.task(task)).state.ended


async def test_a_wait_of_no_time_sees_what_has_ended(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.ended((await core.start("[steps=1]")).task)
        waited = await wait(core.engine, [task.task_id], principal="local", seconds=0)
        assert [t.task_id for t in waited.changed] == [task.task_id]


async def test_a_wait_behind_the_cursor_answers_at_once(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        seq = (await core.task(task)).seq
        await pause(core.engine, task.task_id, principal="local")
        waited = await wait(core.engine, [task.task_id], principal="local", seconds=30, since={task.task_id: seq})
        assert [t.state for t in waited.changed] == [State.PAUSED]


async def test_a_look_shows_the_newest_and_counts_the_rest(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.ended((await core.start("[steps=5]")).task)
        view = await look(core.engine, task.task_id, principal="local", most=3)
        assert [event.seq for event in view.events] == [task.seq - 2, task.seq - 1, task.seq]
        assert view.omitted == task.seq - 3
        assert (await look(core.engine, task.task_id, principal="local", since_seq=task.seq)).events == ()


async def test_pages_are_newest_first_and_end(workshop: Workshop) -> None:
    async with workshop.open() as core:
        tasks = [(await core.start(f"[steps=1] {number}")).task.task_id for number in range(3)]
        first, cursor = await page(core.engine, principal="local", limit=2)
        rest, end = await page(core.engine, principal="local", limit=2, before=cursor)
        assert [task.task_id for task in (*first, *rest)] == tasks[::-1]
        assert end is None
        assert await page(core.engine, principal="mallory") == ([], None)


async def test_the_newest_screenshot_has_bytes(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = (await core.start("[steps=2]")).task
        with pytest.raises(NotFound):
            await show(core.engine, task.task_id, principal="local")
        task = await core.ended(task)
        shot = await show(core.engine, task.task_id, principal="local")
        assert shot.screen.data is not None
        assert shot.screen.data.startswith(b"\x89PNG")
        assert shot.seq is not None
        again = await show(core.engine, task.task_id, principal="local", seq=shot.seq)
        assert again.screen.data == shot.screen.data
        with pytest.raises(NotFound, match="Event 1"):
            await show(core.engine, task.task_id, principal="local", seq=1)


async def test_the_screen_can_be_looked_at_live(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started(LONG)
        shot = await show(core.engine, task.task_id, principal="local", live=True)
        assert shot.seq is None
        assert shot.screen.data is not None

"""Pictures of a task: kept while their addresses are good, shown afterwards, and nothing waits for them."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest
from typing_extensions import override

from northstar_mcp.app import open_app
from northstar_mcp.errors import NotFound, PolicyRefused
from northstar_mcp.ledger import SqliteLedger, open_ledger
from northstar_mcp.ledger.sqlite import SystemClock
from northstar_mcp.settings import Settings
from northstar_mcp.simulator import Fault
from northstar_mcp.tasks import capturing
from northstar_mcp.tasks.engine import open_engine
from northstar_mcp.tasks.model import Event, EventType, Screen, Task
from northstar_mcp.tasks.ports import Agent
from northstar_mcp.tasks.screens import show
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.stopping import stop
from tests.simulator.visitor import Visitor
from tests.tasks.conftest import QUICK, Core, Workshop, slower
from tests.tasks.histories import Lightcone

pytestmark = pytest.mark.anyio

ANY = "/screens/*"


def fault(path: str = ANY, *, times: int = 1000, skip: int = 0, **deed: Any) -> Fault:
    return Fault.model_validate({"match": {"path": path}, "times": times, "skip": skip, "do": deed})


async def pictures(core: Core, task: Task) -> list[Event]:
    return [event for event in await core.events(task) if event.screen_url is not None]


async def kept(core: Core, task: Task) -> list[int]:
    """The events whose pictures are kept, in order."""
    found = []
    for event in await pictures(core, task):
        screen = await core.engine.ledger.last_screen(task.task_id, seq=event.seq)
        if screen is not None and screen[1].data is not None:
            found.append(event.seq)
    return found


async def until_kept(core: Core, task: Task, seq: int) -> None:
    """The fixture bounds the time."""
    while seq not in await kept(core, task):
        await anyio.lowlevel.checkpoint()


async def let_go(core: Core) -> None:
    """Until nothing is followed any more."""
    while core.engine.statistics().following:
        await anyio.lowlevel.checkpoint()


def fetched(core: Core) -> list[str]:
    """Which pictures Lightcone was asked for, and gave."""
    return [call.path for call in core.lightcone.journal.calls if call.path.startswith("/screens/") and not call.fault]


def files(workshop: Workshop) -> set[str]:
    place = workshop.folder / "screens"
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


# ---- kept in time


async def test_a_picture_is_kept_before_its_address_expires_and_shown_afterwards(workshop: Workshop) -> None:
    async with workshop.open(screenshot_url_seconds=1.5) as core:
        task = await core.started("[steps=2] [step_seconds=0.2]")
        task = await core.ended(task)
        last = (await pictures(core, task))[-1]
        await until_kept(core, task, last.seq)
        while (await core.lightcone.http.get(str(last.screen_url))).status_code != 403:
            await anyio.lowlevel.checkpoint()
        shot = await show(core.engine, task.task_id, principal="local")
        assert (shot.seq, shot.at) == (last.seq, last.at)
        assert shot.screen.data is not None
        assert shot.screen.data.startswith(b"\x89PNG")


async def test_every_picture_of_a_steady_task_is_kept_and_fetched_once(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.ended((await core.start("[steps=4] [step_seconds=0.3]")).task)
        await let_go(core)
        assert await kept(core, task) == [event.seq for event in await pictures(core, task)]
        assert len(fetched(core)) == len(set(fetched(core))) == 4
        await show(core.engine, task.task_id, principal="local")
        assert len(fetched(core)) == 4


async def test_a_restarted_process_fetches_what_is_missing_and_nothing_twice(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started("[steps=40] [step_seconds=0.1]")
        while len(await kept(core, task)) < 2:
            await anyio.lowlevel.checkpoint()
        before = await kept(core, task)
        async with workshop.engine(core.lightcone) as second:
            core.engine._group.cancel_scope.cancel()  # as a process that is told to end
            newest = (await pictures(second, task))[-1].seq
            await until_kept(second, task, newest)
            assert set(before) <= set(await kept(second, task))
            assert len(fetched(core)) == len(set(fetched(core)))


async def test_a_process_that_takes_a_task_over_keeps_the_newest_of_what_was_missed(workshop: Workshop) -> None:
    async with workshop.open(keep_screens=False, step_seconds=0.02) as core:
        task = await core.started("[steps=14] [step_seconds=0.02] [login at 13]")
        await core.until(task, State.NEEDS_INPUT)
        numbers = [event.seq for event in await pictures(core, task)]
        assert len(numbers) == 12
        core.engine._group.cancel_scope.cancel()
        async with workshop.engine(core.lightcone) as second:
            await until_kept(second, task, numbers[-8])
            assert await kept(second, task) == numbers[-8:]
            assert len(fetched(core)) == 8


async def test_a_picture_that_is_shown_before_it_was_kept_is_kept(workshop: Workshop) -> None:
    async with workshop.open() as core:
        core.lightcone.faults.add(fault(status=404))
        task = await core.ended((await core.start("[steps=1]")).task)
        await let_go(core)
        assert await kept(core, task) == []
        core.lightcone.faults.clear()
        shot = await show(core.engine, task.task_id, principal="local")
        assert await kept(core, task) == [shot.seq]


async def test_what_was_kept_is_shown_where_the_last_picture_is_lost(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started("[steps=3] [step_seconds=0.3]")
        while not await kept(core, task):
            await anyio.lowlevel.checkpoint()
        core.lightcone.faults.add(fault(status=403))
        task = await core.ended(task)
        await let_go(core)
        shot = await show(core.engine, task.task_id, principal="local")
        assert shot.seq == (await kept(core, task))[-1]
        last = (await pictures(core, task))[-1]
        assert last.seq != shot.seq
        with pytest.raises(NotFound, match="expired"):
            await show(core.engine, task.task_id, principal="local", seq=last.seq)


async def test_nothing_is_fetched_where_that_is_switched_off(workshop: Workshop) -> None:
    async with workshop.open(keep_screens=False) as core:
        task = await core.ended((await core.start("[steps=3]")).task)
        await let_go(core)
        assert fetched(core) == []
        await show(core.engine, task.task_id, principal="local")
        assert await kept(core, task) == []


# ---- the end


async def test_the_last_picture_is_kept_although_the_task_ends_before_it_has_come(workshop: Workshop) -> None:
    async with workshop.open() as core:
        core.lightcone.faults.add(fault(delay_seconds=0.4))
        task = await core.ended((await core.start("[steps=3]")).task)
        assert await kept(core, task) == []
        await let_go(core)
        assert (await pictures(core, task))[-1].seq in await kept(core, task)


async def test_the_last_picture_is_tried_again_while_its_host_stumbles(workshop: Workshop) -> None:
    async with workshop.open(timing=slower(first_retry_seconds=0.05)) as core:
        core.lightcone.faults.add(fault(status=503, times=5))
        task = await core.ended((await core.start("[steps=1]")).task)
        await let_go(core)
        assert await kept(core, task) == [(await pictures(core, task))[-1].seq]


async def test_a_process_that_ends_with_its_task_keeps_the_last_picture(workshop: Workshop) -> None:
    async with workshop.open() as core:
        core.lightcone.faults.add(fault(delay_seconds=0.2))
        task = await core.ended((await core.start("[steps=2]")).task)
        assert await kept(core, task) == []
        last = (await pictures(core, task))[-1]
    async with open_ledger(workshop.folder) as ledger:
        found = await ledger.last_screen(task.task_id)
    assert found is not None
    assert found[0] == last
    assert found[1].data is not None


async def test_a_process_that_ends_while_the_last_picture_is_on_its_way_keeps_it(workshop: Workshop) -> None:
    async with workshop.open() as core:
        core.lightcone.faults.add(fault(delay_seconds=0.5))
        task = await core.ended((await core.start("[steps=1] [step_seconds=0.2]")).task)
        while not core.engine.fetches.borrowed_tokens:
            await anyio.lowlevel.checkpoint()
        assert await kept(core, task) == []
    async with open_ledger(workshop.folder) as ledger:
        assert await ledger.last_screen(task.task_id, kept=True) is not None


async def test_a_stopped_tasks_last_picture_is_kept(workshop: Workshop) -> None:
    async with workshop.open() as core:
        task = await core.started("[steps=49] [step_seconds=0.1]")
        while not await pictures(core, task):
            await anyio.lowlevel.checkpoint()
        core.lightcone.faults.add(fault(delay_seconds=0.2))
        await stop(core.engine, task.task_id, principal="local")
        task = await core.ended(task)
        await let_go(core)
        assert (await pictures(core, task))[-1].seq in await kept(core, task)


# ---- nothing waits for it


async def test_a_host_that_never_answers_delays_neither_the_task_nor_the_closing(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capturing, "CLOSING_SECONDS", 0.1)
    async with workshop.open() as core:
        core.lightcone.faults.add(fault(delay_seconds=60))
        with anyio.fail_after(5):
            task = await core.ended((await core.start("[steps=20]")).task)
        assert task.state is State.COMPLETED
        assert len(await pictures(core, task)) == 20
    assert files(workshop) == set()


async def test_where_pictures_come_faster_than_they_are_fetched_the_newest_are_kept(workshop: Workshop) -> None:
    async with workshop.open() as core:
        core.lightcone.faults.add(fault(delay_seconds=0.3))
        task = await core.ended((await core.start("[steps=40] [step_seconds=0.02]")).task)
        await let_go(core)
        numbers = [event.seq for event in await pictures(core, task)]
        stood = await kept(core, task)
        assert numbers[-1] in stood
        assert 0 < len(stood) < len(numbers) / 2


async def test_many_tasks_share_a_few_fetches(workshop: Workshop) -> None:
    async with workshop.open() as core:
        core.lightcone.faults.add(fault(delay_seconds=0.05))
        tasks = [(await core.start(f"[steps=2] {number}")).task for number in range(20)]
        most = 0
        for task in tasks:
            while not (await core.task(task)).state.ended:
                most = max(most, core.engine.fetches.borrowed_tokens)
                await anyio.lowlevel.checkpoint()
        await let_go(core)
        assert 0 < most <= core.engine.fetches.total_tokens
        for task in tasks:
            assert (await pictures(core, task))[-1].seq in await kept(core, task)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"body": "RIFF0000WEBP" + "x" * 9_000_000}, id="nine megabytes"),
        pytest.param({"body": "<html>Sign in</html>"}, id="a page"),
        pytest.param({"body": ""}, id="nothing"),
        pytest.param({"body": "", "status": 302, "headers": {"location": "http://169.254.169.254/"}}, id="a redirect"),
        pytest.param({"body": "", "status": 500}, id="a failure"),
    ],
)
async def test_what_is_no_picture_is_not_kept_and_harms_nothing(workshop: Workshop, answer: dict[str, Any]) -> None:
    async with workshop.open() as core:
        core.lightcone.faults.add(fault(**{"status": 200, **answer}))
        task = (await core.start("[steps=2]")).task
        task = await core.ended(task)
        assert task.state is State.COMPLETED
        assert await kept(core, task) == []
    assert files(workshop) == set()


async def test_a_picture_in_a_size_that_nobody_could_open_is_kept_as_bytes_only(workshop: Workshop) -> None:
    bomb = "RIFF0000WEBPVP8X" + "x" * 100  # begins as a picture and is none
    async with workshop.open() as core:
        core.lightcone.faults.add(fault(status=200, body=bomb))
        task = await core.ended((await core.start("[steps=1]")).task)
        await let_go(core)
        shot = await show(core.engine, task.task_id, principal="local")
        assert shot.screen.data == bomb.encode()  # server/pictures.py judges it


class Odd(Lightcone):
    """A Lightcone whose pictures cannot be fetched, for whatever reason."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.asked = 0

    @override
    async def fetch(self, url: str) -> Screen:
        self.asked += 1
        raise self.error


@pytest.mark.parametrize("error", [PolicyRefused("Not from there."), RuntimeError("https://secret/")])
async def test_a_picture_that_may_not_be_fetched_is_asked_for_once_and_ends_nothing(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    lightcone = Odd(error)

    async def agent() -> Agent:
        return lightcone

    with anyio.fail_after(10):
        async with (
            open_ledger(tmp_path) as ledger,
            open_engine(ledger=ledger, feed=ledger, agent=agent, clock=SystemClock(), timing=QUICK) as engine,
        ):
            core = Core(engine, cast("Visitor", None))  # there is no simulator behind it
            task = await core.started("Look")
            upstream = lightcone.tasks["up0"]
            frame = replace(
                upstream.frames[-1], type=EventType.SCREENSHOT, happening=None, upstream_id=f"{upstream.name}-2"
            )
            upstream.frames.append(replace(frame, screen=Screen(url="https://secret/")))
            upstream.wake()
            while not lightcone.asked:
                await anyio.lowlevel.checkpoint()
            lightcone.end(upstream, State.COMPLETED)
            assert (await core.ended(task)).state is State.COMPLETED
            await let_go(core)
    assert lightcone.asked == 1
    assert "secret" not in caplog.text


async def test_what_the_operator_set_reaches_those_who_keep(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, keep_screenshots="off", screenshots_megabytes=3)
    async with open_app(settings) as engine:
        assert not engine.keep_screens
        assert isinstance(engine.ledger, SqliteLedger)
        assert engine.ledger._screens_bytes == 3 * 1024 * 1024
    async with open_app(Settings(data_dir=tmp_path)) as engine:
        assert engine.keep_screens

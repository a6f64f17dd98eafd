"""The soak: many tasks at once over the real engine, with faults on, for so long that what is not given back would show.

    python -m tests.faults.soak --minutes 5 --tasks 200

Two processes. This one is Lightcone: the simulator, with seeded dice for the fault of each request. The engine (real ledger, real
client) runs in a process of its own, so that memory, descriptors and threads are its alone; every second it says what it holds.
Afterwards the ledger and the simulator's own record are compared: each task was started once, and ended once.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import ByteReceiveStream
from pydantic import SecretStr
from typing_extensions import override

from northstar_mcp.app import open_app
from northstar_mcp.errors import NorthstarError, WrongState
from northstar_mcp.ledger import SqliteLedger, open_ledger
from northstar_mcp.settings import Settings
from northstar_mcp.simulator import Deed, Faults, Journal, SimulatorSettings, running
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import Event, EventType, Task, TaskRequest
from northstar_mcp.tasks.starting import start
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.steering import inject, pause, resume
from northstar_mcp.tasks.stopping import stop
from northstar_mcp.tasks.watching import find, wait
from tests.faults.witness import of_the_events

KEPT_CONNECTIONS: Final = 20  # idle ones, which the client keeps for later requests
GROWTH: Final = 0.1  # of the memory, from the plateau to the end
WAVES: Final = 4  # the first tasks come in so many waves, a second apart
_SETTLE_SECONDS: Final = 60.0  # from the last start to the last end
_SAMPLE_SECONDS: Final = 1.0
_KEPT: Final = 1_000_000  # of everything: the simulator's record is the witness
_ROOT: Final = Path(__file__).parents[2]
_PRINCIPAL: Final = "local"
_BEFORE, _OPEN, _BUSY, _ENDING, _IDLE, _AFTER = "before", "open", "busy", "ending", "idle", "after"
_BEGUN_AT: Final = time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done to the engine.

    Attributes:
        seconds: For how long a task that ended is followed by a new one.
        steps: How many a task takes at most; four frames come in each.
    """

    tasks: int = 200
    seconds: float = 300.0
    steps: int = 9
    step_seconds: float = 4.0
    seed: int = 20261121


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the engine's process held at one moment.

    Attributes:
        phase: "before" there was an engine, "open" before the first task, "busy", "ending" where no new task begins, "idle" once
            the last has ended, "after" the engine was closed.
    """

    phase: str
    seconds: float
    rss_mib: float
    descriptors: int
    threads: int
    ended: int = 0
    unfinished: int = 0
    followers: int = 0
    watches: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it. `lost`: a sentence for whatever does not hold of a task."""

    samples: list[Sample]
    states: Counter[str]
    faults: Counter[str]
    lost: list[str]
    events: int
    gaps: int

    def at(self, phase: str) -> Sample:
        """The last sample of a phase."""
        return [sample for sample in self.samples if sample.phase == phase][-1]

    @property
    def plateau_mib(self) -> float:
        """Memory in the middle third of the time in which it was busy."""
        return self._memory(1 / 3, 2 / 3)

    @property
    def end_mib(self) -> float:
        """Memory in the last tenth of that time."""
        return self._memory(0.9, 1.0)

    @property
    def growth(self) -> float:
        """From the plateau to the end; 0.1 is a tenth."""
        return self.end_mib / self.plateau_mib - 1

    def left_behind(self, *, growth: float) -> list[str]:
        """What was not given back, a sentence each. `growth`: how much of memory may be."""
        before, opened, idle, after = self.at(_BEFORE), self.at(_OPEN), self.at(_IDLE), self.at(_AFTER)
        kept = opened.descriptors + KEPT_CONNECTIONS
        found = [
            (idle.followers > 0, f"{idle.followers} followers"),
            (idle.watches > 0, f"{idle.watches} watches"),
            (idle.descriptors > kept, f"{idle.descriptors} descriptors, where {kept} may be"),
            (after.descriptors > before.descriptors, f"{after.descriptors - before.descriptors} descriptors for good"),
            (after.threads > before.threads, f"{after.threads - before.threads} threads for good"),
            (self.growth > growth, f"{self.growth:.0%} of memory above the plateau"),
        ]
        return [words for is_so, words in found if is_so]

    def _memory(self, first: float, last: float) -> float:
        busy = [sample for sample in self.samples if sample.phase == _BUSY]
        until = busy[-1].seconds
        return statistics.median(sample.rss_mib for sample in busy if first * until <= sample.seconds <= last * until)


async def soak(plan: Plan, folder: Path, *, tell: Callable[[Sample], None] = lambda _: None) -> Report:
    """Run it. Each sample is told as it comes."""
    journal, dice = Journal(kept=_KEPT), Dice(plan.seed)
    settings = SimulatorSettings(
        step_seconds=plan.step_seconds, max_computers=plan.tasks * 5, kept_tasks=_KEPT, kept_journal_entries=_KEPT
    )
    samples: list[Sample] = []
    async with running(settings, journal=journal, faults=dice) as url:
        told = json.dumps({"url": url, "folder": str(folder), "plan": asdict(plan)})
        command = [sys.executable, "-m", "tests.faults.soak", "--engine", told]
        with anyio.fail_after(plan.seconds + _SETTLE_SECONDS + 30):
            async with await anyio.open_process(command, stderr=None, cwd=_ROOT) as process:
                assert process.stdout is not None
                async for line in _lines(process.stdout):
                    samples.append(Sample(**json.loads(line)))
                    tell(samples[-1])
                assert await process.wait() == 0
    return await _report(folder, journal, dice, samples)


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in stream:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line


# ---- Lightcone's side: the dice, and the comparison


def _deeds(*weighted: tuple[int, dict[str, Any]]) -> list[Deed]:
    return [Deed.model_validate(deed) for weight, deed in weighted for _ in range(weight)]


class Dice(Faults):
    """A fault for some of the requests, by chance. None of them refuses a start for good: each task must be started once."""

    SHARE: Final = 0.2
    _STREAM: Final = [Deed(drop="after_frames", count=count) for count in (0, 1, 2, 3, 5, 8, 13, 21)]
    _START: Final = _STREAM + _deeds(
        (4, {"drop": "before_request"}),
        (2, {"drop": "before_response"}),
        (4, {"status": 503}),
        (2, {"status": 503, "processed": True}),
        (2, {"delay_seconds": 1}),
    )
    _REATTACH: Final = _STREAM + _deeds((2, {"drop": "before_request"}), (2, {"status": 503}), (2, {"status": 429}))
    _STEER: Final = _deeds(
        (2, {"drop": "before_request"}),
        (2, {"drop": "before_response"}),
        (2, {"status": 500}),
        (1, {"status": 502, "processed": True}),
        (1, {"status": 200, "body": "<html>Sign in</html>", "headers": {"content-type": "text/html"}}),
        (1, {"delay_seconds": 1}),
    )
    _ASK: Final = _STEER + _deeds(
        (1, {"status": 200, "body": {"status": "running"}}),
    )

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rolled: Counter[str] = Counter()
        self._dice = random.Random(seed)

    @override
    def take(self, method: str, path: str) -> Deed | None:
        kind, deeds = ("ask", self._ASK) if method == "GET" else ("steer", self._STEER)
        if path.endswith("/stream"):
            kind, deeds = ("start", self._START) if method == "POST" else ("reattach", self._REATTACH)
        self.rolled[f"{kind}, asked"] += 1
        if self._dice.random() >= self.SHARE:
            return None
        deed = self._dice.choice(deeds)
        self.rolled[f"{kind}, faults"] += 1
        return deed


async def _report(folder: Path, journal: Journal, dice: Dice, samples: list[Sample]) -> Report:
    begun = Counter(start.idempotency_key for start in journal.starts if not start.reused)
    states, lost, events_count, gaps = Counter[str](), list[str](), 0, 0
    async with open_ledger(folder) as ledger:
        async for task in _all_tasks(ledger):
            events = list(await ledger.events(task.task_id))
            states[task.state] += 1
            events_count += len(events)
            gaps += sum(event.type is EventType.GAP for event in events)
            starts = begun.pop(task.idempotency_key, 0)
            lost += [f"{task.request.instruction}: {fault}" for fault in _faults_of(task, events, starts, journal)]
    lost += [f"{key}: the ledger does not know it" for key in begun]
    return Report(samples=samples, states=states, faults=dice.rolled, lost=lost, events=events_count, gaps=gaps)


async def _all_tasks(ledger: SqliteLedger) -> AsyncIterator[Task]:
    before: str | None = None
    while page := await ledger.page(_PRINCIPAL, states=None, limit=200, before=before):
        for task in page:
            yield task
        before = page[-1].task_id


def _faults_of(task: Task, events: list[Event], starts: int, journal: Journal) -> list[str]:
    """What does not hold of it, a sentence each."""
    if starts != 1:
        return [f"it was started {starts} times, and is {task.state}"]
    found = [] if task.state.ended else [f"it never ended: {task.state}"]
    if [event.seq for event in events] != list(range(1, task.seq + 1)):
        found.append("its events are not numbered without gaps")
    if task.result is not None and task.result not in task.request.instruction and task.stopping is None:
        found.append(f"its result is {task.result!r}")
    ends = sum(event.type in _ENDS for event in events)
    if ends != 1:
        found.append(f"it ended {ends} times")
    return found + of_the_events(task, events, journal.frame_types(str(task.northstar_task_id)))


_ENDS: Final = frozenset(
    {
        EventType.COMPLETED,
        EventType.FAILED,
        EventType.STOPPED,
        EventType.OUT_OF_STEPS,
        EventType.OUT_OF_TIME,
        EventType.LOST,
    }
)


# ---- the engine's side, in a process of its own


class Load:
    """Callers without end: each hands a task over, does something to it, waits for its end, and begins anew."""

    _ODDITIES: Final = ("[login at 2]", "[crash at 3]", "[fail at 3]", "[error at 2]", "[unknown at 2]")

    def __init__(self, engine: Engine, plan: Plan) -> None:
        self._engine = engine
        self._plan = plan
        self._begun = 0
        self.ended = 0
        self.unfinished = 0
        self.is_over = False
        self._acts = (self._tell, self._hold, self._give_up_waiting, self._stop)

    async def run(self) -> None:
        """Until the time is up and every task has ended."""
        until = anyio.current_time() + self._plan.seconds
        with self._engine.feed.watch():  # a subscriber to everything who never comes for it
            async with anyio.create_task_group() as group:
                for caller in range(self._plan.tasks):
                    group.start_soon(self._call, caller, until)

    async def _call(self, caller: int, until: float) -> None:
        dice = random.Random(f"{self._plan.seed} {caller}")
        await anyio.sleep(caller * WAVES // self._plan.tasks)
        while anyio.current_time() < until:
            self.unfinished += 1
            task = await self._start(dice)
            if dice.random() < 0.5:
                await dice.choice(self._acts)(task, dice)
            await self._see_the_end(task)
            self.unfinished -= 1
            self.ended += 1
        self.is_over = True

    async def _start(self, dice: random.Random) -> Task:
        self._begun += 1
        number, steps = self._begun, dice.randint(3, self._plan.steps)
        odd = dice.choice(self._ODDITIES) if dice.random() < 0.5 else ""
        words = f"Task {number}. [steps={steps}] [result=Done {number}.] {odd}"
        request = TaskRequest(
            instruction=words.strip(),
            max_steps=50,
            max_duration_seconds=300,
            screenshot_mode="base64" if dice.random() < 0.1 else "url",
        )
        return (await start(self._engine, request, principal=_PRINCIPAL)).task

    async def _see_the_end(self, task: Task) -> None:
        seq = task.seq
        while not task.state.ended:
            waited = await wait(
                self._engine, [task.task_id], principal=_PRINCIPAL, seconds=20, since={task.task_id: seq}
            )
            (task,) = (*waited.changed, *waited.waiting)
            seq = task.seq
            if task.state in {State.NEEDS_INPUT, State.PAUSED}:
                await self._insist(resume, task)

    async def _insist(self, ask: Callable[..., Awaitable[object]], task: Task) -> None:
        """Ask until it is done; Lightcone fails often enough here."""
        while True:
            try:
                await ask(self._engine, task.task_id, principal=_PRINCIPAL)
            except WrongState:
                return
            except NorthstarError:
                await anyio.sleep(0.5)
            else:
                return

    async def _tell(self, task: Task, dice: random.Random) -> None:
        await anyio.sleep(dice.uniform(0, 3) * self._plan.step_seconds)
        with suppress(NorthstarError):
            await inject(self._engine, task.task_id, "Keep to the list.", principal=_PRINCIPAL)

    async def _hold(self, task: Task, dice: random.Random) -> None:
        await anyio.sleep(dice.uniform(0, 3) * self._plan.step_seconds)
        with suppress(NorthstarError):
            await pause(self._engine, task.task_id, principal=_PRINCIPAL)
        await anyio.sleep(dice.uniform(0, 1) * self._plan.step_seconds)
        if not (await find(self._engine, task.task_id, principal=_PRINCIPAL)).state.ended:
            await self._insist(resume, task)

    async def _give_up_waiting(self, task: Task, dice: random.Random) -> None:
        for _ in range(3):
            with anyio.move_on_after(dice.uniform(0, 1)):
                await wait(self._engine, [task.task_id], principal=_PRINCIPAL, seconds=20)

    async def _stop(self, task: Task, dice: random.Random) -> None:
        await anyio.sleep(dice.uniform(0, 3) * self._plan.step_seconds)
        with suppress(NorthstarError):
            await stop(self._engine, task.task_id, principal=_PRINCIPAL)


async def _work(url: str, folder: str, plan: Plan) -> None:
    settings = Settings(
        api_key=SecretStr("sk_soak"),
        base_url=url,
        data_dir=Path(folder),
        stall_seconds=5,
        stopping_seconds=3,
        first_retry_seconds=0.2,
        last_retry_seconds=2,
        settle_seconds=5,
    )
    async with open_app(settings) as engine:
        load = Load(engine, plan)
        _say(_OPEN, engine, load)
        async with anyio.create_task_group() as group:
            group.start_soon(_say_again_and_again, engine, load)
            await load.run()
            group.cancel_scope.cancel()
        with anyio.fail_after(10):
            while engine.statistics().following:  # noqa: ASYNC110 - a follower gives its lease back after the end
                await anyio.sleep(0.05)
        _say(_IDLE, engine, load)


async def _say_again_and_again(engine: Engine, load: Load) -> None:
    while True:
        await anyio.sleep(_SAMPLE_SECONDS)
        _say(_ENDING if load.is_over else _BUSY, engine, load)


def _say(phase: str, engine: Engine | None = None, load: Load | None = None) -> None:
    """One line on standard output."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    sample = Sample(
        phase=phase,
        seconds=round(time.monotonic() - _BEGUN_AT, 1),
        rss_mib=round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        threads=threading.active_count(),
        ended=load.ended if load else 0,
        unfinished=load.unfinished if load else 0,
        followers=len(engine.statistics().following) if engine else 0,
        watches=engine.ledger.statistics().watches if engine and isinstance(engine.ledger, SqliteLedger) else 0,
    )
    print(json.dumps(asdict(sample)), flush=True)


def _be_the_engine(told: str) -> None:
    facts = json.loads(told)
    _say(_BEFORE)
    anyio.run(_work, facts["url"], facts["folder"], Plan(**facts["plan"]))
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        thread.join(5)  # the event loop has told its workers to end and does not wait for it
    _say(_AFTER)


# ---- the command line

_COLUMNS: Final = tuple(column.name for column in fields(Sample))


def _show(sample: Sample) -> None:
    print("".join(f"{getattr(sample, name):>12}" for name in _COLUMNS), flush=True)


def _show_report(report: Report) -> None:
    print(f"memory: plateau {report.plateau_mib:.1f} MiB, end {report.end_mib:.1f} MiB ({report.growth:+.1%})")
    print(f"tasks:  {report.states.total()}: {dict(report.states)}, {report.events} events, {report.gaps} gaps told")
    print(f"faults: {dict(report.faults)}")
    left = report.left_behind(growth=GROWTH)
    print(f"left behind: {len(left)}", *left, sep="\n        ")
    print(f"lost:   {len(report.lost)}", *report.lost[:20], sep="\n        ")


def main() -> None:
    """Read the command line and run it; the exit code is 1 where something was lost or left behind."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description="Many tasks at once, for long.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--step-seconds", type=float, default=4)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--every", type=int, default=10, help="seconds between two lines of the table")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.engine:
        _be_the_engine(given.engine)
        return
    plan = Plan(tasks=given.tasks, seconds=given.minutes * 60, step_seconds=given.step_seconds, seed=given.seed)
    shown = -given.every

    def tell(sample: Sample) -> None:
        nonlocal shown
        if sample.phase != _BUSY or sample.seconds >= shown + given.every:
            shown = sample.seconds
            _show(sample)

    print("".join(f"{name:>12}" for name in _COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        report = anyio.run(partial(soak, plan, Path(folder) / "data", tell=tell))
    _show_report(report)
    sys.exit(bool(report.lost or report.left_behind(growth=GROWTH)))


if __name__ == "__main__":
    main()

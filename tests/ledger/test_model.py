"""Random sequences against a ledger and against a plain dictionary: the two must agree."""

import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from northstar_mcp.ledger import SqliteLedger, open_ledger
from northstar_mcp.tasks.model import Event, Lease, Task
from northstar_mcp.tasks.ports import LeaseLost, Moved
from northstar_mcp.tasks.states import State

from .builders import LONG_AGO, a_step, a_task, at

IDS = ("task_0", "task_1", "task_2")


@dataclass
class Model:
    """What a ledger should hold. Leases never run out by time here; 0 seconds means that it has run out at once."""

    tasks: dict[str, Task] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    leases: dict[str, tuple[str | None, int, bool]] = field(default_factory=dict)

    def repeated(self, task: Task) -> Task | None:
        found = [
            other
            for other in self.tasks.values()
            if other.fingerprint == task.fingerprint and not other.state.ended and other.created_at >= LONG_AGO
        ]
        return max(found, key=lambda other: other.created_at, default=None)

    def acquire(self, task_id: str, holder: str, lasts: bool) -> int | None:
        owner, token, stands = self.leases.get(task_id, (None, 0, False))
        if owner != holder:
            if owner is not None and stands:
                return None
            token += 1
        self.leases[task_id] = (holder, token, lasts)
        return token

    def holds(self, lease: Lease) -> bool:
        return self.leases[lease.task_id][:2] == (lease.holder, lease.token)


ids = st.sampled_from(IDS)
holders = st.sampled_from(["one", "two"])
moves = st.one_of(
    st.tuples(st.just("add"), ids, st.sampled_from(["x", "y"])),
    st.tuples(st.just("record"), ids, st.integers(0, 3), st.sampled_from([None, State.RUNNING, State.COMPLETED])),
    st.tuples(st.just("stale"), ids),
    st.tuples(st.just("acquire"), ids, holders, st.booleans()),
    st.tuples(st.just("record_leased"), ids, st.integers(0, 5)),
    st.tuples(st.just("release"), ids, st.integers(0, 5)),
    st.tuples(st.just("reopen")),
)


class Run:
    """One sequence."""

    def __init__(self, ledger: SqliteLedger, model: Model) -> None:
        self.ledger = ledger
        self.model = model
        self.given_out: list[Lease] = []

    async def add(self, task_id: str, fingerprint: str) -> None:
        created_at: datetime = at(len(self.model.tasks))
        task = a_task(task_id, fingerprint=fingerprint, created_at=created_at)
        expected = self.model.repeated(task)
        if expected is None and task_id in self.model.tasks:
            return
        assert await self.ledger.add(task, repeats_since=LONG_AGO) == (expected or task)
        if expected is None:
            self.model.tasks[task_id] = task
            self.model.events[task_id] = []

    async def record(self, task_id: str, count: int, state: State | None, lease: Lease | None = None) -> None:
        if (task := self.model.tasks.get(task_id)) is None:
            return
        change = a_step(task, count=count, state=state, lease=lease)
        try:
            await self.ledger.record(change)
        except LeaseLost:
            assert lease is not None
            assert not self.model.holds(lease)
            return
        assert lease is None or self.model.holds(lease)
        self.model.tasks[task_id] = change.task
        self.model.events[task_id] += change.events

    async def stale(self, task_id: str) -> None:
        if (task := self.model.tasks.get(task_id)) is None or task.revision == 0:
            return
        old = a_task(task_id, fingerprint=task.fingerprint, created_at=task.created_at)
        try:
            await self.ledger.record(a_step(old, count=1))
        except Moved:
            return
        raise AssertionError("a change decided on an old revision was written")

    async def acquire(self, task_id: str, holder: str, lasts: bool) -> None:
        if task_id not in self.model.tasks:
            return
        lease = await self.ledger.acquire(task_id, holder=holder, seconds=3600 if lasts else 0)
        assert (lease and lease.token) == self.model.acquire(task_id, holder, lasts)
        if lease is not None:
            self.given_out.append(lease)

    async def record_leased(self, task_id: str, which: int) -> None:
        of_task = [lease for lease in self.given_out if lease.task_id == task_id]
        if of_task:
            await self.record(task_id, 1, None, of_task[which % len(of_task)])

    async def release(self, task_id: str, which: int) -> None:
        of_task = [lease for lease in self.given_out if lease.task_id == task_id]
        if of_task:
            lease = of_task[which % len(of_task)]
            await self.ledger.release(lease)
            if self.model.holds(lease):
                self.model.leases[task_id] = (None, lease.token, False)

    async def compare(self) -> None:
        for task_id in IDS:
            assert await self.ledger.get(task_id) == self.model.tasks.get(task_id)
            assert await self.ledger.events(task_id) == self.model.events.get(task_id, [])
        tasks = sorted(self.model.tasks.values(), key=lambda task: task.created_at)
        assert await self.ledger.unfinished() == [task.task_id for task in tasks if not task.state.ended]
        assert await self.ledger.page("ann", states=None, limit=9, before=None) == tasks[::-1]


async def play(folder: Path, sequence: list[tuple[object, ...]]) -> None:
    model = Model()
    given_out: list[Lease] = []
    # Each opening takes up to the next "reopen".
    while True:
        async with open_ledger(folder) as ledger:
            run = Run(ledger, model)
            run.given_out = given_out
            while sequence and sequence[0][0] != "reopen":
                name, *arguments = sequence.pop(0)
                await getattr(run, str(name))(*arguments)
            await run.compare()
        if not sequence:
            return
        sequence.pop(0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(moves, max_size=25))
def test_a_ledger_holds_what_a_dictionary_would(sequence: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(play, Path(folder) / "data", list(sequence))

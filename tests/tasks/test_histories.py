"""Random histories of tasks (start, events, pause, resume, message, stop, abort, break, restart) against a plain model.

`NORTHSTAR_EXAMPLES=2000` makes it as many histories as that.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from typing_extensions import override

from northstar_mcp.errors import WrongState
from northstar_mcp.ledger import open_ledger
from northstar_mcp.ledger.sqlite import SystemClock
from northstar_mcp.tasks.engine import Engine, open_engine
from northstar_mcp.tasks.model import LOCAL, EventType, ReceiptState, Task, TaskRequest
from northstar_mcp.tasks.starting import start
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.steering import Steered, inject, pause, resume
from northstar_mcp.tasks.stopping import stop
from tests.tasks.conftest import slower
from tests.tasks.histories import Lightcone, Upstream

EXAMPLES = int(os.environ.get("NORTHSTAR_EXAMPLES", "100"))
TIMING = slower(first_retry_seconds=0.005, last_retry_seconds=0.01, sweep_seconds=0.02, settle_seconds=0.05)
TASKS = st.integers(min_value=0, max_value=2)


@asynccontextmanager
async def _engine(folder: Path, lightcone: Lightcone) -> AsyncIterator[Engine]:
    async def agent() -> Lightcone:
        return lightcone

    async with (
        open_ledger(folder) as ledger,
        open_engine(ledger=ledger, feed=ledger, agent=agent, clock=SystemClock(), timing=TIMING, account="a") as engine,
    ):
        yield engine


class Histories(RuleBasedStateMachine):
    """The model: `expected` holds the state that each of our tasks must be in, `ends` what it was when it had ended."""

    tasks = Bundle("tasks")

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._portal_manager = start_blocking_portal()
        self._portal = self._portal_manager.__enter__()
        self._lightcone = Lightcone()
        self.expected: dict[str, State] = {}
        self.ends: dict[str, Task] = {}
        self.sent: dict[str, list[ReceiptState]] = {}
        self._open()

    def _open(self) -> None:
        self._engine_manager = self._portal.wrap_async_context_manager(
            _engine(Path(self._folder.name), self._lightcone)
        )
        self._engine = self._engine_manager.__enter__()

    @override
    def teardown(self) -> None:
        self._engine_manager.__exit__(None, None, None)
        self._portal_manager.__exit__(None, None, None)
        self._folder.cleanup()

    # ---- what happens

    @rule(target=tasks, number=TASKS, has_key=st.booleans())
    def start(self, number: int, *, has_key: bool) -> Any:
        """Ask for one of a few pieces of work: again where it was asked for before."""
        key = f"key {number}" if has_key else None
        request = TaskRequest(instruction=f"work {number}, {key}", max_steps=1000, max_duration_seconds=600)
        equal = [task for task in self._all() if task.request.instruction == request.instruction]
        standing = next((task for task in equal if has_key or not task.state.ended), None)
        started = self._portal.call(lambda: start(self._engine, request, principal=LOCAL, caller_key=key))
        assert started.reused is (standing is not None)
        task_id = started.task.task_id
        if standing is not None:
            assert task_id == standing.task_id
            return multiple()
        self.expected[task_id] = State.RUNNING
        self.sent[task_id] = []
        self._portal.call(self._settled, task_id, State.RUNNING)
        return task_id

    @rule(task_id=tasks)
    def act(self, task_id: str) -> None:
        up = self._up(task_id)
        if up.state is State.RUNNING:
            self._portal.call(self._lightcone.act, up)
            self._turn(task_id, ReceiptState.ACCEPTED, ReceiptState.PICKED_UP)

    @rule(task_id=tasks)
    def park(self, task_id: str) -> None:
        up = self._up(task_id)
        if up.state is State.RUNNING:
            self._portal.call(self._lightcone.park, up)
            self.expected[task_id] = State.NEEDS_INPUT

    @rule(task_id=tasks, state=st.sampled_from([State.COMPLETED, State.FAILED]))
    def end(self, task_id: str, state: State) -> None:
        up = self._up(task_id)
        if not up.state.ended:
            self._portal.call(self._lightcone.end, up, state)
            self._ended(task_id, state)

    @rule(task_id=tasks)
    def cut(self, task_id: str) -> None:
        self._portal.call(self._lightcone.cut, self._up(task_id))

    @rule(task_id=tasks, times=st.integers(1, 2))
    def pause(self, task_id: str, times: int) -> None:
        for _ in range(times):
            if self._steer(task_id, pause) and self.expected[task_id] is State.RUNNING:
                self.expected[task_id] = State.PAUSED

    @rule(task_id=tasks, times=st.integers(1, 2))
    def resume(self, task_id: str, times: int) -> None:
        for _ in range(times):
            was = self.expected[task_id]
            if self._steer(task_id, resume):
                self.expected[task_id] = State.RUNNING
                if was is State.NEEDS_INPUT:
                    self.sent[task_id].append(ReceiptState.QUEUED)  # that it shall look at the screen again
                if was in (State.PAUSED, State.NEEDS_INPUT):
                    self._turn(task_id, ReceiptState.QUEUED, ReceiptState.ACCEPTED)

    @rule(task_id=tasks)
    def say(self, task_id: str) -> None:
        def tell(engine: Engine, task_id: str, *, principal: str) -> Awaitable[Steered]:
            return inject(engine, task_id, "hello", principal=principal)

        if self._steer(task_id, tell):
            paused = self.expected[task_id] in (State.PAUSED, State.NEEDS_INPUT)
            self.sent[task_id].append(ReceiptState.QUEUED if paused else ReceiptState.ACCEPTED)

    @rule(task_id=tasks)
    def give_up_a_pause(self, task_id: str) -> None:
        """The call is aborted before it is answered; what was begun is done."""
        if self.expected[task_id].ended:
            return

        async def abort() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: pause(self._engine, task_id, principal=LOCAL))
                while self._lightcone.tasks[self._name(task_id)].state is State.RUNNING:
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()

        self._portal.call(abort)
        if self.expected[task_id] is State.RUNNING:
            self.expected[task_id] = State.PAUSED

    @rule(task_id=consumes(tasks))
    def stop(self, task_id: str) -> None:
        """Its computer is the task's own, and taken away. Twice is harmless."""
        for _ in range(2):
            stopped = self._portal.call(lambda: stop(self._engine, task_id, principal=LOCAL))
            assert stopped.confirmed
        if not self.expected[task_id].ended:
            self._ended(task_id, State.STOPPED)

    @rule()
    def restart(self) -> None:
        """The process ends and another begins on the same ledger."""
        self._engine_manager.__exit__(None, None, None)
        self._open()

    # ---- what must be so

    @invariant()
    def each_task_was_started_once(self) -> None:
        for task in self._all():
            assert self._lightcone.keys[task.idempotency_key] in self._lightcone.tasks
        assert len(self._lightcone.keys) == len(self._lightcone.tasks) == len(self.expected)

    @invariant()
    def the_record_is_the_model(self) -> None:
        for task_id, expected in self.expected.items():
            task = self._portal.call(self._settled, task_id, expected)
            events = self._portal.call(partial(self._engine.ledger.events, task_id))
            up = self._lightcone.tasks[str(task.northstar_task_id)]
            assert task.state is expected
            assert [event.seq for event in events] == list(range(1, task.seq + 1))
            assert [e.upstream_id for e in events if e.upstream_id] == [frame.upstream_id for frame in up.frames]
            assert task.steps == up.steps
            assert (task.result is not None) is (expected is State.COMPLETED)
            assert not [event for event in events if event.type is EventType.GAP]
            receipts = self._portal.call(partial(self._engine.ledger.receipts, task_id))
            assert [receipt.state for receipt in receipts] == self.sent[task_id]

    @invariant()
    def an_end_is_never_left(self) -> None:
        for task in self._all():
            if task.state.ended:
                assert self.ends.setdefault(task.task_id, task) == task

    # ---- how it is looked at

    async def _settled(self, task_id: str, expected: State) -> Task:
        """The task, as soon as all that was sent is on record."""
        with anyio.fail_after(10), self._engine.feed.watch(task_id) as watch:
            while True:
                task = await self._engine.ledger.get(task_id)
                assert task is not None
                up = self._lightcone.tasks.get(str(task.northstar_task_id))
                last = up.frames[-1].upstream_id if up is not None else ""
                if task.state is expected and task.last_upstream_id == last:
                    return task
                await watch.changed()

    def _all(self) -> list[Task]:
        return list(self._portal.call(lambda: self._engine.ledger.page(LOCAL, states=None, limit=1000, before=None)))

    def _name(self, task_id: str) -> str:
        return self._lightcone.keys[f"northstar-mcp-{task_id}"]

    def _up(self, task_id: str) -> Upstream:
        return self._lightcone.tasks[self._name(task_id)]

    def _steer(self, task_id: str, turn: Callable[..., Awaitable[Steered]]) -> bool:
        """Whether it was taken; an ended task refuses it."""
        try:
            self._portal.call(lambda: turn(self._engine, task_id, principal=LOCAL))
        except WrongState:
            assert self.expected[task_id].ended
            return False
        assert not self.expected[task_id].ended
        return True

    def _turn(self, task_id: str, old: ReceiptState, new: ReceiptState) -> None:
        self.sent[task_id] = [new if state is old else state for state in self.sent[task_id]]

    def _ended(self, task_id: str, state: State) -> None:
        self.expected[task_id] = state
        self._turn(task_id, ReceiptState.QUEUED, ReceiptState.TOO_LATE)
        self._turn(task_id, ReceiptState.ACCEPTED, ReceiptState.TOO_LATE)


Histories.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestHistories = Histories.TestCase

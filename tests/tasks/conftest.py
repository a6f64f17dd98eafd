"""A workshop for the core: a real ledger, the real Lightcone client, and a simulator behind it, all in this process."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from northstar_mcp.ledger import open_ledger
from northstar_mcp.ledger.sqlite import SystemClock
from northstar_mcp.lightcone.agent import LightconeAgent
from northstar_mcp.lightcone.client import LightconeClient
from northstar_mcp.tasks.engine import Engine, open_engine
from northstar_mcp.tasks.model import Event, EventType, Task, TaskRequest
from northstar_mcp.tasks.policy import Policy
from northstar_mcp.tasks.ports import Agent
from northstar_mcp.tasks.starting import Started, start
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.timing import Timing
from northstar_mcp.tasks.watching import wait
from tests.simulator.visitor import Visitor, visiting

QUICK = Timing(
    lease_seconds=2,
    renew_seconds=0.2,
    sweep_seconds=0.1,
    stall_seconds=0.3,
    first_retry_seconds=0.02,
    last_retry_seconds=0.1,
    grace_seconds=0.2,
    settle_seconds=0.2,
    naming_seconds=0.3,
    stopping_seconds=0.5,
)


@dataclass
class Core:
    """An engine, and the Lightcone that it speaks to."""

    engine: Engine
    lightcone: Visitor

    async def start(self, instruction: str, *, key: str | None = None, **more: Any) -> Started:
        request = TaskRequest(**{"instruction": instruction, "max_steps": 50, "max_duration_seconds": 60, **more})
        return await start(self.engine, request, principal="local", caller_key=key)

    async def started(self, instruction: str, **more: Any) -> Task:
        """A task of which frames have come."""
        task = (await self.start(instruction, **more)).task
        return await self.until(task, State.RUNNING)

    async def ended(self, task: Task) -> Task:
        """The task, once it has ended; the fixture bounds the time."""
        with self.engine.feed.watch(task.task_id) as watch:
            while not (task := await self.task(task)).state.ended:
                await watch.changed()
        return task

    async def until(self, task: Task, state: State) -> Task:
        with self.engine.feed.watch(task.task_id) as watch:
            while (task := await self.task(task)).state is not state and not task.state.ended:
                await watch.changed()
        assert task.state is state, task
        return task

    async def task(self, task: Task) -> Task:
        found = await self.engine.ledger.get(task.task_id)
        assert found is not None
        return found

    async def events(self, task: Task) -> list[Event]:
        return list(await self.engine.ledger.events(task.task_id))

    async def types(self, task: Task) -> list[EventType]:
        return [event.type for event in await self.events(task)]

    async def settled(self, *tasks: Task) -> tuple[Task, ...]:
        return (await wait(self.engine, [t.task_id for t in tasks], principal="local", seconds=5)).changed


@dataclass(frozen=True)
class Workshop:
    """Opens cores, several on one ledger and one Lightcone where wanted."""

    folder: Path

    @asynccontextmanager
    async def open(
        self,
        dialect: str = "",
        *,
        timing: Timing = QUICK,
        policy: Policy | None = None,
        reattach: Any = "get",
        keep_screens: bool = True,
        **settings: Any,
    ) -> AsyncIterator[Core]:
        """A simulator and one engine that speaks to it."""
        async with (
            visiting(dialect, **{"step_seconds": 0.01, **settings}) as lightcone,
            self.engine(lightcone, timing=timing, policy=policy, reattach=reattach, keep_screens=keep_screens) as core,
        ):
            yield core

    def engine(self, lightcone: Visitor, **more: Any) -> AbstractAsyncContextManager[Core]:
        """Another process's engine, as it were: own ledger connections, own client, own holder."""
        return self._engine(lightcone, **more)

    @asynccontextmanager
    async def _engine(
        self,
        lightcone: Visitor,
        *,
        timing: Timing = QUICK,
        policy: Policy | None = None,
        reattach: Any = "get",
        api_key: str | None = "sk_test_key",
        account: str = "account",
        keep_screens: bool = True,
    ) -> AsyncIterator[Core]:
        client = LightconeClient(
            api_key=api_key, base_url=str(lightcone.http.base_url), reattach=reattach, max_retries=1, timeout_seconds=5
        )
        async with client, open_ledger(self.folder) as ledger:
            agent = LightconeAgent(client)

            async def get_agent() -> Agent:
                return agent

            async with open_engine(
                ledger=ledger,
                feed=ledger,
                agent=get_agent,
                clock=SystemClock(),
                timing=timing,
                policy=policy,
                account=account,
                keep_screens=keep_screens,
            ) as engine:
                yield Core(engine, lightcone)


def slower(**waits: float) -> Timing:
    """The quick timing with some waits changed."""
    return replace(QUICK, **waits)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "data")

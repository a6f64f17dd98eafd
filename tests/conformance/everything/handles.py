"""Fulfils the product's port of task handles (northstar_mcp/server/handles/port.py) in memory, for the fixtures' jobs.

A call runs in the task group of `JobHandles`, so it outlives its request. A job says where its work begins: what it asks before that
is asked by the call's own answer, and what it answers before that is no task.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup
from mcp.server.context import HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequestParams, CallToolResult, ElicitRequest, ElicitResult, ErrorData, InputRequiredResult

from northstar_mcp.server.handles.port import Context, Mode, RunCall, Standing, Status

TTL_SECONDS = 600.0
POLL_SECONDS = 0.2


@dataclass
class Job:
    """One call.

    Attributes:
        settled: Set once it is known whether the call has a handle: when its work has begun, or it is answered.
    """

    moved: Callable[[], None]
    handle_id: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: Status = Status.WORKING
    works: bool = False
    settled: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    answer: HandlerResult = None
    error: ErrorData | None = None
    asks: dict[str, ElicitRequest] = field(default_factory=dict)
    answers: dict[str, ElicitResult] = field(default_factory=dict)
    answered: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, call: Callable[[], Awaitable[HandlerResult]]) -> None:
        """Do the call, and keep what comes of it."""
        _now.set(self)
        with self.scope:
            try:
                self.answer = await call()
                self.move(Status.COMPLETED)
            except MCPError as error:
                self.error = error.error
                self.move(Status.FAILED)
        if self.scope.cancelled_caught:
            self.move(Status.CANCELLED)
        self.settled.set()

    def begin(self) -> None:
        """The work begins."""
        self.works = True
        self.settled.set()

    def move(self, status: Status) -> None:
        """Go on in this status; an end is not left."""
        if not self.status.ended:
            self.status, self.updated_at = status, datetime.now(UTC)
        self.moved()

    def take(self, responses: Mapping[str, Any]) -> None:
        """What the user said to what is asked."""
        for key in [key for key in self.asks if isinstance(responses.get(key), ElicitResult)]:
            del self.asks[key]
            self.answers[key] = responses[key]
        if not self.asks and self.status is Status.INPUT_REQUIRED:
            self.move(Status.WORKING)
            self.answered.set()
        self.moved()

    @property
    def standing(self) -> Standing:
        """As the port says it."""
        return Standing(
            handle_id=self.handle_id,
            status=self.status,
            message=f"The job is {self.status}.",
            created_at=self.created_at,
            updated_at=self.updated_at,
            ttl_seconds=TTL_SECONDS,
            poll_seconds=None if self.status.ended else POLL_SECONDS,
            result=_result(self.answer) if self.status is Status.COMPLETED else None,
            error=self.error,
            asks=dict(self.asks),
        )


_now: ContextVar[Job | None] = ContextVar("job", default=None)


def begun() -> None:
    """A job's own word that its work begins. Without a handle it means nothing."""
    if (job := _now.get()) is not None:
        job.begin()


async def asked(**asks: ElicitRequest) -> list[ElicitResult]:
    """What the user says to these, in their order, by way of the handle."""
    job = _now.get()
    assert job is not None, "tools that ask must have a handle"
    keys = {name: f"{name}-{secrets.token_hex(4)}" for name in asks}
    job.asks = {keys[name]: ask for name, ask in asks.items()}
    job.answered = anyio.Event()
    job.move(Status.INPUT_REQUIRED)
    await job.answered.wait()
    return [job.answers[keys[name]] for name in asks]


class JobHandles:
    """The jobs of one process; an async context manager, which ends them."""

    def __init__(self, modes: Mapping[str, Mode]) -> None:
        self._modes = modes
        self._jobs: dict[str, Job] = {}
        self._group: TaskGroup = anyio.create_task_group()
        self._moves = 0
        self._moved = anyio.Event()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        self._group.cancel_scope.cancel()
        await self._group.__aexit__(*raised)

    def mode(self, tool: str) -> Mode | None:
        return self._modes.get(tool)

    async def begin(self, ctx: Context, params: CallToolRequestParams, run: RunCall) -> Standing | HandlerResult:
        job = Job(self._move)
        self._group.start_soon(job.run, lambda: run(params.arguments or {}))
        await job.settled.wait()
        if job.works:
            self._jobs[job.handle_id] = job
            return job.standing
        if job.error is not None:
            raise MCPError(job.error.code, job.error.message, job.error.data)
        return job.answer

    async def look(self, ctx: Context, handle_id: str) -> Standing | None:
        await anyio.lowlevel.checkpoint()
        job = self._jobs.get(handle_id)
        return None if job is None else job.standing

    async def answer(self, ctx: Context, handle_id: str, responses: Mapping[str, Any]) -> bool:
        await anyio.lowlevel.checkpoint()
        if (job := self._jobs.get(handle_id)) is not None:
            job.take(responses)
        return job is not None

    async def cancel(self, ctx: Context, handle_id: str) -> bool:
        await anyio.lowlevel.checkpoint()
        if (job := self._jobs.get(handle_id)) is not None:
            job.scope.cancel()
        return job is not None

    @contextmanager
    def watch(self, ctx: Context, handle_ids: Sequence[str]) -> Iterator["_Watching"]:
        yield _Watching(self, frozenset(handle_ids), self._moves)

    async def page(self, ctx: Context, cursor: str | None) -> tuple[Sequence[Standing], str | None]:
        await anyio.lowlevel.checkpoint()
        return [job.standing for job in reversed(self._jobs.values())], None

    def _move(self) -> None:
        self._moves += 1
        self._moved.set()
        self._moved = anyio.Event()

    async def moved_since(self, moves: int) -> int:
        """How often jobs have moved, once that is more than `moves`."""
        while self._moves == moves:
            await self._moved.wait()
        return self._moves


@dataclass
class _Watching:
    """Any move counts for all of them: there are few."""

    handles: JobHandles
    handle_ids: frozenset[str]
    moves: int

    async def changed(self) -> frozenset[str]:
        self.moves = await self.handles.moved_since(self.moves)
        return self.handle_ids


def _result(answer: HandlerResult) -> CallToolResult:
    assert not isinstance(answer, InputRequiredResult), "a job asks by its answer before its work begins, and not later"
    return answer if isinstance(answer, CallToolResult) else CallToolResult.model_validate(answer, by_name=False)

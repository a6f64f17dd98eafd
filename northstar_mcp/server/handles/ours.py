"""Handles of calls about Northstar tasks, over the same ledger as everything else.

A `start_task` that is not told how long to wait is answered by a handle that is the task itself: its id is the task's, so that it
outlives any process, and works wherever the record is. A call that waits for a time is answered by a handle that holds the call
itself, encrypted with a key of the record: nothing is stored for it, and nobody can make one up.
"""

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio
from mcp.server.context import HandlerResult
from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState
from mcp_types import CallToolRequestParams, CallToolResult, ElicitRequest, ElicitResult

from northstar_mcp.errors import NorthstarError, NotFound, WrongState
from northstar_mcp.server.answers import MOST_EVENTS, Answer, pace
from northstar_mcp.server.arguments import read
from northstar_mcp.server.door import outcome_of, question
from northstar_mcp.server.handles.port import Context, Mode, RunCall, Standing, Status, Watch
from northstar_mcp.server.hosts import Host
from northstar_mcp.server.lists import waited_told
from northstar_mcp.server.principals import principal
from northstar_mcp.server.tools.start_task import StartTask
from northstar_mcp.server.tools.task_status import TaskStatus
from northstar_mcp.server.tools.wait_for_tasks import WaitForTasks
from northstar_mcp.server.words import never_began, summary_of
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import EventType, Task
from northstar_mcp.tasks.persons import Need, answered, need_of
from northstar_mcp.tasks.ports import Clock
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.stopping import stop
from northstar_mcp.tasks.watching import View, find, look, page, turns_since, wait

KEPT_SECONDS: Final = 24 * 3600.0
"""How long a handle can be asked for at least after its task must have ended."""

_log = logging.getLogger(__name__)

_KEY: Final = "handles"
_WAITING: Final = "wait_"
_USUAL_WAIT: Final = 45.0
_ASKING_POLL_SECONDS: Final = 2.0  # what comes next follows the client's own answer, after which it waits for this long
_TASKS: Final = ("start_task", "task_status", "wait_for_tasks")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A call that waits for a time, as its handle holds it.

    Attributes:
        since: The tasks, and the seq up to which the caller knows each.
        reused: For a start: whether the task stood already.
        needed: Whether one of them needed a person when the call began: then it waits for nothing else.
    """

    tool: str
    principal: str
    since: Mapping[str, int]
    created_at: datetime
    until: datetime
    reused: bool = False
    needed: bool = False

    def packed(self) -> bytes:
        facts = [self.tool, self.principal, dict(self.since), self.created_at.timestamp(), self.until.timestamp()]
        return json.dumps([*facts, self.reused, self.needed]).encode()

    @classmethod
    def unpacked(cls, payload: bytes) -> "_Waiting":
        tool, owner, since, created_at, until, reused, needed = json.loads(payload)
        return cls(
            tool=tool,
            principal=owner,
            since=since,
            created_at=datetime.fromtimestamp(created_at, UTC),
            until=datetime.fromtimestamp(until, UTC),
            reused=reused,
            needed=needed,
        )


class OurHandles:
    """Fulfils `port.Handles` for the tools that start a task or wait for one."""

    def __init__(self) -> None:
        self._codec: AESGCMRequestStateCodec | None = None

    def mode(self, tool: str) -> Mode | None:
        return "optional" if tool in _TASKS else None

    # ---- beginning

    async def begin(self, ctx: Context, params: CallToolRequestParams, run: RunCall) -> Standing | HandlerResult:
        arguments = dict(params.arguments or {})
        always = params.task is not None
        try:
            match params.name:
                case "start_task":
                    start = read(StartTask, arguments, tool=params.name)
                    return await self._begin_start(ctx, arguments, start, run, always=always)
                case "task_status":
                    waiting = await self._status(ctx, read(TaskStatus, arguments, tool=params.name), always=always)
                case _:
                    waiting = await self._several(ctx, read(WaitForTasks, arguments, tool=params.name), always=always)
            if waiting is not None:
                return await self._of(ctx, waiting)
        except NorthstarError:
            pass
        return await run(arguments)  # where something is wrong, it says so in the tool's own words

    async def _begin_start(
        self, ctx: Context, arguments: Mapping[str, Any], asked: StartTask, run: RunCall, *, always: bool
    ) -> Standing | HandlerResult:
        """Run once, whatever comes after: what was started stands."""
        if asked.wait_seconds == 0 and not always:
            return await run(arguments)
        answer = await run({**arguments, "wait_seconds": 0})
        facts = _facts_of(answer)
        if "task_id" not in facts or "error" in facts:
            return answer  # a refusal, or a question to the user that comes first
        since = {facts["task_id"]: 0}
        try:
            if asked.wait_seconds is None:
                return await self.look(ctx, facts["task_id"]) or answer
            return await self._of(
                ctx, _from_now(ctx, "start_task", since, asked.wait_seconds, reused=bool(facts["reused"]))
            )
        except NorthstarError as error:
            _log.warning("a started task is answered without a handle: %s", error)
            return answer

    async def _status(self, ctx: Context, asked: TaskStatus, *, always: bool) -> _Waiting | None:
        if not asked.wait_seconds and not always:
            return None
        task = await find(_engine(ctx), asked.task_id, principal=principal())
        known = task.seq if asked.since_seq is None else asked.since_seq
        return _from_now(ctx, "task_status", {asked.task_id: known}, asked.wait_seconds or 0, needed=_needs([task]))

    async def _several(self, ctx: Context, asked: WaitForTasks, *, always: bool) -> _Waiting | None:
        if asked.wait_seconds == 0 and not always:
            return None
        tasks = [await find(_engine(ctx), task_id, principal=principal()) for task_id in asked.task_ids]
        seconds = _USUAL_WAIT if asked.wait_seconds is None else asked.wait_seconds
        since = {task.task_id: task.seq for task in tasks}
        return _from_now(ctx, "wait_for_tasks", since, seconds, needed=_needs(tasks))

    # ---- looking

    async def look(self, ctx: Context, handle_id: str) -> Standing | None:
        try:
            if handle_id.startswith(_WAITING):
                return await self._look_waiting(ctx, handle_id)
            return await _look_task(ctx, handle_id)
        except NotFound:
            return None

    async def _look_waiting(self, ctx: Context, handle_id: str) -> Standing | None:
        waiting = await self._unsealed(_engine(ctx), handle_id)
        return None if waiting is None else await _stands(ctx, handle_id, waiting)

    @contextmanager
    def watch(self, ctx: Context, handle_ids: Sequence[str]) -> Iterator["_Watching"]:
        opened = {each: self._opened(each) for each in handle_ids if each.startswith(_WAITING)}
        waits = {handle_id: each for handle_id, each in opened.items() if each is not None}
        tasks = {handle_id: frozenset(each.since) for handle_id, each in waits.items()}
        tasks |= {handle_id: frozenset({handle_id}) for handle_id in handle_ids if handle_id not in opened}
        with _engine(ctx).feed.watch(*frozenset().union(*tasks.values())) as watch:
            yield _Watching(watch, tasks, {name: each.until for name, each in waits.items()}, _engine(ctx).clock)

    async def page(self, ctx: Context, cursor: str | None) -> tuple[Sequence[Standing], str | None]:
        tasks, further = await page(_engine(ctx), principal=principal(), before=cursor)
        return [await _look_task(ctx, task.task_id) for task in tasks], further

    # ---- acting

    async def answer(self, ctx: Context, handle_id: str, responses: Mapping[str, Any]) -> bool:
        task_ids = await self._tasks_of(ctx, handle_id)
        for task_id in task_ids:
            need = await need_of(_engine(ctx), task_id, principal=principal())
            response = responses.get(need.key) if need is not None else None
            if need is not None and isinstance(response, ElicitResult):
                await answered(_engine(ctx), need, outcome_of(need, response), principal=principal())
        return bool(task_ids)

    async def cancel(self, ctx: Context, handle_id: str) -> bool:
        """A task is stopped by the handle of the call that started it; a wait alone ends by itself, in less than a minute."""
        waiting = await self._unsealed(_engine(ctx), handle_id) if handle_id.startswith(_WAITING) else None
        started = waiting is None or (waiting.tool == "start_task" and not waiting.reused)
        task_ids = await self._tasks_of(ctx, handle_id)
        for task_id in task_ids if started else ():
            with suppress(WrongState):  # it has ended
                await stop(_engine(ctx), task_id, principal=principal())
        return bool(task_ids)

    async def _tasks_of(self, ctx: Context, handle_id: str) -> tuple[str, ...]:
        if handle_id.startswith(_WAITING):
            waiting = await self._unsealed(_engine(ctx), handle_id)
            return () if waiting is None else tuple(waiting.since)
        try:
            return ((await find(_engine(ctx), handle_id, principal=principal())).task_id,)
        except NotFound:
            return ()

    # ---- sealing

    async def _of(self, ctx: Context, waiting: _Waiting) -> Standing:
        codec = await self._opener(_engine(ctx))
        return await _stands(ctx, f"{_WAITING}{codec.seal(waiting.packed())}", waiting)

    async def _unsealed(self, engine: Engine, handle_id: str) -> _Waiting | None:
        await self._opener(engine)
        return self._opened(handle_id)

    def _opened(self, handle_id: str) -> _Waiting | None:
        if self._codec is None:
            return None
        try:
            waiting = _Waiting.unpacked(self._codec.unseal(handle_id.removeprefix(_WAITING)))
        except InvalidRequestState:
            return None
        return waiting if waiting.principal == principal() else None

    async def _opener(self, engine: Engine) -> AESGCMRequestStateCodec:
        if self._codec is None:
            self._codec = AESGCMRequestStateCodec([await engine.ledger.secret(_KEY)])
        return self._codec


class _Watching:
    """Looks out for the handles' tasks, and for the moments at which their waits are over.

    Args:
        tasks: The tasks of each handle.
        until: When the wait of each is over, of those that wait for a time.
    """

    def __init__(
        self, watch: Watch, tasks: Mapping[str, frozenset[str]], until: Mapping[str, datetime], clock: Clock
    ) -> None:
        self._watch = watch
        self._tasks = tasks
        self._until = dict(until)
        self._clock = clock

    async def changed(self) -> frozenset[str]:
        """Those whose tasks have changed, and those whose wait is over: each of these once."""
        changed: frozenset[str] = frozenset()
        if not self._over():
            with anyio.move_on_after(self._seconds_left()):
                changed = await self._watch.changed()
        over = self._over()
        for handle_id in over:
            del self._until[handle_id]
        return over | {handle_id for handle_id, tasks in self._tasks.items() if tasks & changed}

    def _over(self) -> frozenset[str]:
        now = self._clock.now()
        return frozenset(handle_id for handle_id, until in self._until.items() if until <= now)

    def _seconds_left(self) -> float:
        now = self._clock.now()
        return min(((until - now).total_seconds() for until in self._until.values()), default=math.inf)


# ---- how it stands


async def _look_task(ctx: Context, task_id: str) -> Standing:
    engine, host = _engine(ctx), Host.of(ctx)
    view = await look(engine, task_id, principal=principal(), most=MOST_EVENTS)
    task, now = view.task, engine.clock.now()
    asks = await _asks(engine, [task], host)
    return Standing(
        handle_id=task_id,
        status=_status_of(task, asks),
        message=_message(task, now=now),
        created_at=task.created_at,
        updated_at=task.updated_at,
        ttl_seconds=_kept_seconds(engine, task),
        poll_seconds=_ASKING_POLL_SECONDS if asks else pace(view),
        result=_result(view, now=now, since_seq=0) if task.state.ended else None,
        asks=asks,
    )


async def _stands(ctx: Context, handle_id: str, waiting: _Waiting) -> Standing:
    engine, host = _engine(ctx), Host.of(ctx)
    waited = await wait(engine, list(waiting.since), principal=principal(), seconds=0, since=waiting.since)
    now, tasks = engine.clock.now(), (*waited.changed, *waited.waiting)
    turns = frozenset[EventType]().union(
        *[await turns_since(engine, task_id, seq) for task_id, seq in waiting.since.items()]
    )
    # From what is on record alone, so that what has ended stays so: anything but a person's turn ends it for good.
    is_over = bool(turns - {EventType.NEEDS_INPUT}) or now >= waiting.until
    asks = {} if is_over else await _asks(engine, waited.changed, host)
    is_done = is_over or waiting.needed or bool(waited.changed)
    status = Status.INPUT_REQUIRED if asks else (Status.COMPLETED if is_done else Status.WORKING)
    if waiting.tool == "wait_for_tasks":
        result = waited_told(waited, now=now)
        poll: float | None = _USUAL_WAIT
    else:
        view = await look(engine, tasks[0].task_id, principal=principal(), most=MOST_EVENTS)
        result = _result(view, now=now, since_seq=waiting.since[tasks[0].task_id], reused=_reused(waiting))
        poll = pace(view)
    if asks:
        poll = _ASKING_POLL_SECONDS
    return Standing(
        handle_id=handle_id,
        status=status,
        message=" ".join(_message(task, now=now) for task in tasks[:3]),
        created_at=waiting.created_at,
        updated_at=max(waiting.created_at, *(task.updated_at for task in tasks)),
        ttl_seconds=max(_kept_seconds(engine, task) for task in tasks),
        poll_seconds=None if status.ended else max(1.0, min(poll or 1.0, (waiting.until - now).total_seconds())),
        result=result if status.ended else None,
        asks=asks,
    )


async def _asks(engine: Engine, tasks: Sequence[Task], host: Host) -> Mapping[str, ElicitRequest]:
    asks: dict[str, ElicitRequest] = {}
    for task in tasks:
        need: Need | None = None
        if task.state is State.NEEDS_INPUT:
            need = await need_of(engine, task.task_id, principal=principal())
        if need is not None and (ask := question(need, host)) is not None:
            asks[need.key] = ask
    return asks


def _status_of(task: Task, asks: Mapping[str, ElicitRequest]) -> Status:
    if task.state is State.STOPPED:
        return Status.CANCELLED
    if task.state.ended:
        return Status.COMPLETED
    # Without a question that this client can put, `input_required` would promise what does not come.
    return Status.INPUT_REQUIRED if asks else Status.WORKING


def _message(task: Task, *, now: datetime) -> str:
    """Where it stands, and the way in where a person is needed: some clients show their user nothing else."""
    url = task.live_view_url if task.state is State.NEEDS_INPUT else None
    return summary_of(task, now=now) + (f" Live view: {url}" if url is not None else "")


def _result(view: View, *, now: datetime, since_seq: int, reused: bool | None = None) -> CallToolResult:
    task = view.task
    facts: dict[str, Any] = {"clamped": list(task.clamped)} if task.clamped else {}
    return Answer(
        view=view,
        now=now,
        since_seq=min(since_seq, task.seq),
        extra=facts if reused is None else {"reused": reused, **facts},
        is_error=never_began(task),
    ).told()


def _reused(waiting: _Waiting) -> bool | None:
    return waiting.reused if waiting.tool == "start_task" else None


def _kept_seconds(engine: Engine, task: Task) -> float:
    """Longer than the task can take: its limit, the grace after it, and the time in which it is stopped and settled."""
    timing = engine.timing
    limit = task.request.max_duration_seconds + timing.grace_seconds + timing.settle_seconds + timing.stopping_seconds
    return limit + KEPT_SECONDS


def _needs(tasks: Sequence[Task]) -> bool:
    return any(task.state is State.NEEDS_INPUT for task in tasks)


def _from_now(
    ctx: Context, tool: str, since: Mapping[str, int], seconds: float, *, reused: bool = False, needed: bool = False
) -> _Waiting:
    now = _engine(ctx).clock.now()
    until = now + timedelta(seconds=seconds)
    return _Waiting(
        tool=tool, principal=principal(), since=since, created_at=now, until=until, reused=reused, needed=needed
    )


def _facts_of(answer: HandlerResult) -> Mapping[str, Any]:
    if isinstance(answer, CallToolResult):
        return answer.structured_content or {}
    return (answer.get("structuredContent") or {}) if isinstance(answer, dict) else {}


def _engine(ctx: Context) -> Engine:
    engine: Engine = ctx.lifespan_context
    return engine

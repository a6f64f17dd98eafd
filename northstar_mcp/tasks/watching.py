"""Look at tasks, and wait for them. Nothing here changes a task; aborting a wait frees the waiter and nothing else."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio

from northstar_mcp.errors import NotFound
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import Event, EventType, Receipt, Task
from northstar_mcp.tasks.states import State

Tell: TypeAlias = Callable[[Task, Event], Awaitable[None]]

_TURNS: Final = frozenset(
    {
        EventType.PAUSED,
        EventType.RESUMED,
        EventType.NEEDS_INPUT,
        EventType.COMPLETED,
        EventType.FAILED,
        EventType.STOPPED,
        EventType.OUT_OF_STEPS,
        EventType.OUT_OF_TIME,
        EventType.LOST,
    }
)
"""Events after which somebody who waits wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A task, and what happened to it since a cursor: the newest events, oldest first.

    Attributes:
        omitted: How many older events since the cursor are not among them.
        receipts: All of the task's receipts, oldest first.
    """

    task: Task
    events: tuple[Event, ...] = ()
    omitted: int = 0
    receipts: tuple[Receipt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """Which of the tasks changed, and which did not (yet)."""

    changed: tuple[Task, ...]
    waiting: tuple[Task, ...]


async def find(engine: Engine, task_id: str, *, principal: str) -> Task:
    """The task.

    Raises:
        NotFound: If there is none, or it is somebody else's: the two read alike.
    """
    task = await engine.ledger.get(task_id)
    if task is None or task.principal != principal:
        raise NotFound(f"There is no task {task_id[:80]!r}.")
    return task


async def look(engine: Engine, task_id: str, *, principal: str, since_seq: int = 0, most: int = 50) -> View:
    """The task and the newest `most` of its events with a seq greater than `since_seq`.

    Raises:
        NotFound: If there is none.
    """
    task = await find(engine, task_id, principal=principal)
    after = max(since_seq, task.seq - most)
    events = [e for e in await engine.ledger.events(task_id, after=after, limit=most) if e.seq <= task.seq]
    return View(
        task=task,
        events=tuple(events),
        omitted=max(0, after - since_seq),
        receipts=tuple(await engine.ledger.receipts(task_id)),
    )


async def page(
    engine: Engine,
    *,
    principal: str,
    states: frozenset[State] | None = None,
    limit: int = 20,
    before: str | None = None,
) -> tuple[Sequence[Task], str | None]:
    """Tasks, newest first, and the cursor of the next page (None: there is none)."""
    found = await engine.ledger.page(principal, states=states, limit=limit + 1, before=before)
    more = len(found) > limit
    return found[:limit], found[limit - 1].task_id if more else None


async def wait(
    engine: Engine,
    task_ids: Sequence[str],
    *,
    principal: str,
    seconds: float,
    since: Mapping[str, int] | None = None,
    tell: Tell | None = None,
) -> Waited:
    """Wait until one of the tasks has ended, needs a person, was paused or resumed; at most `seconds`.

    Args:
        since: The seq up to which the caller knows each task; where not given, as it stands now. A task that has ended or
            needs a person is there at once.
        tell: Is told every event behind that, in order, while the wait lasts.

    Raises:
        NotFound: If one of them does not exist.
    """
    since = since or {}
    tasks = {task_id: await find(engine, task_id, principal=principal) for task_id in task_ids}
    known = {task_id: since.get(task_id, task.seq) for task_id, task in tasks.items()}
    changed: set[str] = set()

    async def catch_up() -> None:
        for task_id in tasks:
            tasks[task_id], turned = await _catch_up(engine, task_id, known, tell)
            if turned or _wants_attention(tasks[task_id]):
                changed.add(task_id)

    with engine.feed.watch(*tasks) as watch:
        # What happened before the watch began is not told by it; what happens as the time runs out is told by the last look.
        await catch_up()
        with anyio.move_on_after(seconds):
            while not changed:
                await watch.changed()
                await catch_up()
        if not changed:
            await catch_up()
    return Waited(
        changed=tuple(task for task_id, task in tasks.items() if task_id in changed),
        waiting=tuple(task for task_id, task in tasks.items() if task_id not in changed),
    )


async def turns_since(engine: Engine, task_id: str, seq: int) -> frozenset[EventType]:
    """The kinds of turns that the task took behind `seq`: what somebody who waits wants to know."""
    found: set[EventType] = set()
    while events := await engine.ledger.events(task_id, after=seq):
        found |= {event.type for event in events} & _TURNS
        seq = events[-1].seq
    return frozenset(found)


def _wants_attention(task: Task) -> bool:
    return task.state.ended or task.state is State.NEEDS_INPUT


async def _catch_up(engine: Engine, task_id: str, known: dict[str, int], tell: Tell | None) -> tuple[Task, bool]:
    """The task as it stands; the events behind `known` are told, and `known` moves on. True where one of them is a turn."""
    task = await engine.ledger.get(task_id)
    if task is None:
        raise NotFound(f"There is no task {task_id!r}.")
    turned = False
    while known[task_id] < task.seq and (events := await engine.ledger.events(task_id, after=known[task_id])):
        for event in events:
            if event.seq > task.seq:
                break
            known[task_id] = event.seq
            turned = turned or event.type in _TURNS
            if tell is not None:
                await tell(task, event)
    return task, turned

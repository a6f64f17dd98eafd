"""Builders of the values that these tests write. Knows the model only, so that it serves every ledger."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from northstar_mcp.tasks.model import (
    Change,
    Event,
    EventType,
    Json,
    Lease,
    Receipt,
    ReceiptState,
    Screen,
    Task,
    TaskRequest,
)
from northstar_mcp.tasks.states import State

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=1)


def at(seconds: float) -> datetime:
    """A moment some seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def a_task(
    task_id: str = "task_1",
    *,
    principal: str = "ann",
    fingerprint: str | None = None,
    caller_key: str | None = None,
    created_at: datetime = NOON,
    state: State = State.STARTING,
) -> Task:
    """A new task; unlike every other unless told."""
    return Task(
        task_id=task_id,
        principal=principal,
        request=TaskRequest(instruction="Book a table", max_steps=50, max_duration_seconds=600),
        idempotency_key=f"key-of-{task_id}",
        fingerprint=fingerprint or f"print-of-{task_id}",
        caller_key=caller_key,
        created_at=created_at,
        updated_at=created_at,
        state=state,
    )


def an_event(task_id: str, seq: int, *, upstream_id: str | None = None, screen_url: str | None = None) -> Event:
    """The event with this number."""
    payload: Mapping[str, Json] = {"type": "action", "step": seq}
    return Event(
        task_id=task_id,
        seq=seq,
        type=EventType.ACTION,
        text=f"step {seq}",
        at=at(seq),
        upstream_id=upstream_id,
        screen_url=screen_url,
        payload=payload,
    )


def a_receipt(task_id: str, message_id: str, seq: int, *, state: ReceiptState = ReceiptState.ACCEPTED) -> Receipt:
    """A receipt of a message."""
    return Receipt(task_id=task_id, message_id=message_id, message="Use Chrome", state=state, seq=seq, at=at(seq))


def a_step(
    task: Task,
    *events: Event,
    count: int = 0,
    lease: Lease | None = None,
    state: State | None = None,
    screens: Mapping[int, Screen] | None = None,
    receipts: tuple[Receipt, ...] = (),
) -> Change:
    """The next change of a task: with these events, or with `count` plain ones."""
    events = events or tuple(an_event(task.task_id, task.seq + n) for n in range(1, count + 1))
    after = replace(task, revision=task.revision + 1, seq=task.seq + len(events), state=state or task.state)
    return Change(task=after, events=events, lease=lease, screens=screens or {}, receipts=receipts)

"""Tasks and events for tests of words: a usual one, and what is different about it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from northstar_mcp.tasks.model import Event, EventType, Task, TaskRequest
from northstar_mcp.tasks.states import State

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TASK_ID = "task_abcdefghijklmnopqrstuvwx"


def task(
    state: State = State.RUNNING, *, seconds: float = 48, request: dict[str, Any] | None = None, **more: Any
) -> Task:
    """A task that began at NOON and, if it has ended, ended `seconds` later."""
    asked = TaskRequest(
        **{"instruction": "Open example.com", "max_steps": 40, "max_duration_seconds": 600, **(request or {})}
    )
    usual = Task(
        task_id=TASK_ID,
        principal="local",
        request=asked,
        idempotency_key="key",
        fingerprint="print",
        created_at=NOON,
        updated_at=NOON,
        state=state,
        seq=7,
        steps=12,
        started_at=NOON,
        ended_at=NOON + timedelta(seconds=seconds) if state.ended else None,
        computer_id="comp_1",
    )
    return replace(usual, **more)


def event(
    seq: int, text: str = "click (1, 2)", kind: EventType = EventType.ACTION, *, after: float | None = None
) -> Event:
    """An event `after` seconds past NOON; one each second where it is not said."""
    at = NOON + timedelta(seconds=seq if after is None else after)
    return Event(task_id=TASK_ID, seq=seq, type=kind, text=text, at=at)

"""What `--json` writes: the same facts under the same names as the tools' structured answers."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from northstar_mcp.tasks.model import Event, Json, Receipt, Task


def write(facts: Mapping[str, Json]) -> None:
    """One JSON object on stdout, exactly as it is."""
    print(json.dumps(facts, ensure_ascii=False, indent=2))


def facts_of(task: Task) -> dict[str, Json]:
    """What is known of a task. Names without a value are left out."""
    known: dict[str, Json] = {
        "task_id": task.task_id,
        "state": task.state.value,
        "seq": task.seq,
        "instruction": task.request.instruction,
        "result": task.result,
        "error": _error(task),
        "steps": task.steps,
        "max_steps": task.request.max_steps,
        "elapsed_seconds": round(seconds_spent(task), 1),
        "created_at": task.created_at.isoformat(),
        "ended_at": None if task.ended_at is None else task.ended_at.isoformat(),
        "northstar_task_id": task.northstar_task_id,
        "computer_id": task.computer_id,
        "live_view_url": task.live_view_url,
        "clamped": list(task.clamped) or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def event_facts(events: Sequence[Event]) -> list[Json]:
    """Events, oldest first."""
    return [{"seq": e.seq, "type": e.type.value, "text": e.text, "at": e.at.isoformat()} for e in events]


def receipt_facts(receipts: Sequence[Receipt]) -> list[Json]:
    """What became of messages, oldest first."""
    return [{"message_id": r.message_id, "state": r.state.value, "message": r.message} for r in receipts]


def seconds_spent(task: Task) -> float:
    """How long it took, or has taken so far."""
    return task.elapsed_seconds(datetime.now(UTC))


def _error(task: Task) -> Json:
    if task.error is None:
        return None
    return {
        "category": task.error.category,
        "message": task.error.message,
        "retryable": task.error.retryable,
        "remedy": task.error.remedy,
    }

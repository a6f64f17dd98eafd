"""JSON schemas of `structuredContent`. Every answer, a refusal too, has `summary` and `next_step`; the rest where it applies."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from northstar_mcp.tasks.model import EventType, ReceiptState
from northstar_mcp.tasks.states import State

Schema: TypeAlias = dict[str, Any]

_STRING: Final[Schema] = {"type": "string"}
_WHOLE: Final[Schema] = {"type": "integer"}
_NUMBER: Final[Schema] = {"type": "number"}
_TRUTH: Final[Schema] = {"type": "boolean"}


def _object(properties: Mapping[str, Schema], *, required: tuple[str, ...]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_ERROR: Final = _object(
    {
        "category": _STRING,
        "message": _STRING,
        "retryable": _TRUTH,
        "remedy": _STRING,
        "retry_after_seconds": _NUMBER,
    },
    required=("category", "message", "retryable", "remedy"),
)
_EVENT: Final = _object(
    {
        "seq": _WHOLE,
        "type": {"type": "string", "enum": [str(kind) for kind in EventType]},
        "text": _STRING,
        "at": {"type": "string", "format": "date-time"},
    },
    required=("seq", "type", "text", "at"),
)
_RECEIPT: Final = _object(
    {"message_id": _STRING, "state": {"type": "string", "enum": [str(state) for state in ReceiptState]}},
    required=("message_id", "state"),
)
_SAID: Final[Schema] = {"summary": _STRING, "next_step": _STRING, "error": _ERROR, "provenance": _STRING}
_TASK: Final[Schema] = {
    "task_id": _STRING,
    "state": {"type": "string", "enum": [str(state) for state in State]},
    "seq": _WHOLE,
    **_SAID,
    "waits_for": _STRING,
    "result": _STRING,
    "events": _list(_EVENT),
    "events_omitted": _WHOLE,
    "poll_after_seconds": _NUMBER,
    "reused": _TRUTH,
    "clamped": _list(_STRING),
    "receipts": _list(_RECEIPT),
    "northstar_task_id": _STRING,
    "computer_id": _STRING,
    "live_view_url": _STRING,
    "steps": _WHOLE,
    "max_steps": _WHOLE,
    "elapsed_seconds": _NUMBER,
}
_ALWAYS: Final = ("summary", "next_step")


def of_a_task(**more: Schema) -> Schema:
    """An answer that speaks of one task."""
    return _object({**_TASK, **more}, required=_ALWAYS)


def of_tasks(**more: Schema) -> Schema:
    """An answer with a list of tasks."""
    return _object({**_SAID, "tasks": _list(_A_TASK), **more}, required=_ALWAYS)


_OF_THE_ANSWER: Final = frozenset({"events", "events_omitted", "reused", "clamped", "provenance"})
_A_TASK: Final = _object(
    {
        **{name: schema for name, schema in _TASK.items() if name not in _OF_THE_ANSWER},
        "instruction": _STRING,
        "created_at": {"type": "string", "format": "date-time"},
    },
    required=("task_id", "state", "seq"),
)

CHANGED: Final[Schema] = {"changed": _TRUTH}
STOPPING: Final[Schema] = {"confirmed": _TRUTH, "done": _list(_STRING)}
SCREENSHOT: Final[Schema] = {
    "screenshot": _object(
        {
            "seq": _WHOLE,
            "at": {"type": "string", "format": "date-time"},
            "width": _WHOLE,
            "height": _WHOLE,
            "scale": _NUMBER,
            "media_type": _STRING,
        },
        required=("at", "width", "height", "scale", "media_type"),
    )
}
WAITING: Final[Schema] = {"waiting": _list(_A_TASK)}
PAGE: Final[Schema] = {"next_cursor": _STRING}

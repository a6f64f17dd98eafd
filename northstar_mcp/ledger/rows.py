"""Values to columns and back.

Text goes into a column as text, unless it holds lone surrogates, which SQLite cannot store as text: then as bytes, so
that no event is lost because of an odd string and equal strings stay equal. JSON is written as ASCII, where a lone
surrogate is an escape like any other. Moments are integer microseconds since 1970 UTC.

Reading ignores keys that it does not know: a newer process may share the file.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from northstar_mcp.tasks.model import (
    Event,
    EventType,
    Json,
    Receipt,
    ReceiptState,
    Screen,
    Task,
    TaskError,
    TaskRequest,
)
from northstar_mcp.tasks.states import Happening, State

Column: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Any, ...]  # what sqlite3 hands out: the edge of typed values

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TASK_PLAIN: Final = (
    "account",
    "idempotency_key",
    "last_upstream_id",
    "upstream_status",
    "northstar_task_id",
    "computer_id",
    "model",
    "result",
    "exit_code",
    "steps",
    "second_task_id",
    "stopping",
    "waits_for",
)
_TASK_MOMENTS: Final = ("updated_at", "start_sent_at", "name_asked_at", "paused_at", "started_at", "ended_at")
_EVENT_PLAIN: Final = ("text", "upstream_type", "step", "screen_url")
_REQUEST_FIELDS: Final = frozenset(field.name for field in fields(TaskRequest))


def micros(moment: datetime) -> int:
    """A moment as a number. Exact, where `timestamp()` would round."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(number: int) -> datetime:
    """The moment that a number stands for, in UTC."""
    return _EPOCH + timedelta(microseconds=number)


def column(text: str) -> str | bytes:
    """Text as SQLite can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def optional_column(text: str | None) -> str | bytes | None:
    """Text or nothing, as SQLite can hold it."""
    return None if text is None else column(text)


def text_of(value: str | bytes) -> str:
    """The text that a column holds."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def _optional_text(value: str | bytes | None) -> str | None:
    return None if value is None else text_of(value)


def _json(value: Mapping[str, Json]) -> str:
    return json.dumps(dict(value), separators=(",", ":"))


# ---- tasks, and their requests


def task_identity(task: Task) -> tuple[Column, ...]:
    """The columns that are written once."""
    return (
        column(task.task_id),
        column(task.principal),
        column(task.fingerprint),
        optional_column(task.caller_key),
        micros(task.created_at),
    )


def task_standing(task: Task) -> tuple[Column, ...]:
    """The columns that change: state, ended, revision, seq, body."""
    return (task.state.value, int(task.state.ended), task.revision, task.seq, _task_body(task))


def request_body(request: TaskRequest) -> str:
    """A request as JSON."""
    return _json(request.set_fields())


def _task_body(task: Task) -> str:
    body: dict[str, Json] = {name: value for name in _TASK_PLAIN if (value := getattr(task, name)) is not None}
    body |= {name: micros(value) for name in _TASK_MOMENTS if (value := getattr(task, name)) is not None}
    if task.clamped:
        body["clamped"] = list(task.clamped)
    if task.error is not None:
        body["error"] = {name: getattr(task.error, name) for name in ("category", "message", "retryable", "remedy")}
    return _json(body)


def task_of(row: Row) -> Task:
    """The task of a row as queries.TASK_COLUMNS names it."""
    task_id, principal, fingerprint, caller_key, created_at, state, revision, seq, body_text, request_text = row
    body = json.loads(body_text)
    others: dict[str, Any] = {name: body[name] for name in _TASK_PLAIN if name in body}
    others |= {name: moment(body[name]) for name in _TASK_MOMENTS if name in body}
    if "stopping" in body:
        others["stopping"] = Happening(body["stopping"])
    return Task(
        task_id=text_of(task_id),
        principal=text_of(principal),
        fingerprint=text_of(fingerprint),
        caller_key=_optional_text(caller_key),
        created_at=moment(created_at),
        state=State(state),
        revision=revision,
        seq=seq,
        request=_request_of(request_text),
        clamped=tuple(body.get("clamped", ())),
        error=TaskError(**body["error"]) if "error" in body else None,
        **others,
    )


def _request_of(text: str) -> TaskRequest:
    return TaskRequest(**{name: value for name, value in json.loads(text).items() if name in _REQUEST_FIELDS})


# ---- events: task_id, seq, upstream_id, body


def event_row(event: Event) -> tuple[Column, ...]:
    """An event as columns."""
    body: dict[str, Json] = {"type": event.type.value, "at": micros(event.at)}
    body |= {name: value for name in _EVENT_PLAIN if (value := getattr(event, name)) is not None}
    body["payload"] = dict(event.payload)
    return (column(event.task_id), event.seq, optional_column(event.upstream_id), _json(body))


def event_of(row: Row) -> Event:
    """The event of a row (task_id, seq, upstream_id, body)."""
    task_id, seq, upstream_id, text = row
    body = json.loads(text)
    return Event(
        task_id=text_of(task_id),
        seq=seq,
        upstream_id=_optional_text(upstream_id),
        type=EventType(body["type"]),
        at=moment(body["at"]),
        payload=body["payload"],
        **{name: body[name] for name in _EVENT_PLAIN if name in body},
    )


# ---- receipts: task_id, message_id, seq, body


def receipt_row(receipt: Receipt) -> tuple[Column, ...]:
    """A receipt as columns."""
    body: dict[str, Json] = {"message": receipt.message, "state": receipt.state.value, "at": micros(receipt.at)}
    return (column(receipt.task_id), column(receipt.message_id), receipt.seq, _json(body))


def receipt_of(row: Row) -> Receipt:
    """The receipt of a row (task_id, message_id, seq, body)."""
    task_id, message_id, seq, text = row
    body = json.loads(text)
    return Receipt(
        task_id=text_of(task_id),
        message_id=text_of(message_id),
        message=body["message"],
        state=ReceiptState(body["state"]),
        seq=seq,
        at=moment(body["at"]),
    )


# ---- screens: url, media_type


def screen_of(data: bytes | None, url: str | bytes | None, media_type: str | bytes | None) -> Screen | None:
    """The picture: its bytes where they are at hand, else where it lay, else nothing."""
    if data is not None:
        return Screen(data=data, media_type=_optional_text(media_type))
    if url is not None:
        return Screen(url=text_of(url), media_type=_optional_text(media_type))
    return None

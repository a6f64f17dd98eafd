"""The events of a task's stream as they stand on the wire, one model per `type` of reference B2.

`read_event` turns a frame into an event and cannot fail: what is no JSON object, has an unknown type, or has a known
type and fields that do not fit, becomes an `UnknownEvent` that keeps everything. Terminal types take any JSON in their
fields, since an end that is announced in an unexpected shape is still an end. Image bytes are taken out of what is
kept, and so is what no store can hold (lone surrogates, NUL, numbers that JSON does not know).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from northstar_mcp.lightcone.frames import Frame
from northstar_mcp.lightcone.pictures import screen_of
from northstar_mcp.tasks.model import Json, Screen

MAX_EVENT_CHARACTERS: Final = 512 * 1024
"""The bound of a frame that carries no picture: many of them are read at once."""

MAX_END_CHARACTERS: Final = 8 * 1024 * 1024
"""The bound of a frame that may carry the answer."""

MAX_PARTS: Final = 1_000_000
"""Objects, lists and members of one frame: in memory they take some thirty times the room that they take on the wire."""

_MAX_DEPTH: Final = 64  # deeper JSON is an attack on whoever writes it down again
_MAX_ID: Final = 512
_LONG: Final = 256  # a text this long may be a picture


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _MAX_ID else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


Id: TypeAlias = Annotated[str | None, BeforeValidator(_id)]
Count: TypeAlias = Annotated[int | None, BeforeValidator(_count)]


class TaskEvent(BaseModel):
    """What every frame may carry. Fields that nobody has described are kept in `model_extra`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    task_id: Id = None
    id: Id = None
    computer_id: Id = None
    step: Count = None


class StartedEvent(TaskEvent):
    type: Literal["started"]
    model: Id = None
    max_steps: Count = None


class ThinkingEvent(TaskEvent):
    type: Literal["thinking"]
    content: JsonValue = None


class ProgressEvent(TaskEvent):
    """`state`, or a text delta under a name that nobody has recorded."""

    type: Literal["progress_update"]
    state: JsonValue = None
    delta: JsonValue = None
    content: JsonValue = None
    text: JsonValue = None
    message: JsonValue = None


class ScreenshotEvent(TaskEvent):
    """`image` is a URL or a data URL; the open-source predecessor said `screenshot_url`."""

    type: Literal["screenshot"]
    image: str | None = None
    screenshot_url: str | None = None


class ExecutedEvent(TaskEvent):
    """A step that was taken. The predecessor announced it first, as `action`."""

    type: Literal["executed", "action"]
    action: JsonValue = None
    description: JsonValue = None


class ErrorEvent(TaskEvent):
    """Something went wrong, and the task goes on."""

    type: Literal["error"]
    error: JsonValue = None
    message: JsonValue = None


class CompletedEvent(TaskEvent):
    type: Literal["completed"]
    result: JsonValue = None


class FailedEvent(TaskEvent):
    type: Literal["failed"]
    status: JsonValue = None
    error_code: JsonValue = None
    retryable: JsonValue = None
    error: JsonValue = None
    message: JsonValue = None
    result: JsonValue = None


class ConfigErrorEvent(TaskEvent):
    """The task's configuration was refused; which field says how is not documented."""

    type: Literal["config_error"]
    error_code: JsonValue = None
    code: JsonValue = None
    error: JsonValue = None
    status: JsonValue = None
    message: JsonValue = None


class EndedEvent(TaskEvent):
    """An end by a limit or by somebody's hand."""

    type: Literal["max_steps", "max_duration", "cancelled", "canceled"]
    result: JsonValue = None


class ReplayGapEvent(TaskEvent):
    """Events before this one are gone."""

    type: Literal["replay_gap"]


class PersonNeededEvent(TaskEvent):
    type: Literal["login_required", "computer_parked"]
    url: JsonValue = None
    message: JsonValue = None
    reason: JsonValue = None


class UnknownEvent(TaskEvent):
    """Kept whole: a type or a shape that nobody has described.

    Attributes:
        type: The word it came with, if any.
        value: What the frame held, where it was JSON but no object, or no JSON at all.
    """

    type: str | None = None
    value: JsonValue = None


KnownEvent: TypeAlias = Annotated[
    StartedEvent
    | ThinkingEvent
    | ProgressEvent
    | ScreenshotEvent
    | ExecutedEvent
    | ErrorEvent
    | CompletedEvent
    | FailedEvent
    | ConfigErrorEvent
    | EndedEvent
    | ReplayGapEvent
    | PersonNeededEvent,
    Field(discriminator="type"),
]
AnyEvent: TypeAlias = KnownEvent | UnknownEvent

_KNOWN: Final[TypeAdapter[KnownEvent]] = TypeAdapter(KnownEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One event with what belongs to its frame.

    Attributes:
        upstream_id: The frame's SSE id.
        payload: The JSON object as it arrived, without image bytes.
        screen: The picture that the frame carried or pointed to.
        note: What the reader has to say about the frame, where it could not be read as it should.
    """

    event: AnyEvent
    upstream_id: str | None = None
    payload: Mapping[str, Json] = field(default_factory=dict)
    screen: Screen | None = None
    note: str = ""


def read_event(frame: Frame) -> Received | None:
    """The frame's event; None for a marker that means nothing (`[DONE]`). Never raises."""
    if frame.dropped_bytes:
        return _too_large(frame, frame.dropped_bytes)
    data = frame.data.strip()
    if sum(map(data.count, ("{", "[", '":'))) > MAX_PARTS:
        return _too_large(frame, len(data))
    if data == "[DONE]":
        return None
    try:
        value = _storable(json.loads(data, parse_constant=lambda _: None), depth=0)
    except (ValueError, RecursionError):
        value = None
        if len(data) <= MAX_EVENT_CHARACTERS:
            text = _storable_text(data)
            return Received(
                event=UnknownEvent(type=frame.event, value=text), upstream_id=frame.id, payload={"data": text}
            )
    if isinstance(value, dict):
        return _read_object(value, frame)
    if len(data) > MAX_EVENT_CHARACTERS:
        return _too_large(frame, len(data))
    return Received(event=UnknownEvent(type=frame.event, value=value), upstream_id=frame.id, payload={"data": value})


def _read_object(value: dict[str, Json], frame: Frame) -> Received:
    screen, payload = _without_pictures(value)
    limit = MAX_END_CHARACTERS if value.get("type") in _ENDS else MAX_EVENT_CHARACTERS
    if len(frame.data) > limit and (screen is None or screen.data is None):
        return _too_large(frame, len(frame.data))
    if "type" not in payload and frame.event is not None:
        payload = {"type": frame.event, **payload}  # not seen on Lightcone; costs nothing where it comes one day
    event: AnyEvent
    note = ""
    try:
        event = _KNOWN.validate_python(payload)
    except ValidationError:
        word = payload.get("type")
        note = f"a frame of type {word} with unexpected fields" if word in _KNOWN_TYPES else ""
        event = UnknownEvent.model_validate(
            {**payload, "type": word if isinstance(word, str) else None, "value": payload}
        )
    else:
        if isinstance(event, ScreenshotEvent) and screen is None:
            note = "the picture could not be read"
    return Received(event=event, upstream_id=frame.id, payload=payload, screen=screen, note=note)


_KNOWN_TYPES: Final = frozenset(
    {
        *("started", "thinking", "progress_update", "screenshot", "executed", "action", "error", "completed", "failed"),
        *("config_error", "max_steps", "max_duration", "cancelled", "canceled", "replay_gap"),
        *("login_required", "computer_parked"),
    }
)


_ENDS: Final = frozenset({"completed", "failed", "config_error", "max_steps", "max_duration", "cancelled", "canceled"})


def _too_large(frame: Frame, size: int) -> Received:
    note = f"a frame of {size:,} bytes was left out: it is larger than this client reads"
    return Received(
        event=UnknownEvent(type=frame.event), upstream_id=frame.id, payload={"dropped_bytes": size}, note=note
    )


def _without_pictures(value: dict[str, Json]) -> tuple[Screen | None, dict[str, Json]]:
    """The frame's picture, and the frame with a note in its place."""
    found: Screen | None = None
    kept: dict[str, Json] = {}
    is_screenshot = value.get("type") == "screenshot"
    for name, text in value.items():
        kept[name] = text
        named = is_screenshot and name in ("image", "screenshot_url")
        if not isinstance(text, str) or not (named or (len(text) > _LONG and text[:5].lower() == "data:")):
            continue
        screen = screen_of(text)
        if screen is not None and screen.data is not None:
            kept[name] = f"{screen.media_type}, {len(screen.data)} bytes"
        elif screen is None and len(text) > _LONG:
            kept[name] = f"not a picture that can be read, {len(text)} characters"
        if named and found is None:
            found = screen
    return found, kept


def _storable(value: object, *, depth: int) -> Json:
    """The same JSON, without what a database or another JSON reader would refuse.

    Raises:
        ValueError: If it is nested too deeply.
    """
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_storable(item, depth=depth + 1) for item in value]
    if isinstance(value, dict):
        return {_storable_text(str(key)): _storable(item, depth=depth + 1) for key, item in value.items()}
    return value if isinstance(value, int) else None


def _storable_text(text: str) -> str:
    if text.isascii():
        return text.replace("\x00", "\ufffd")
    return text.encode("utf-8", errors="replace").decode("utf-8").replace("\x00", "\ufffd")

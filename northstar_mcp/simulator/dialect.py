"""What nobody outside Tzafon knows about the hosted API, as switches.

Each field of `Dialect` is one open question about Lightcone; its values are the answers that somebody has seen or that
documents allow. The defaults are the answers we hold most likely. This file knows no HTTP: the routes and the agent
read a `Dialect` and act by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final, Self, TypeVar

from typing_extensions import override

Choice = TypeVar("Choice", bound=StrEnum)


class TaskIdPlace(StrEnum):
    """Where a client that started by stream finds the task's id."""

    FRAMES = "frames"
    HEADER = "header"
    NOWHERE = "nowhere"


class Reattach(StrEnum):
    """How a client gets back to a stream that broke."""

    GET = "get"
    POST = "post"
    NONE = "none"


class OutOfSteps(StrEnum):
    """What is seen of a task whose `max_steps` are used up."""

    ENDS = "ends"
    STATUS_RUNNING = "status_running"
    SILENT = "silent"


class StatusFields(StrEnum):
    """Whether the status reply tells more than status and exit code."""

    PLAIN = "plain"
    EXTRA = "extra"


class FrameIds(StrEnum):
    """Whether SSE frames carry an `id:` line."""

    PRESENT = "present"
    ABSENT = "absent"


class AfterEnd(StrEnum):
    """The reply to pause, resume and messages once the task has ended."""

    CONFLICT = "conflict"
    MISSING = "missing"
    ACCEPTED = "accepted"


class ActionShape(StrEnum):
    """The shape of `action` in an `executed` frame."""

    OBJECT = "object"
    TEXT = "text"


class Switch(StrEnum):
    """A plain yes or no."""

    YES = "yes"
    NO = "no"


class DeltaField(StrEnum):
    """The field of `progress_update` that carries a text delta."""

    DELTA = "delta"
    TEXT = "text"
    CONTENT = "content"


MEANINGS: Final[Mapping[str, str]] = {
    "task_id": "the task id is in every frame, in the X-Task-ID header of the stream, or nowhere",
    "reattach": "GET /agent/tasks/{id}/stream, POST /agent/tasks/stream with the same key, or no way at all",
    "idempotent_stream": "the same key on /agent/tasks/stream finds the same task (no: it starts a second one)",
    "shared_keys": "/agent/tasks and /agent/tasks/stream know each other's keys",
    "status_fields": "GET status is plain, or carries result, error and computer_id as extras",
    "out_of_steps": "a max_steps frame and status; a frame but `running` for ever; neither, pings only",
    "frame_ids": "SSE frames have an id line or not",
    "after_end": "pause, resume, messages on an ended task: 409, 404, or accepted and ignored",
    "action": "executed.action is an object or a line of text",
    "delta_field": "the field of progress_update that carries text deltas",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One consistent set of answers; `MEANINGS` explains each key."""

    task_id: TaskIdPlace = TaskIdPlace.FRAMES
    reattach: Reattach = Reattach.GET
    idempotent_stream: Switch = Switch.YES
    shared_keys: Switch = Switch.YES
    status_fields: StatusFields = StatusFields.PLAIN
    out_of_steps: OutOfSteps = OutOfSteps.ENDS
    frame_ids: FrameIds = FrameIds.PRESENT
    after_end: AfterEnd = AfterEnd.CONFLICT
    action: ActionShape = ActionShape.OBJECT
    delta_field: DeltaField = DeltaField.DELTA

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `key=value,key=value`; raise ValueError that names the keys or values there are."""
        words = _words(text)
        known = [field.name for field in fields(cls)]
        for key in words:
            if key not in known:
                raise ValueError(f"unknown dialect key {key!r}: the keys are {', '.join(known)}")
        plain = cls()
        return cls(
            task_id=_choose(words, "task_id", plain.task_id),
            reattach=_choose(words, "reattach", plain.reattach),
            idempotent_stream=_choose(words, "idempotent_stream", plain.idempotent_stream),
            shared_keys=_choose(words, "shared_keys", plain.shared_keys),
            status_fields=_choose(words, "status_fields", plain.status_fields),
            out_of_steps=_choose(words, "out_of_steps", plain.out_of_steps),
            frame_ids=_choose(words, "frame_ids", plain.frame_ids),
            after_end=_choose(words, "after_end", plain.after_end),
            action=_choose(words, "action", plain.action),
            delta_field=_choose(words, "delta_field", plain.delta_field),
        )

    @override
    def __str__(self) -> str:
        """The text that `parse` reads back."""
        return ",".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


def _words(text: str) -> dict[str, str]:
    words: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f"a dialect is written key=value,key=value, not {part!r}")
        if key in words:
            raise ValueError(f"dialect key {key!r} is given twice")
        words[key] = value
    return words


def _choose(words: Mapping[str, str], key: str, default: Choice) -> Choice:
    if key not in words:
        return default
    choices = type(default)
    try:
        return choices(words[key])
    except ValueError:
        raise ValueError(f"dialect key {key!r} takes {', '.join(choices)}, not {words[key]!r}") from None

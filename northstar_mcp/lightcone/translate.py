"""Lightcone's events and status words in the core's words. The one place that knows both.

What an event means is in `_MEANINGS` and `_STATUS`; the rest makes one readable line of it. An error built here
carries Lightcone's codes and our own sentences only: free text may quote a screen, so it goes into the observation's
`text` and `result`, which are data.
"""

import re
from collections.abc import Mapping
from typing import Final

from northstar_mcp.lightcone.events import (
    AnyEvent,
    CompletedEvent,
    ConfigErrorEvent,
    EndedEvent,
    ErrorEvent,
    ExecutedEvent,
    FailedEvent,
    PersonNeededEvent,
    ProgressEvent,
    Received,
    ReplayGapEvent,
    ScreenshotEvent,
    StartedEvent,
    ThinkingEvent,
    UnknownEvent,
)
from northstar_mcp.lightcone.words import line_of, one_line
from northstar_mcp.tasks.model import EventType, Json, Observation, TaskError
from northstar_mcp.tasks.states import Happening

_MEANINGS: Final[Mapping[str, tuple[EventType, Happening | None]]] = {
    "started": (EventType.STARTED, Happening.STARTED),
    "thinking": (EventType.THINKING, Happening.ACTED),
    "progress_update": (EventType.PROGRESS, None),
    "screenshot": (EventType.SCREENSHOT, None),
    "action": (EventType.ACTION, Happening.ACTED),
    "executed": (EventType.ACTION, Happening.ACTED),
    "error": (EventType.PROBLEM, None),
    "completed": (EventType.COMPLETED, Happening.COMPLETED),
    "failed": (EventType.FAILED, Happening.FAILED),
    "config_error": (EventType.FAILED, Happening.FAILED),
    "max_steps": (EventType.OUT_OF_STEPS, Happening.STEPS_EXHAUSTED),
    "max_duration": (EventType.OUT_OF_TIME, Happening.TIME_EXHAUSTED),
    "cancelled": (EventType.STOPPED, Happening.STOPPED),
    "canceled": (EventType.STOPPED, Happening.STOPPED),
    "login_required": (EventType.NEEDS_INPUT, Happening.PERSON_NEEDED),
    "computer_parked": (EventType.NEEDS_INPUT, Happening.PERSON_NEEDED),
    "replay_gap": (EventType.GAP, None),
}

_STATUS: Final[Mapping[str, Happening]] = {
    "completed": Happening.COMPLETED,
    "failed": Happening.FAILED,
    "error": Happening.FAILED,
    "expired": Happening.FAILED,
    "cancelled": Happening.STOPPED,
    "canceled": Happening.STOPPED,
    "stopped": Happening.STOPPED,
    "terminated": Happening.STOPPED,
    "max_steps": Happening.STEPS_EXHAUSTED,
    "max_duration": Happening.TIME_EXHAUSTED,
    "timeout": Happening.TIME_EXHAUSTED,
    "paused": Happening.PAUSE_CONFIRMED,
}

_ENDED: Final[Mapping[str, str]] = {
    "max_steps": "Northstar used up its steps before it was done.",
    "max_duration": "Northstar ran out of time before it was done.",
    "cancelled": "The task was cancelled.",
    "canceled": "The task was cancelled.",
}

_REMEDIES: Final[Mapping[str, str]] = {
    "session_expired": "The computer's session ended under the task. Start the task again; where it needs a saved "
    "state, use a persistent computer.",
    "exec_failed": "Look at the last screenshot (task_screenshot), then start the task again with more precise "
    "instructions.",
    "invalid_token": "Ask the user to check TZAFON_API_KEY and to restart the server.",
    "model_not_found": "Start the task again without `model`, or with one that the account may use.",
    "invalid_kind": 'Start the task again with `kind` "browser" or "desktop", or without it.',
    "api_error": "Lightcone could not set the task up. Try again in a minute with the same arguments.",
}

_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def happening_of(word: str, *, exit_code: int | None = None) -> Happening | None:
    """What a status of GET /agent/tasks/{id} means; None for every word that is not known to mean an end or a pause."""
    happening = _STATUS.get(word.strip().lower())
    if happening is Happening.COMPLETED and exit_code not in (None, 0):
        return Happening.FAILED
    return happening


def observe(received: Received) -> Observation:
    """The observation that the core is told."""
    event = received.event
    kind, happening = _MEANINGS.get(event.type or "", (EventType.UNKNOWN, None))
    if isinstance(event, UnknownEvent):
        kind, happening = EventType.UNKNOWN, None
    text = _text(event)
    if received.note:
        text = one_line(f"{text} ({received.note})" if text else received.note)
    return Observation(
        type=kind,
        text=text,
        happening=happening,
        upstream_id=received.upstream_id,
        upstream_type=None if event.type is None else one_line(event.type, limit=80),
        northstar_task_id=event.task_id or event.id,
        computer_id=event.computer_id,
        model=event.model if isinstance(event, StartedEvent) else None,
        result=_result(event),
        error=_error(event),
        step=event.step,
        screen=received.screen,
        payload=received.payload,
    )


def describe_action(action: Json) -> str:
    """`click (12, 34)`, `type "hello"`, `hotkey ctrl+s`: an action of any shape, as one line."""
    if not isinstance(action, dict):
        return line_of(action)
    rest = dict(action)
    name = next(
        (line_of(rest.pop(key)) for key in ("type", "action", "name", "kind") if isinstance(rest.get(key), str)),
        "action",
    )
    nested = next((rest[key] for key in ("arguments", "args", "params") if isinstance(rest.get(key), dict)), None)
    if isinstance(nested, dict):
        rest = {**{key: value for key, value in rest.items() if value is not nested}, **nested}
    parts = [name]
    if "x" in rest and "y" in rest:
        parts.append(f"({line_of(rest.pop('x'))}, {line_of(rest.pop('y'))})")
    for key, value in rest.items():
        if value is None:
            continue
        if key == "keys" and isinstance(value, list):
            parts.append("+".join(line_of(item) for item in value))
        elif key in ("text", "keys", "key", "url"):
            parts.append(f'"{line_of(value)}"' if key == "text" else line_of(value))
        else:
            parts.append(f"{one_line(key, limit=40)}={line_of(value, limit=80)}")
    return one_line(" ".join(parts))


def _text(event: AnyEvent) -> str:  # noqa: C901 - one line per event type
    match event:
        case StartedEvent():
            on = f" on computer {event.computer_id}" if event.computer_id else ""
            return one_line(f"Northstar started{on}" + (f" with {event.model}" if event.model else ""))
        case ThinkingEvent():
            return line_of(event.content) or "Northstar is thinking."
        case ProgressEvent():
            return _first(event.state, event.content, event.text, event.message, event.delta) or "Northstar is working."
        case ScreenshotEvent():
            return "Screenshot"
        case ExecutedEvent():
            return describe_action(event.action) or line_of(event.description) or "Northstar took a step."
        case ErrorEvent():
            return _first(event.error, event.message) or "Northstar met a problem and goes on."
        case CompletedEvent():
            return line_of(event.result) or "Northstar says that the task is done."
        case FailedEvent():
            return one_line(
                f"Failed: {_first(event.error, event.message, event.result, event.error_code, event.status)}".rstrip(
                    ": "
                )
            )
        case ConfigErrorEvent():
            return one_line(
                f"Refused: {_first(event.message, event.error, event.error_code, event.code, event.status)}".rstrip(
                    ": "
                )
            )
        case EndedEvent():
            return _ENDED[event.type]
        case ReplayGapEvent():
            return "Events before this one may be missing."
        case PersonNeededEvent():
            what = (
                "Northstar waits for a log-in" if event.type == "login_required" else "Northstar's computer is parked"
            )
            return one_line(": ".join(filter(None, (what, _first(event.message, event.reason, event.url)))))
        case UnknownEvent():
            return line_of(event.value)


def _first(*values: Json) -> str:
    return next((line for value in values if (line := line_of(value))), "")


def _result(event: AnyEvent) -> str | None:
    """The final words of the task, uncut."""
    if not isinstance(event, CompletedEvent | FailedEvent | EndedEvent) or event.result is None:
        return None
    return event.result if isinstance(event.result, str) else line_of(event.result, limit=100_000)


def _error(event: AnyEvent) -> TaskError | None:
    if isinstance(event, FailedEvent):
        code = _code(event.error_code) or _code(event.status)
        retryable = event.retryable is True or str(event.retryable).lower() == "true"
        return _task_error("Northstar reported that the task failed", code, retryable=retryable)
    if isinstance(event, ConfigErrorEvent):
        code = next(
            filter(None, map(_code, (event.error_code, event.code, event.error, event.status, event.message))), None
        )
        return _task_error("Lightcone refused the task's configuration", code, retryable=code == "api_error")
    return None


def _task_error(what: str, code: str | None, *, retryable: bool) -> TaskError:
    remedy = _REMEDIES.get(code or "") or (
        "Start the task again with the same arguments."
        if retryable
        else "See the task's last events for the reason; starting the same task again will probably fail the same way."
    )
    message = f"{what} ({code})." if code else f"{what}."
    return TaskError(category=code or "task_failed", message=message, retryable=retryable, remedy=remedy)


def _code(value: Json) -> str | None:
    """The value, where it is a word that a program says, and not a sentence that may have come from a page."""
    if not isinstance(value, str) or value.lower() in ("failed", "error"):
        return None
    return value if _CODE.fullmatch(value) else None

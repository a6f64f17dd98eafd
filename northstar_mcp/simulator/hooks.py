"""Bracketed words in an instruction that make the scripted agent behave in a chosen way.

`HOOKS` is the whole list. A hook is taken out of the instruction before steps are made of the rest. This file only
reads text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HOOKS: Final[Mapping[str, str]] = {
    "[steps=N]": "exactly N steps, 1 to 500",
    "[result=TEXT]": "the completed frame's result is exactly TEXT",
    "[step_seconds=X]": "each step of this task takes X real seconds",
    "[error at N]": "step N emits a non-terminal error frame, then goes on",
    "[unknown at N]": "step N also emits a frame of a type that no document names",
    "[login at N]": "before step N: login_required, computer_parked, then the task is paused until resumed",
    "[fail] [fail at N] [fail=CODE]": "terminal failed with error_code CODE (exec_failed), in place of step N",
    "[config_error] [config_error=CODE]": "terminal config_error (model_not_found), in place of step 1",
    "[cancelled] [cancelled at N]": "terminal cancelled, in place of step N",
    "[crash] [crash at N]": "the stream ends without a terminal frame, in place of step N",
    "[wedge] [wedge at N]": "nothing but pings from here on, in place of step N; status stays running",
}
"""Where N is not given it is 3; a step beyond the last one means: where the task would have completed."""

_HOOK: Final = re.compile(
    r"\[(steps|result|step_seconds|error|unknown|login|fail|config_error|cancelled|crash|wedge)"
    r"(?:=([^\]]*)|\s+at\s+(\d+))?\]"
)
_MAX_STEPS: Final = 500


class Interruption(StrEnum):
    """Ways in which a task does not complete."""

    FAIL = "fail"
    CONFIG_ERROR = "config_error"
    CANCELLED = "cancelled"
    CRASH = "crash"
    WEDGE = "wedge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the brackets of one instruction ask for."""

    steps: int | None = None
    result: str | None = None
    step_seconds: float | None = None
    errors_at: frozenset[int] = frozenset()
    unknown_at: frozenset[int] = frozenset()
    logins_at: frozenset[int] = frozenset()
    interruption: Interruption | None = None
    interruption_at: int = 3
    code: str = ""


def read_hooks(instruction: str) -> tuple[str, Hooks]:
    """The instruction without its hooks, and what they ask for. A value that cannot be read has no effect."""
    given: dict[str, str] = {}
    at: dict[str, set[int]] = {}
    for name, value, step in _HOOK.findall(instruction):
        given[name] = value
        if step:
            at.setdefault(name, set()).add(int(step))
    plain = re.sub(r"[ \t]{2,}", " ", _HOOK.sub("", instruction)).strip()
    interruption = next((kind for kind in Interruption if kind in given), None)
    return plain, Hooks(
        steps=_count(given.get("steps")),
        result=given.get("result"),
        step_seconds=_seconds(given.get("step_seconds")),
        errors_at=frozenset(at.get("error", ())),
        unknown_at=frozenset(at.get("unknown", ())),
        logins_at=frozenset(at.get("login", ())),
        interruption=interruption,
        interruption_at=_interruption_at(interruption, at),
        code=given.get(interruption, "") if interruption else "",
    )


def _interruption_at(interruption: Interruption | None, at: Mapping[str, set[int]]) -> int:
    default = 1 if interruption is Interruption.CONFIG_ERROR else 3
    return min(at.get(interruption or "", {default}))


def _count(text: str | None) -> int | None:
    return min(max(int(text), 1), _MAX_STEPS) if text and text.isdecimal() else None


def _seconds(text: str | None) -> float | None:
    try:
        return min(max(float(text), 0.0), 3600.0) if text else None
    except ValueError:
        return None

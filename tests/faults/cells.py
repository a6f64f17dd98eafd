"""The fault matrix: what goes wrong, at which point of a task's life, at which Lightcone.

A cell is one task against one simulator with one plan of faults. The plans are data; `cells()` multiplies them with the dialects that
matter for each. Nothing here knows what is expected: that is the witness's matter (witness.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

from typing_extensions import override

from northstar_mcp.simulator import Fault

START: Final = "/agent/tasks/stream"
PLAIN_START: Final = "/agent/tasks"
REATTACH: Final = "/agent/tasks/task_*/stream"
STATUS: Final = "/agent/tasks/task_" + "?" * 24
STEPS: Final = 4  # frames: started, then four a step, then the end

_REFUSALS: Final = (400, 401, 402, 403, 409, 422, 429)  # say that nothing was done
_UNCLEAR: Final = (408, 500, 502, 503)
_PAGE: Final = {"status": 200, "body": "<html>Sign in</html>", "headers": {"content-type": "text/html"}}
_NO_TASK: Final = {"status": 200, "body": {"ok": True}, "headers": {"content-type": "application/json"}}
_HALF: Final = {"status": 200, "body": '{"task_id": "ta', "headers": {"content-type": "application/json"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What goes wrong.

    Attributes:
        instruction: Hooks for the scripted agent.
        more: Further parameters of the start.
    """

    name: str
    faults: tuple[Fault, ...] = ()
    instruction: str = ""
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run."""

    plan: Plan
    dialect: str
    reattach: str

    @override
    def __str__(self) -> str:
        return f"{self.plan.name} at [{self.dialect}]"


def _fault(path: str, deed: dict[str, Any], *, method: str = "*", times: int = 1, skip: int = 0) -> Fault:
    return Fault.model_validate({"match": {"method": method, "path": path}, "times": times, "skip": skip, "do": deed})


def _cut(path: str, frames: int, *, times: int = 1) -> Fault:
    return _fault(path, {"drop": "after_frames", "count": frames}, times=times)


def _start_plans() -> Iterator[Plan]:
    """The request for the stream is refused, lost, or answered with something else: once, or every time."""
    for times in (1, 9):
        for drop in ("before_request", "before_response"):
            yield Plan(name=f"start: {drop} x{times}", faults=(_fault(START, {"drop": drop}, times=times),))
        for status in (*_REFUSALS, *_UNCLEAR):
            yield Plan(name=f"start: {status} x{times}", faults=(_fault(START, {"status": status}, times=times),))
        for status in _UNCLEAR:
            deed = {"status": status, "processed": True}
            yield Plan(name=f"start: {status} though done x{times}", faults=(_fault(START, deed, times=times),))
        for status in _REFUSALS:
            lost = _fault(START, {"drop": "before_response"})
            name = f"start: done and lost, then {status} x{times}"
            yield Plan(name=name, faults=(lost, _fault(START, {"status": status}, times=times)))
        for what, answer in (("a page", _PAGE), ("JSON without a task", _NO_TASK), ("half an answer", _HALF)):
            for processed in (False, True):
                name = f"start: {what}{' though done' if processed else ''} x{times}"
                yield Plan(name=name, faults=(_fault(START, {**answer, "processed": processed}, times=times),))


def _lost_start_plans() -> Iterator[Plan]:
    """The start is done and its answer lost for good; then asking for the task by its key goes wrong as well."""
    lost = _fault(START, {"drop": "before_response"}, times=9)
    deeds: dict[str, dict[str, Any]] = {
        "drop before": {"drop": "before_request"},
        "drop after": {"drop": "before_response"},
        "500": {"status": 500},
        "500 though done": {"status": 500, "processed": True},
        "429": {"status": 429},
        "half an answer": _HALF,
        "a page": _PAGE,
    }
    for (name, deed), times in product(deeds.items(), (1, 4)):
        yield Plan(
            name=f"start lost, then asked: {name} x{times}",
            faults=(lost, _fault(PLAIN_START, deed, method="POST", times=times)),
        )


def _stream_plans() -> Iterator[Plan]:
    """The stream is cut: before the first frame, among them, before and behind the last; and again when it was reopened."""
    for frames in (0, 1, 2, 3, 6, 9, 16, 17, 18):
        yield Plan(name=f"stream cut after {frames}", faults=(_cut(START, frames),))
    for frames, times in ((0, 3), (1, 3), (2, 2), (5, 2)):
        faults = (_cut(START, 2), _cut(REATTACH, frames, times=times))
        yield Plan(name=f"stream cut after 2, reopened and cut after {frames} x{times}", faults=faults)
    for status in (404, 429, 500, 503):
        faults = (_cut(START, 3), _fault(REATTACH, {"status": status}, times=3))
        yield Plan(name=f"stream cut after 3, reopening answers {status} x3", faults=faults)
    yield Plan(
        name="stream cut after 3, reopening answers a page", faults=(_cut(START, 3), _fault(REATTACH, _PAGE, times=2))
    )


def _status_plans() -> Iterator[Plan]:
    """The stream is gone, and asking for the state goes wrong."""
    deeds: dict[str, dict[str, Any]] = {
        "404": {"status": 404},
        "500": {"status": 500},
        "429": {"status": 429},
        "a page": _PAGE,
        "half an answer": _HALF,
        "drop": {"drop": "before_response"},
        "running": {"status": 200, "body": {"status": "running"}},
        "a strange word": {"status": 200, "body": {"status": "transmogrified"}},
    }
    for (name, deed), times in product(deeds.items(), (1, 3)):
        faults = (_cut(START, 3), _fault(STATUS, deed, method="GET", times=times))
        yield Plan(name=f"stream cut after 3, state answers {name} x{times}", faults=faults)


def _agent_plans() -> Iterator[Plan]:
    """The agent itself ends oddly."""
    for hook in ("[crash at 2]", "[fail at 2]", "[cancelled at 2]", "[config_error]", "[error at 2]", "[unknown at 2]"):
        yield Plan(name=f"agent: {hook}", instruction=hook)
        yield Plan(name=f"agent: {hook}, stream cut after 2", instruction=hook, faults=(_cut(START, 2),))
    yield Plan(name="agent: out of steps", more={"max_steps": 2})
    yield Plan(name="agent: out of steps, stream cut after 6", more={"max_steps": 2}, faults=(_cut(START, 6),))
    yield Plan(name="agent: wedged past its limit", instruction="[wedge at 2]", more={"max_duration_seconds": 1})


_NAMES: Final = ("frames", "header", "nowhere")
_WAYS: Final = (("get", "get"), ("post", "post"), ("none", "get"))  # what Lightcone offers, what this server tries


def cells() -> Iterator[Cell]:
    """All of them."""
    for plan, (way, tried), name in product(_start_plans(), _WAYS, ("frames", "nowhere")):
        yield Cell(plan=plan, dialect=f"task_id={name}, reattach={way}", reattach=tried)
    for plan, (way, tried) in product(_start_plans(), _WAYS):
        yield Cell(plan=plan, dialect=f"shared_keys=no, reattach={way}", reattach=tried)
    for plan, (way, tried), shared in product(_lost_start_plans(), _WAYS, ("yes", "no")):
        yield Cell(plan=plan, dialect=f"shared_keys={shared}, reattach={way}", reattach=tried)
    for plan, name, (way, tried), ids in product(_stream_plans(), _NAMES, _WAYS, ("present", "absent")):
        yield Cell(plan=plan, dialect=f"task_id={name}, reattach={way}, frame_ids={ids}", reattach=tried)
    for plan, (way, tried), told in product(_status_plans(), _WAYS, ("plain", "extra")):
        yield Cell(plan=plan, dialect=f"reattach={way}, status_fields={told}", reattach=tried)
    for plan, steps, (way, tried) in product(_agent_plans(), ("ends", "status_running", "silent"), _WAYS):
        yield Cell(plan=plan, dialect=f"out_of_steps={steps}, reattach={way}", reattach=tried)

"""What was asked of the simulator and what it did: the independent witness of tests.

Bounded: the oldest entries go first, long texts are shortened; `counts` is never shortened. No key is written down: the
Authorization header is kept as a digest, enough to tell two keys apart.
"""

import hashlib
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

KEPT_TEXT: Final = 20_000
KEPT_FRAMES: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request; `status` is None where no response was begun, `fault` names what was injected."""

    method: str
    path: str
    query: str
    status: int | None
    fault: str | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One accepted start: by which operation, with what, and whether it found an existing task."""

    task_id: str
    operation: str
    idempotency_key: str | None
    reused: bool
    body: Mapping[str, object]
    headers: Mapping[str, str]
    at: float


@dataclass(frozen=True, slots=True)
class Emitted:
    """One frame that the agent wrote to a task's stream."""

    id: int
    type: str
    at: float


class Journal:
    """The record of one simulator."""

    def __init__(self, *, kept: int = 5_000) -> None:
        self._kept = kept
        self.calls: deque[Call] = deque(maxlen=kept)
        self.starts: deque[Start] = deque(maxlen=kept)
        self.frames: OrderedDict[str, deque[Emitted]] = OrderedDict()
        self.counts: Counter[str] = Counter()

    def called(self, method: str, path: str, query: str, *, status: int | None, fault: str | None) -> None:
        """Write down a request that is over."""
        self.counts["calls"] += 1
        self.calls.append(
            Call(
                method=method,
                path=path[:KEPT_TEXT],
                query=query[:KEPT_TEXT],
                status=status,
                fault=fault,
                at=time.time(),
            )
        )

    def started(
        self,
        task_id: str,
        *,
        operation: str,
        idempotency_key: str | None,
        reused: bool,
        body: Mapping[str, object],
        headers: Mapping[str, str],
    ) -> None:
        """Write down an accepted start."""
        self.counts["starts"] += 1
        self.counts["starts_reused" if reused else "tasks_started"] += 1
        self.starts.append(
            Start(
                task_id=task_id,
                operation=operation,
                idempotency_key=idempotency_key,
                reused=reused,
                body={key: _shortened(value) for key, value in body.items()},
                headers={name: _without_secret(name, value) for name, value in headers.items()},
                at=time.time(),
            )
        )

    def emitted(self, task_id: str, frame_id: int, frame_type: str) -> None:
        """Write down a frame."""
        self.counts["frames"] += 1
        if task_id not in self.frames:
            self.frames[task_id] = deque(maxlen=KEPT_FRAMES)
            while len(self.frames) > self._kept:
                self.frames.popitem(last=False)
        self.frames[task_id].append(Emitted(frame_id, frame_type, time.time()))

    def frame_types(self, task_id: str) -> list[str]:
        """The types of a task's frames, in order."""
        return [frame.type for frame in self.frames.get(task_id, ())]


def digest(authorization: str) -> str:
    """Tells keys apart without showing them."""
    return "sha256:" + hashlib.sha256(authorization.encode()).hexdigest()[:12]


def _without_secret(name: str, value: str) -> str:
    return digest(value) if name.lower() in {"authorization", "cookie"} else value[:KEPT_TEXT]


def _shortened(value: object) -> object:
    if isinstance(value, str) and len(value) > KEPT_TEXT:
        return f"{value[:KEPT_TEXT]}… (+{len(value) - KEPT_TEXT} characters)"
    return value

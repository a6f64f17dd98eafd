"""One agent task as the API sees it, and the bounded collection of all of them.

A task's status and its frames change here and nowhere else; the agent (agent.py) says what happened, the routes ask. A
task ends once: `end` after the end changes nothing.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import anyio

from northstar_mcp.simulator.computers import Computer
from northstar_mcp.simulator.dialect import Dialect, FrameIds, StatusFields, TaskIdPlace
from northstar_mcp.simulator.frames import FrameLog
from northstar_mcp.simulator.journal import Journal
from northstar_mcp.simulator.refusals import concurrent_limit, not_found
from northstar_mcp.simulator.requests import StartBody
from northstar_mcp.simulator.settings import SimulatorSettings

KEPT_MESSAGES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a task's work is over: the status that GET shows from then on, and the terminal frame, if there is one.

    `cut`: the stream ends all the same. Neither frame nor cut: the stream stays open and only pings.
    """

    status: str
    frame: dict[str, object] | None = None
    cut: bool = False


SESSION_EXPIRED: Final = Ending(
    status="failed",
    frame={"type": "failed", "status": "failed", "error_code": "session_expired", "retryable": True},
)


class AgentTask:
    """One task."""

    def __init__(
        self,
        task_id: str,
        *,
        start: StartBody,
        computer: Computer,
        owns_computer: bool,
        base_url: str,
        settings: SimulatorSettings,
        journal: Journal,
    ) -> None:
        self.id = task_id
        self.start = start
        self.computer = computer
        self.owns_computer = owns_computer
        self.base_url = base_url
        self.frames = FrameLog(
            kept_frames=settings.kept_frames,
            kept_bytes=settings.kept_frame_bytes,
            with_ids=settings.dialect.frame_ids is FrameIds.PRESENT,
        )
        self.status = "running"
        self.result: str | None = None
        self.error: str | None = None
        self.inbox: deque[str] = deque(maxlen=KEPT_MESSAGES)
        self.picked_up: deque[str] = deque(maxlen=KEPT_MESSAGES)
        self.steps_done = 0
        self.over = False
        self.over_at: float | None = None
        self.created_at = time.time()
        self.work = anyio.CancelScope()
        self._pause_wanted = False
        self._changed = anyio.Event()
        self._dialect: Dialect = settings.dialect
        self._stream_kept = settings.scaled(settings.stream_kept_seconds)
        self._journal = journal

    def emit(self, frame_type: str, **more: object) -> None:
        """Write a frame to the stream."""
        named = {"task_id": self.id} if self._dialect.task_id is TaskIdPlace.FRAMES else {}
        frame = self.frames.append({"type": frame_type, **named, **more})
        self._journal.emitted(self.id, frame.id, frame.type)

    def end(self, ending: Ending) -> None:
        """The work is over. Only the first end counts."""
        if self.over:
            return
        self.status = ending.status
        if ending.frame is not None:
            self.result = _text(ending.frame.get("result"))
            self.error = _text(ending.frame.get("error") or ending.frame.get("error_code"))
            more = {key: value for key, value in ending.frame.items() if key != "type"}
            self.emit(str(ending.frame["type"]), **more)
        if ending.frame is not None or ending.cut:
            self.over = True
            self.over_at = time.monotonic()
            self.frames.close(orderly=ending.frame is not None)

    def pause(self) -> None:
        """Ask the agent to stop at its next step."""
        self._pause_wanted = True
        self._wake()

    def resume(self) -> None:
        """Let the agent go on."""
        self._pause_wanted = False
        self._wake()

    def message(self, text: str) -> None:
        """Put a message where the agent finds it at its next step; the oldest unread goes where there are too many."""
        self.inbox.append(text)

    async def gate(self) -> None:
        """Where the agent stands while it is paused."""
        if not self._pausing():
            return
        self.status = "paused"
        self.emit("progress_update", state="paused")
        while self._pausing():
            await self._changed.wait()
        self.status = "running"
        self.emit("progress_update", state="running")

    @property
    def stream_gone(self) -> bool:
        """Whether the time in which an ended stream can be read again is over."""
        return self.over_at is not None and time.monotonic() - self.over_at > self._stream_kept

    def describe(self) -> dict[str, object]:
        """As GET /agent/tasks/{id} answers."""
        told: dict[str, object] = {"status": self.status, "task_id": self.id}
        if self.over and self.status != "running":
            told["exit_code"] = 0 if self.status == "completed" else 1
        if self._dialect.status_fields is StatusFields.EXTRA:
            told |= {"computer_id": self.computer.id}
            told |= {"result": self.result} if self.result is not None else {}
            told |= {"error": self.error} if self.error is not None else {}
        return told

    def _pausing(self) -> bool:
        return self._pause_wanted

    def _wake(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


@dataclass(slots=True, kw_only=True)
class Tasks:
    """Every task of one simulator, the newest `kept` of them."""

    kept: int
    _by_id: OrderedDict[str, AgentTask] = field(default_factory=OrderedDict)
    _by_key: dict[tuple[str, str], AgentTask] = field(default_factory=dict)

    def __iter__(self) -> Iterator[AgentTask]:
        return iter(list(self._by_id.values()))

    def get(self, task_id: str) -> AgentTask:
        """The task, or 404."""
        task = self._by_id.get(task_id)
        if task is None:
            raise not_found()
        return task

    def with_key(self, realm: str, key: str | None) -> AgentTask | None:
        """The task that a start with this key made, where keys of this realm are kept."""
        return self._by_key.get((realm, key)) if key else None

    def make_room(self) -> None:
        """Forget the oldest ended task where there are too many; 429 where none has ended."""
        for task in self:
            if task.stream_gone:
                task.frames.forget()
        if len(self._by_id) < self.kept:
            return
        oldest = next((task for task in self if task.over), None)
        if oldest is None:
            raise concurrent_limit()
        del self._by_id[oldest.id]
        self._by_key = {key: task for key, task in self._by_key.items() if task is not oldest}

    def add(self, task: AgentTask, *, realm: str, key: str | None) -> None:
        """Keep a task, findable by its key."""
        self._by_id[task.id] = task
        if key:
            self._by_key[realm, key] = task

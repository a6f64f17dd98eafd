"""The values that the core speaks of: requests, tasks, events, receipts, screens.

All are frozen. A change makes a new value, and the ledger keeps it; nothing here does I/O or reads a clock.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from northstar_mcp.errors import NorthstarError
from northstar_mcp.tasks.states import Happening, State

LOCAL: Final = "local"
"""The one principal there is where nobody has to say who they are: on stdio, on the command line, and over HTTP on this machine."""

_COMPUTER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
Kind: TypeAlias = Literal["desktop", "browser"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    """What was asked for, after the operator's policy was applied. None means: left to Lightcone's default.

    The names and meanings are Lightcone's (POST /agent/tasks). `max_steps` and `max_duration_seconds` are always sent.
    """

    instruction: str
    max_steps: int
    max_duration_seconds: int
    kind: Kind | None = None
    start_url: str | None = None
    model: str | None = None
    temperature: float | None = None
    screenshot_mode: Literal["url", "base64"] | None = None
    viewport_width: int | None = None
    viewport_height: int | None = None
    persistent: bool | None = None
    environment_id: str | None = None
    computer_id: str | None = None
    on_missing_computer: Literal["fail", "restore", "create_new"] | None = None
    keep_alive: bool | None = None

    def set_fields(self) -> dict[str, Json]:
        """The fields that have a value, by name: what is sent, stored and compared."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    """Why a task did not do its work, in words that a model can act on."""

    category: str
    message: str
    retryable: bool
    remedy: str

    @classmethod
    def of(cls, error: NorthstarError) -> "TaskError":
        """The same facts as a value that can be stored."""
        return cls(category=error.category, message=error.message, retryable=error.retryable, remedy=error.remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work handed to Northstar, as far as it is known.

    Attributes:
        task_id: Ours, unguessable, minted before anything is sent.
        principal: Who it belongs to.
        account: Which Lightcone address and key it was started with (a fingerprint); only these can follow it.
        idempotency_key: What Lightcone is sent with the start, and with every retry of it.
        fingerprint: Of the caller's normalised arguments; equal for repeats of one call.
        caller_key: The `idempotency_key` that the caller gave, if any; given back where the start was refused.
        revision: Grows by one with every change; a change names the revision it was decided on.
        seq: Number of the last event; 0 before the first.
        last_upstream_id: Lightcone's own id of the last frame that was recorded (SSE `id:`).
        upstream_status: Lightcone's last word on the task, verbatim.
        clamped: What the operator's policy changed, one sentence each.
        start_sent_at: When the start was first sent; None means that nothing can have been started.
        stopping: Where this server has done what ends it (its computer was terminated, Northstar was told to stop): what that end is
            called, however Lightcone calls it.
        paused_at: While it is paused or needs a person: when that was confirmed last.
        waits_for: While it needs a person: what for, in a line. It may quote a screen.
        name_asked_at: When Lightcone was asked for its id by repeating the start. It is asked once: where that started a second task,
            asking again would find that one.
        second_task_id: Lightcone's id of another task that it started by mistake under this one's key. The key is of no use then.
    """

    task_id: str
    principal: str
    request: TaskRequest
    idempotency_key: str
    fingerprint: str
    created_at: datetime
    updated_at: datetime
    state: State = State.STARTING
    account: str = ""
    caller_key: str | None = None
    revision: int = 0
    seq: int = 0
    last_upstream_id: str | None = None
    upstream_status: str | None = None
    northstar_task_id: str | None = None
    computer_id: str | None = None
    model: str | None = None
    result: str | None = None
    exit_code: int | None = None
    error: TaskError | None = None
    steps: int = 0
    clamped: tuple[str, ...] = ()
    start_sent_at: datetime | None = None
    stopping: Happening | None = None
    paused_at: datetime | None = None
    waits_for: str | None = None
    name_asked_at: datetime | None = None
    second_task_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def owns_computer(self) -> bool:
        """True where Lightcone made the computer for this task alone, so that ending it ends nobody else's work."""
        asked = self.request
        return asked.computer_id is None and asked.environment_id is None and not asked.keep_alive

    @property
    def live_view_url(self) -> str | None:
        """Where a person with a Lightcone account can watch the computer and take over, while the task has one."""
        if self.computer_id is None or self.state.ended or not _COMPUTER_ID.fullmatch(self.computer_id):
            return None
        return f"https://lightcone.ai/c/{self.computer_id}"

    def elapsed_seconds(self, now: datetime) -> float:
        """From its beginning to its end, or until now."""
        return max(0.0, ((self.ended_at or now) - (self.started_at or self.created_at)).total_seconds())


class EventType(StrEnum):
    """What an event is about. The upstream word stands beside it in `Event.upstream_type`."""

    STARTED = "started"
    THINKING = "thinking"
    PROGRESS = "progress"
    SCREENSHOT = "screenshot"
    ACTION = "action"
    PROBLEM = "problem"  # Lightcone's `error`: the task goes on
    NEEDS_INPUT = "needs_input"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    OUT_OF_STEPS = "out_of_steps"
    OUT_OF_TIME = "out_of_time"
    LOST = "lost"  # the end of a task whose end nobody could tell
    GAP = "gap"  # events before this one may be missing
    PAUSED = "paused"
    RESUMED = "resumed"
    ANSWERED = "answered"  # the user was asked through the host, and this is what came of it
    MESSAGE = "message"  # a message was handed to Northstar
    STOP_REQUESTED = "stop_requested"
    UNKNOWN = "unknown"  # a frame of a type nobody has described; kept whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """A picture of the computer's screen: where it lies, or the bytes themselves (never both)."""

    url: str | None = None
    data: bytes | None = field(default=None, repr=False)
    media_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One thing that arrived from Lightcone, in the core's words, before it has a number.

    Attributes:
        text: One line that a person can read. It may quote a screen: it is data, never instruction.
        happening: What it means for the task's state; None where it means nothing.
        payload: The frame as it arrived, without image bytes.
        step: The agent's step number, where the frame carries one.
    """

    type: EventType
    text: str
    happening: Happening | None = None
    upstream_id: str | None = None
    upstream_type: str | None = None
    northstar_task_id: str | None = None
    computer_id: str | None = None
    model: str | None = None
    result: str | None = None
    error: TaskError | None = None
    step: int | None = None
    screen: Screen | None = None
    payload: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to a task, numbered by us from 1 without gaps.

    Attributes:
        upstream_id: Lightcone's SSE id; None for what this server did itself.
        screen_url: Where the picture lay when the event arrived. Such URLs are signed and expire.
    """

    task_id: str
    seq: int
    type: EventType
    text: str
    at: datetime
    upstream_id: str | None = None
    upstream_type: str | None = None
    step: int | None = None
    screen_url: str | None = None
    payload: Mapping[str, Json] = field(default_factory=dict)


class ReceiptState(StrEnum):
    """What is known of a message to Northstar."""

    ACCEPTED = "accepted"  # Lightcone took it; Northstar reads it at its next step
    QUEUED = "queued"  # the task is paused: it is read after resume
    PICKED_UP = "picked_up"  # a step began after Lightcone took it
    TOO_LATE = "too_late"  # the task had ended
    FAILED = "failed"  # Lightcone refused it
    UNKNOWN = "unknown"  # it was sent, and no answer came


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one message. `seq` is the number of the event that recorded it."""

    message_id: str
    task_id: str
    message: str
    state: ReceiptState
    seq: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamStatus:
    """Lightcone's answer to "how is it going": its word, verbatim, and what that means for the state (None: it goes on)."""

    word: str
    happening: Happening | None
    exit_code: int | None = None
    result: str | None = None
    error: str | None = None
    computer_id: str | None = None

    @property
    def ends(self) -> bool:
        """True where it says that the task has ended."""
        return self.happening is not None and self.happening.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """The answer to a start that repeats a key: the task's id, and whether it stood already (None: not said)."""

    northstar_task_id: str
    reused: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to follow a task. `token` grows with each new holder, so that an old one can be told apart."""

    task_id: str
    holder: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One decided change of one task: written whole, or not at all.

    Attributes:
        task: The task as it shall be; its `revision` is one more than the one it was decided on.
        events: New events, numbered on from the seq it was decided on.
        receipts: Receipts that are new or have changed.
        screens: Picture bytes by the seq of their event.
        lease: Where given, the change is refused unless this lease still stands.
    """

    task: Task
    events: tuple[Event, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    screens: Mapping[int, Screen] = field(default_factory=dict)
    lease: Lease | None = None

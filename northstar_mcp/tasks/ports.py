"""What the core needs from outside, and what each of these must keep.

Adapters fulfil these Protocols and decide nothing: the agent says what Lightcone said, the ledger answers what stands.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from northstar_mcp.tasks.model import (
    Change,
    Event,
    Identified,
    Lease,
    Observation,
    Receipt,
    Screen,
    Task,
    TaskRequest,
    UpstreamStatus,
)
from northstar_mcp.tasks.states import State


class Moved(Exception):
    """The task is no longer at the revision the change was decided on: read it again and decide again."""


class TooMany(Exception):
    """One more unfinished task would be more than is allowed. Nothing was written.

    Attributes:
        unfinished: How many there are.
    """

    def __init__(self, unfinished: int) -> None:
        super().__init__(f"{unfinished} tasks are unfinished")
        self.unfinished = unfinished


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A lease that begins with the task itself: whose it is, and for how long."""

    holder: str
    seconds: float


class LeaseLost(Exception):
    """Another holder follows this task now: stop at once and write nothing more."""


class Clock(Protocol):
    """The time of day, in UTC. Durations are measured with anyio's own clock."""

    def now(self) -> datetime: ...


class EventStream(Protocol):
    """An open stream of one task.

    Iterating gives observations in the order of arrival and ends when Lightcone closes the stream. A frame that cannot be read
    becomes an observation of type `unknown`; it never ends the stream.

    Raises (while iterating):
        Unreachable: If the connection broke or fell silent.
        NoReattach: If a reopened stream turns out to be another task's.
    """

    @property
    def northstar_task_id(self) -> str | None:
        """Lightcone's id of the task, where the reply's headers gave it."""
        ...

    def __aiter__(self) -> AsyncIterator[Observation]: ...


class Agent(Protocol):
    """Northstar, behind the Lightcone API. Every method may raise any error of the tree except `Conflict` of our own keys."""

    def check_ready(self) -> None:
        """Raises KeyMissing or KeyRejected where a call could only fail, so that nothing is begun. Never waits."""
        ...

    def start(self, request: TaskRequest, *, idempotency_key: str) -> AbstractAsyncContextManager[EventStream]:
        """Start the task and open its stream. Repeated only where it certainly was not carried out. Leaving closes the stream only.

        Raises:
            NorthstarError: With `sent=False` where it is certain that nothing was started.
        """
        ...

    def reattach(
        self, request: TaskRequest, *, northstar_task_id: str, idempotency_key: str, after: str | None
    ) -> AbstractAsyncContextManager[EventStream]:
        """Open the stream of a task that runs already, from behind the frame with the id `after`.

        Raises:
            NoReattach: If Lightcone offers no way (also where none is configured).
            NotFound: If it has no such stream just now.
        """
        ...

    async def identify(self, request: TaskRequest, *, idempotency_key: str) -> Identified:
        """Learn the id of a task that was started under this key, by starting it again under the same key without a stream.

        Sent once: an answer that was lost is not asked for again, since it would be another one.
        """
        ...

    async def status(self, northstar_task_id: str) -> UpstreamStatus: ...

    async def pause(self, northstar_task_id: str) -> str:
        """Lightcone's word on it, verbatim."""
        ...

    async def resume(self, northstar_task_id: str) -> str:
        """Lightcone's word on it, verbatim."""
        ...

    async def inject(self, northstar_task_id: str, message: str) -> str:
        """Lightcone's word on it, verbatim. Never retried where the message may have arrived: it could be read twice."""
        ...

    async def end_computer(self, computer_id: str) -> None:
        """Terminate a computer, and with it whatever runs on it."""
        ...

    async def look(self, computer_id: str) -> Screen:
        """A picture of the computer's screen as it is now, with its bytes."""
        ...

    async def fetch(self, url: str) -> Screen:
        """The bytes of a picture that an event pointed to.

        Raises:
            PolicyRefused: If the URL's host or address is not one that may be fetched from.
            NotFound: If the URL has expired.
        """
        ...


class Ledger(Protocol):
    """The durable record. What a method has returned from is on the disk. Any method may raise LedgerUnavailable.

    Safe for several tasks of one process and for several processes at once.
    """

    async def add(
        self, task: Task, *, repeats_since: datetime, most: int | None = None, leased: Leased | None = None
    ) -> Task:
        """Write a new task, unless one stands that it repeats; answer the one that stands.

        A task repeats another of the same principal if both carry the same `caller_key`, or if neither carries one, the
        fingerprints are equal, and the other was created at or after `repeats_since` and has not ended. The checks and the writing
        are one.

        Args:
            most: How many tasks of this principal and account may be unfinished, this one included.
            leased: Who holds the new task's lease from its first moment.

        Raises:
            TooMany: If there are as many already, and the task repeats none.
        """
        ...

    async def get(self, task_id: str) -> Task | None: ...

    async def page(
        self, principal: str, *, states: frozenset[State] | None, limit: int, before: str | None
    ) -> Sequence[Task]:
        """A principal's tasks, newest first, those created before the task `before`; all states where `states` is None."""
        ...

    async def unfinished(self) -> Sequence[str]:
        """The ids of all tasks that have not ended, of every principal, oldest first."""
        ...

    async def record(self, change: Change) -> None:
        """Write one change, whole, durably, and wake whoever watches the task.

        Raises:
            Moved: If the task's revision is not the one before `change.task.revision`.
            LeaseLost: If `change.lease` no longer stands.
        """
        ...

    async def events(self, task_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[Event]:
        """Events with a seq greater than `after`, in order."""
        ...

    async def last_screen(
        self, task_id: str, *, seq: int | None = None, kept: bool = False
    ) -> tuple[Event, Screen] | None:
        """The newest event with a picture (or the event `seq`, if it has one), and its picture: bytes where they are kept, else
        the URL.

        Args:
            kept: Only pictures whose bytes are kept. Not together with `seq`.
        """
        ...

    async def unkept_screens(self, task_id: str, *, newest: int) -> Sequence[tuple[int, str]]:
        """Of the task's `newest` pictures those whose bytes never came: the event's number and the URL, newest first."""
        ...

    async def keep_screen(self, task_id: str, seq: int, screen: Screen) -> None:
        """Keep the bytes of a picture that is on record with a URL only. The task and its revision stay as they are.

        Nothing where they came before, also where they were removed since; where there is no such picture; or where they are too
        many to be kept. Pictures that were kept before may go for it.
        """
        ...

    async def upstream_ids(self, task_id: str) -> frozenset[str]:
        """All of Lightcone's frame ids that are recorded for the task."""
        ...

    async def receipts(self, task_id: str) -> Sequence[Receipt]:
        """The task's receipts, oldest first."""
        ...

    async def acquire(self, task_id: str, *, holder: str, seconds: float) -> Lease | None:
        """The lease of a task that nobody holds, or whose holder let it run out; None while another holds it."""
        ...

    async def renew(self, lease: Lease, *, seconds: float) -> None:
        """Hold it for another `seconds` from now.

        Raises:
            LeaseLost: If another has taken it.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give it back. Harmless where it is lost already."""
        ...

    async def secret(self, name: str) -> bytes:
        """32 random bytes under this name, the same for everyone who uses the record; made when they are first asked for."""
        ...


class Watch(Protocol):
    """A running look-out for changes."""

    async def changed(self) -> frozenset[str]:
        """Wait until a watched task has changed since the last answer (or since the watch began), and say which.

        Level-triggered and coalescing: it holds ids, not events, so nothing can overflow and nothing is lost.
        """
        ...


class Feed(Protocol):
    """Tells of changes, whichever process made them."""

    def watch(self, *task_ids: str) -> AbstractContextManager[Watch]:
        """Look out for these tasks; for all tasks where none is named."""
        ...

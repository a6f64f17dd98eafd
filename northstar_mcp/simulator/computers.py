"""Computers: those that run, and the saved state of persistent ones.

A computer shows one page. Deleting a persistent one saves that page under its id; a start restores it by `computer_id`
or `environment_id`. Who runs on a computer is written here; what follows for a task is decided in simulation.py.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from northstar_mcp.simulator.pages import Kind, Page, blank
from northstar_mcp.simulator.refusals import concurrent_limit, not_found

LIFETIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What is left of a persistent computer."""

    id: str
    kind: Kind
    width: int
    height: int
    page: Page
    saved_at: datetime


@dataclass(slots=True, kw_only=True, eq=False)
class Computer:
    """One live computer."""

    id: str
    kind: Kind
    width: int
    height: int
    persistent: bool
    page: Page
    environment_id: str | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_activity_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    task_id: str | None = None
    """The unfinished task that runs on it."""

    def describe(self, status: str) -> dict[str, object]:
        """As POST and GET /computers answer."""
        return {
            "id": self.id,
            "kind": str(self.kind),
            "status": status,
            "created_at": self.created_at.isoformat(),
            "last_activity_at": self.last_activity_at.isoformat(),
            "expires_at": (self.created_at + LIFETIME).isoformat(),
            "idle_expires_at": (self.last_activity_at + LIFETIME / 2).isoformat(),
            "environment_id": self.environment_id,
            "endpoints": {"cdp": f"/computers/{self.id}/cdp"} if self.kind is Kind.BROWSER else {},
        }

    def touch(self) -> None:
        """Something was done on it."""
        self.last_activity_at = datetime.now(UTC)


class Computers:
    """Every computer of one simulator."""

    def __init__(self, *, live_at_most: int, kept_saved: int) -> None:
        self._live_at_most = live_at_most
        self._kept_saved = kept_saved
        self.live: OrderedDict[str, Computer] = OrderedDict()
        self.saved: OrderedDict[str, Saved] = OrderedDict()

    def create(
        self,
        *,
        kind: Kind,
        width: int,
        height: int,
        persistent: bool,
        origin: Saved | None = None,
        as_id: str | None = None,
    ) -> Computer:
        """A new computer, fresh or with a saved state; 429 where none is free."""
        if len(self.live) >= self._live_at_most:
            raise concurrent_limit()
        computer = Computer(
            id=as_id or f"comp_{secrets.token_hex(8)}",
            kind=kind,
            width=width,
            height=height,
            persistent=persistent,
            page=origin.page if origin else blank(kind),
            environment_id=origin.id if origin else None,
        )
        self.live[computer.id] = computer
        return computer

    def restore(self, saved: Saved) -> Computer:
        """A saved computer, live again under its own id; it stays persistent."""
        return self.create(
            kind=saved.kind, width=saved.width, height=saved.height, persistent=True, origin=saved, as_id=saved.id
        )

    def get(self, computer_id: str) -> Computer:
        """A live computer, or 404."""
        computer = self.live.get(computer_id)
        if computer is None:
            raise not_found()
        return computer

    def end(self, computer: Computer) -> None:
        """Tear a computer down; a persistent one is saved."""
        if self.live.pop(computer.id, None) is None or not computer.persistent:
            return
        self.saved.pop(computer.id, None)
        self.saved[computer.id] = Saved(
            id=computer.id,
            kind=computer.kind,
            width=computer.width,
            height=computer.height,
            page=computer.page,
            saved_at=datetime.now(UTC),
        )
        while len(self.saved) > self._kept_saved:
            self.saved.popitem(last=False)

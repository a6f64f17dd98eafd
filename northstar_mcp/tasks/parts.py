"""What the core works with: its ports, and how long it waits for what."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from anyio import CapacityLimiter

from northstar_mcp.tasks.ports import Agent, Clock, Feed, Ledger
from northstar_mcp.tasks.timing import Timing

FETCHES: Final = 6
"""Pictures that one process fetches at a time to keep them: each may have 8 MiB, and calls to Lightcone go before."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The ports of one process.

    Attributes:
        agent: Opens Northstar when it is first needed, and answers the same one from then on.
        keep_screens: Whether pictures that lie elsewhere are fetched and kept while a task is followed.
        fetches: Whose turn it is to fetch one.
    """

    ledger: Ledger
    feed: Feed
    agent: Callable[[], Awaitable[Agent]]
    clock: Clock
    timing: Timing
    keep_screens: bool = True
    fetches: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(FETCHES))

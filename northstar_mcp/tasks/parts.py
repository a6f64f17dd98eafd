"""What the core works with: its ports, and how long it waits for what."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from northstar_mcp.tasks.ports import Agent, Clock, Feed, Ledger
from northstar_mcp.tasks.timing import Timing


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The ports of one process.

    Attributes:
        agent: Opens Northstar when it is first needed, and answers the same one from then on.
    """

    ledger: Ledger
    feed: Feed
    agent: Callable[[], Awaitable[Agent]]
    clock: Clock
    timing: Timing

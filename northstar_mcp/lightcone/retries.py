"""When a request is sent again, and after how long. Rules only: nothing is sent and nothing sleeps here.

The numbers are the official client's (reference A6), so that Lightcone sees no other load from us.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from northstar_mcp.errors import NorthstarError

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 8.0
LONGEST_RETRY_AFTER_SECONDS: Final = 60.0

_RETRIED: Final = frozenset({408, 409, 429})


class Again(Enum):
    """What doing a request twice would mean."""

    NEVER = auto()  # a start without a key: it could start a second task
    UNDONE = auto()  # a start whose stream is wanted whole: only where it certainly was not carried out
    UNSENT = auto()  # a message: it could be read twice, so only where it certainly did not arrive
    HARMLESS = auto()  # reads, pause, resume, delete, and a start under its key


def after_reply(again: Again, status: int, headers: Mapping[str, str]) -> bool:
    """Whether a refused request may be sent again."""
    # Ten rejected keys block the address: not even Lightcone's own header may make us try.
    if again is Again.NEVER or status == 401:
        return False
    if again is Again.UNDONE:
        return status in (409, 429) and headers.get("x-should-retry", "").lower() != "false"
    wish = headers.get("x-should-retry", "").lower()
    if wish in ("true", "false") and not (wish == "true" and again is Again.UNSENT):
        return wish == "true"
    if again is Again.UNSENT:
        return status in (429, 503)
    return status in _RETRIED or status >= 500


def after_failure(again: Again, error: NorthstarError) -> bool:
    """Whether a request that got no reply may be sent again."""
    if again is Again.NEVER or not error.retryable:
        return False
    return again is Again.HARMLESS or not error.sent


def pause_seconds(attempt: int, *, asked: float | None, dice: float) -> float:
    """How long to wait after the attempt numbered `attempt` from 0. `dice` is from [0, 1)."""
    if asked is not None and 0 < asked <= LONGEST_RETRY_AFTER_SECONDS:
        return asked
    pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(attempt, 10), LONGEST_PAUSE_SECONDS)
    return pause * (1 - 0.25 * dice)

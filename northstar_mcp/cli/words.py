"""Text from afar made safe for a terminal; times and ids made short enough to read.

Nothing here does I/O.
"""

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_SHORTEST_ID: Final = 12


def printable(text: str) -> str:
    """The text without what a terminal would obey or hide: control characters, escapes, invisible and bidirectional marks.

    Line ends and tabs stay.
    """
    return "".join(letter for letter in text if letter in "\n\t" or not unicodedata.category(letter).startswith("C"))


def one_line(text: str) -> str:
    """The text on one line, safe for a terminal."""
    return printable(" ".join(text.split()))


def shortened(text: str, most: int) -> str:
    """At most `most` characters of it; the last one says where something was left out."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def duration(seconds: float) -> str:
    """`8 s`, `2:05 min`, `1:02 h`, `3 d`."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02} min"
    if whole < _DAY:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02} h"
    return f"{whole // _DAY} d"


def ago(seconds: float) -> str:
    """`8 s ago`, `7 min ago`, `2 h ago`, `3 d ago`."""
    whole = max(0, int(seconds))
    for length, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if whole >= length:
            return f"{whole // length} {unit} ago"
    return f"{whole} s ago"


def moment(at: datetime) -> str:
    """The moment on the clock of whoever sits at this terminal."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """Each id's beginning, equally long for all, long enough to tell them apart."""
    all_ids = list(ids)
    longest = max(map(len, all_ids), default=0)
    for length in range(_SHORTEST_ID, longest):
        if len({task_id[:length] for task_id in all_ids}) == len(all_ids):
            return {task_id: task_id[:length] for task_id in all_ids}
    return {task_id: task_id for task_id in all_ids}

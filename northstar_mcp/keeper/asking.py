"""`northstar-mcp keeper status` and `stop`, from outside: which keepers this user has, and what they are told."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from northstar_mcp.keeper.place import Place
from northstar_mcp.keeper.reaching import ask, knock
from northstar_mcp.keeper.wire import STATUS, STOP

ANSWER_SECONDS: Final = 5.0
ENDING_SECONDS: Final = 18.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """One keeper that was found.

    Attributes:
        facts: What it says of itself (serving.py); None where it does not answer.
    """

    place: Place
    facts: dict[str, Any] | None


def keepers_in(folder: str) -> list[Keeper]:
    """Every keeper of this folder that lives, the one that has lived longest first."""
    places = [Place(folder, path.stem) for path in sorted(Path(folder).glob("*.sock"))]
    found = [Keeper(place=place, facts=facts) for place in places for facts in _facts(place, STATUS)]
    return sorted(found, key=lambda keeper: (keeper.facts or {}).get("since", ""))


def stop(keeper: Keeper) -> dict[str, Any] | None:
    """Ask it to end; what it says of itself at its end, or None where it does not answer."""
    return next(iter(_facts(keeper.place, STOP)), None)


def _facts(place: Place, word: bytes) -> list[dict[str, Any] | None]:
    """Its answer; no element where nobody listens."""
    link = knock(place.socket)
    if link is None:
        return []
    with link:
        answer = ask(link, word, seconds=ANSWER_SECONDS)
    try:
        facts = json.loads(answer or b"")
    except ValueError:
        return [None]
    return [facts if isinstance(facts, dict) else None]


def has_ended(keeper: Keeper) -> bool:
    """Whether its process goes away, within ENDING_SECONDS."""
    ends_at = time.monotonic() + ENDING_SECONDS
    while time.monotonic() < ends_at:
        if not _is_alive(int((keeper.facts or {}).get("pid", 0))):
            return True
        time.sleep(0.02)
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def logs_in(folder: str) -> list[Place]:
    """Where there is a log, of keepers that live and of former ones, the one written last at the end."""
    found = sorted(Path(folder).glob("*.log"), key=lambda path: path.stat().st_mtime)
    return [Place(folder, path.stem) for path in found]


def log_of(place: Place) -> str:
    """What its log holds; nothing where it has none."""
    try:
        return Path(place.log).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""

"""Screenshots: kept as the page they show, drawn when asked for, handed out by signed URLs that expire.

Drawing is off the event loop, a few at a time. Bounded: the oldest screenshots go first (their URLs are then 404).
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from northstar_mcp.simulator.pages import Page
from northstar_mcp.simulator.screens import draw

_DRAWN_KEPT: Final = 32


@dataclass(frozen=True, slots=True)
class Shot:
    """A page at a size."""

    page: Page
    width: int
    height: int


class Signature(Enum):
    """What a screenshot URL's signature is worth."""

    GOOD = auto()
    WRONG = auto()
    EXPIRED = auto()


class Shots:
    """Every screenshot of one simulator."""

    def __init__(self, *, kept: int, valid_seconds: float) -> None:
        self._kept = kept
        self._valid_seconds = valid_seconds
        self._secret = secrets.token_bytes(32)
        self._shots: OrderedDict[str, Shot] = OrderedDict()
        self._drawn: OrderedDict[str, bytes] = OrderedDict()
        self._pencils = anyio.CapacityLimiter(4)

    def add(self, shot: Shot) -> str:
        """Keep a screenshot; returns its id."""
        shot_id = secrets.token_hex(12)
        self._shots[shot_id] = shot
        while len(self._shots) > self._kept:
            self._drawn.pop(self._shots.popitem(last=False)[0], None)
        return shot_id

    def signed_url(self, base_url: str, shot_id: str) -> str:
        """A URL that shows the screenshot to whoever holds it, for a while."""
        expires = f"{time.time() + self._valid_seconds:.3f}"
        return f"{base_url}/screens/{shot_id}.png?expires={expires}&signature={self._sign(shot_id, expires)}"

    def check(self, shot_id: str, expires: str, signature: str) -> Signature:
        """Whether a URL's query is one that `signed_url` made, and still good."""
        if not hmac.compare_digest(signature.encode(), self._sign(shot_id, expires).encode()):
            return Signature.WRONG
        return Signature.GOOD if time.time() < float(expires) else Signature.EXPIRED

    async def png(self, shot_id: str) -> bytes | None:
        """The picture, or None where it is no longer kept."""
        if shot_id in self._drawn:
            self._drawn.move_to_end(shot_id)
            return self._drawn[shot_id]
        shot = self._shots.get(shot_id)
        if shot is None:
            return None
        drawing = partial(draw, shot.page, shot.width, shot.height)
        picture = await anyio.to_thread.run_sync(drawing, limiter=self._pencils)
        self._drawn[shot_id] = picture
        while len(self._drawn) > _DRAWN_KEPT:
            self._drawn.popitem(last=False)
        return picture

    def _sign(self, shot_id: str, expires: str) -> str:
        return hmac.new(self._secret, f"{shot_id}|{expires}".encode(), hashlib.sha256).hexdigest()

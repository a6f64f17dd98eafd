"""The frames of one task's stream: written once, kept for replay within bounds, followed by any number of readers.

A reader is told of evicted frames by a `replay_gap` frame; it never slows the writer. Nothing here knows what a frame
means, except that after the last one of an orderly end an id-only frame follows, as was seen on the hosted API.
"""

import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import anyio

PING = b": ping\n\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded SSE frame."""

    id: int
    type: str
    encoded: bytes


def encode(payload: Mapping[str, object], frame_id: int | None) -> bytes:
    """`id:` (where there is one) and one `data:` line of JSON; never an `event:` line."""
    data = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    id_line = "" if frame_id is None else f"id: {frame_id}\n"
    return f"{id_line}data: {data}\n\n".encode()


class FrameLog:
    """The frames of one task, numbered from 1."""

    def __init__(self, *, kept_frames: int, kept_bytes: int, with_ids: bool) -> None:
        self._frames: deque[Frame] = deque()
        self._kept_frames = kept_frames
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._with_ids = with_ids
        self._changed = anyio.Event()
        self._orderly = False
        self.last_id = 0
        self.closed = False

    def append(self, payload: Mapping[str, object]) -> Frame:
        """Number, encode and keep a frame; wake the readers."""
        self.last_id += 1
        frame = Frame(self.last_id, str(payload["type"]), encode(payload, self.last_id if self._with_ids else None))
        self._frames.append(frame)
        self._bytes += len(frame.encoded)
        while len(self._frames) > 1 and (len(self._frames) > self._kept_frames or self._bytes > self._kept_bytes):
            self._bytes -= len(self._frames.popleft().encoded)
        self._wake()
        return frame

    def close(self, *, orderly: bool) -> None:
        """No frame follows. An orderly end is one that a terminal frame announced."""
        self.closed = True
        self._orderly = orderly
        self._wake()

    def forget(self) -> None:
        """Drop the frames: the time in which they could be replayed is over."""
        self._frames.clear()
        self._bytes = 0

    @property
    def first(self) -> Frame | None:
        """The oldest frame still kept."""
        return self._frames[0] if self._frames else None

    async def follow(self, *, after: int, ping_seconds: float, gap: Mapping[str, object]) -> AsyncIterator[bytes]:
        """Yield every frame after the given id, then what comes, then the end; `gap` is what a `replay_gap` adds."""
        position = min(max(after, 0), self.last_id)
        while True:
            changed = self._changed
            if self.first is not None and self.first.id > position + 1:
                yield self._gap(position + 1, self.first.id - 1, gap)
                position = self.first.id - 1
            for frame in [frame for frame in self._frames if frame.id > position]:
                yield frame.encoded
                position = frame.id
            if self.closed and position >= self.last_id:
                break
            with anyio.move_on_after(ping_seconds) as idle:
                await changed.wait()
            if idle.cancelled_caught:
                yield PING
        if self._orderly and self._with_ids:
            yield f"id: {self.last_id + 1}\n\n".encode()

    def _gap(self, first: int, last: int, more: Mapping[str, object]) -> bytes:
        payload = {"type": "replay_gap", "first_missed": first, "last_missed": last, **more}
        return encode(payload, last if self._with_ids else None)

    def _wake(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

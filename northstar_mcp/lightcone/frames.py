"""Bytes of a server-sent event stream, cut anywhere, into frames. No I/O, no JSON, no clock.

The fields of a frame are read by httpx-sse's decoder. Around it stands what the decoder leaves to others, or does in a
way that loses events on Lightcone's own streams:

- Lines end at CRLF, LF or CR and nowhere else. `httpx.Response.aiter_lines` also cuts at U+2028, U+0085 and their
  like, which may stand inside JSON.
- Lines are cut as bytes and decoded whole, so that no cut falls inside a character; what is not UTF-8 becomes U+FFFD.
- A byte order mark before the first line is not part of a field's name.
- Each frame gets a decoder of its own: in the decoder, an id sticks, and every later comment then comes out as an
  empty event.
- A frame's `id` is the id that it carried itself, never its predecessor's: the core tells repeated frames by it.
- Nothing grows without bound: a frame beyond `max_bytes` is dropped while it arrives and reported by its size.
- A last frame that lacks its blank line is delivered by `close`, if it is a whole JSON object. No proper beginning of
  an object is itself an object, so a torn frame cannot pass for a whole one.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

# 0.4.3 exports only EventSource, which reads a response by itself and so keeps all that is said above. The dependency's
# upper bound (<0.5) and tests/lightcone/test_frames.py watch this import.
from httpx_sse._decoders import SSEDecoder

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
"""An 8 MiB picture as base64 in JSON is 11 MiB; nothing else comes near."""

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_LINE_COST: Final = (
    64  # what a line costs in memory beside its bytes; without it, a million empty lines would weigh nothing
)
_MAX_ID: Final = 512  # an id is stored with every event and sent back as a header
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame that carried data.

    Attributes:
        id: The frame's own id; None where it carried none.
        event: The SSE event name. Lightcone does not use it; the type stands in the JSON.
        dropped_bytes: Not 0 where the frame was too large; `data` is empty then.
    """

    data: str
    id: str | None = None
    event: str | None = None
    dropped_bytes: int = 0


class FrameParser:
    """Feed it what arrived; it answers with the frames that are whole by now."""

    def __init__(self, *, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._decoder = SSEDecoder()
        self._line = bytearray()  # the beginning of a line whose end has not arrived
        self._cut = False  # that line was too long: its rest is skipped
        self._held = 0  # bytes of the frame under way that are kept
        self._dropped = 0  # bytes of the frame under way that were not
        self._first_line = True
        self._after_cr = False
        self._closed = False

    @property
    def held_bytes(self) -> int:
        """Bytes kept of what is not whole yet. Never much more than `max_bytes`."""
        return self._held + len(self._line)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that end in `data`."""
        if not data:
            return []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]  # the second half of a CRLF that was cut in two
            if not data:
                self._after_cr = False
                return []
        self._after_cr = data.endswith(b"\r")
        *ends, rest = _LINE_END.split(data)
        frames = []
        for end in ends:
            self._append(end)
            if (frame := self._end_of_line()) is not None:
                frames.append(frame)
        self._append(rest)
        return frames

    def close(self) -> list[Frame]:
        """The end of the stream: the last frame, where it is whole but for its blank line. Harmless when repeated."""
        if self._closed:
            return []
        self._closed = True
        if self._line.startswith(b"data") or self._first_line:
            self._end_of_line()
        # An unfinished `id` line may have been cut: a wrong id is worse than none.
        self._line.clear()
        frame = self._end_of_frame()
        return [frame] if frame is not None and (frame.dropped_bytes or _is_object(frame.data)) else []

    def _append(self, part: bytes) -> None:
        if self._cut or self._held + len(self._line) + len(part) > self._max_bytes:
            self._dropped += len(self._line) + len(part)
            self._line.clear()
            self._cut = True
            return
        self._line += part

    def _end_of_line(self) -> Frame | None:
        line, cut = bytes(self._line), self._cut
        self._line.clear()
        self._cut = False
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if cut:
            self._forget_data()
            return None
        if not line:
            return self._end_of_frame()
        if line.startswith(b"data"):
            if self._dropped or self._held + len(line) + _LINE_COST > self._max_bytes:
                self._dropped += len(line)
                self._forget_data()
                return None
            self._held += len(line) + _LINE_COST
        self._decoder.decode(line.decode("utf-8", errors="replace"))
        return None

    def _forget_data(self) -> None:
        """Let go of the frame's data, and keep its id and name."""
        if not self._held:
            return
        so_far = self._decoder.decode("")
        self._dropped += self._held
        self._held = 0
        self._decoder = SSEDecoder()
        if so_far is not None:
            self._decoder.decode(f"id: {so_far.id}")
            self._decoder.decode(f"event: {so_far.event}")

    def _end_of_frame(self) -> Frame | None:
        event = self._decoder.decode("")
        dropped = self._dropped
        self._decoder = SSEDecoder()
        self._held = self._dropped = 0
        if event is None:
            return Frame(data="", dropped_bytes=dropped) if dropped else None
        # Comments, retry, id alone and an empty `data:` keep a connection awake. They say nothing about a task.
        if not event.data.strip() and not dropped:
            return None
        name = None if event.event in ("", "message") else event.event
        own_id = event.id if 0 < len(event.id) <= _MAX_ID else None
        return Frame(data="" if dropped else event.data, id=own_id, event=name, dropped_bytes=dropped)


def _is_object(data: str) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False

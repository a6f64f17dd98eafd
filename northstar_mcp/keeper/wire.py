"""The words that a front and its keeper say to each other between the messages, and how lines are cut out of bytes.

Each line on the socket is an MCP message, which begins with a brace or a bracket, or one of these words. Standard library only.
"""

FRONT = b"#front\n"
"""First line of a host's conversation."""
STATUS = b"#status\n"
"""First line of a question, which one line of JSON answers."""
STOP = b"#stop\n"
"""First line of a request to end, which is answered as STATUS is."""

WELCOME = b"#welcome\n"
"""The keeper has taken the conversation: what is sent from here on may be acted on."""
FULL = b"#full\n"
"""The keeper takes no further conversation."""
BYE = b"#bye\n"
"""The keeper ends in order: a new one is needed when there is something to say."""
TEXT = b"!"
"""Begins a line for the host's standard error."""

MAX_LINE = 32 * 1024 * 1024
"""Bytes of the longest line that is passed on, in either direction: more than any message holds, little enough to be kept in memory."""


class Lines:
    """Cuts whole lines out of bytes as they come, and holds at most one that is not whole.

    Attributes:
        dropped: How many lines were left out since they were longer than the limit.
    """

    __slots__ = ("_dropping", "_held", "_limit", "dropped")

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.dropped = 0
        self._limit = limit
        self._held = bytearray()
        self._dropping = False

    def cut(self, received: bytes) -> list[bytes]:
        """Every line that is whole now, with its end; blank ones are left out."""
        *ends, rest = received.split(b"\n")
        lines = [line for end in ends if (line := self._finish(end + b"\n"))]
        self._hold(rest)
        return lines

    def _finish(self, end: bytes) -> bytes:
        self._hold(end)
        line = b"" if self._dropping else bytes(self._held)
        self._held.clear()
        self._dropping = False
        return line if line.strip() else b""

    def _hold(self, piece: bytes) -> None:
        if not self._dropping and len(self._held) + len(piece) > self._limit:
            self._dropping = True
            self.dropped += 1
            self._held.clear()
        if not self._dropping:
            self._held += piece

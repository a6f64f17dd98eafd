"""What a host starts: its standard input and output, joined to the keeper line by line.

It takes a host's place towards the keeper and the keeper's towards the host. When the keeper is lost it finds or starts another, tells
it what the conversation had settled (conversation.py), and answers the calls that were under way. Only whole lines are passed on, so
that nothing is ever half said.

One loop waits for all of it; there are no threads. Each direction holds at most HELD bytes and one line beyond them, and reads no more
until they have been taken. Standard library only: a host waits for this at every conversation.
"""

from __future__ import annotations

import os
import select
import sys
import time

from northstar_mcp.keeper.place import NoKeeper, Place, place_of
from northstar_mcp.keeper.reaching import reach
from northstar_mcp.keeper.wire import BYE, MAX_LINE, TEXT, Lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from socket import socket

    from northstar_mcp.keeper.conversation import Conversation

HELD = 1024 * 1024
"""Bytes that may wait for a side that does not take them, before no more are read from the other."""

_HOST_IN, _HOST_OUT, _HOST_ERR = 0, 1, 2
_PART = 65536
_MAX_WAITING = 1024  # requests without an answer, before no more are read from the host
_MAX_UNTOLD = 256
_MAX_LOSSES = 3
_ANSWER_SECONDS = 1.0  # for what was asked before the host said its last: it ends a server that takes longer
_FAREWELL_SECONDS = 20.0
_TOO_LONG = (
    b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"A message was longer than %d bytes and was dropped."}}\n'
    % MAX_LINE
)


def serve_host(env: Mapping[str, str]) -> int:
    """Join the host on standard input and output to its keeper until it closes them; the process's exit code.

    Raises:
        NoKeeper: If there is no keeper to join it to. Nothing has been read from the host yet.
    """
    front = _Front(place_of(env), env)
    front.meet()
    return front.run()


class _Front:
    """One host's conversation.

    Attributes:
        untold: Lines that were passed on and that the conversation was not told of: that waits until there is nothing else to do.
        held: For the keeper, as soon as the conversation is open again.
    """

    def __init__(self, place: Place, env: Mapping[str, str]) -> None:
        self.place = place
        self.env = env
        self.link: socket | None = None
        self.from_host, self.from_keeper = Lines(), Lines()
        self.to_host, self.to_keeper, self.held = bytearray(), bytearray(), bytearray()
        self.untold: list[tuple[bool, bytes]] = []
        self.told: Conversation | None = None
        self.host_is_done = False
        self.closes_at = self.leaves_at = 0.0
        self.keeper_said_bye = False
        self.losses = 0

    def meet(self) -> None:
        """Connect to the keeper.

        Raises:
            NoKeeper: If there is none and none can be started.
        """
        self.link = reach(self.place, self.env)
        self.link.setblocking(False)
        self.from_keeper = Lines()
        self.keeper_said_bye = False

    def run(self) -> int:
        """Pass on what comes until a side is done; the exit code."""
        code = 0
        while not self.is_over():
            try:
                self.pass_on()
            except NoKeeper as reason:
                say(f"the keeper is gone, and there is no other: {reason}")
                self.finish()
                code = 1
        return code

    def is_over(self) -> bool:
        """Whether the host is done, and has what was meant for it or does not take it."""
        if not self.host_is_done:
            return False
        return (self.link is None and not self.to_host) or time.monotonic() > self.leaves_at

    def finish(self) -> None:
        """The host says nothing more, or nobody hears it."""
        self.host_is_done = True
        self.closes_at = time.monotonic() + _ANSWER_SECONDS
        self.leaves_at = time.monotonic() + _FAREWELL_SECONDS

    def pass_on(self) -> None:
        """Wait for whichever side can give or take, and serve it."""
        ready = self.wait()
        if not ready:
            self.tell()
        if _HOST_OUT in ready:
            del self.to_host[: os.write(_HOST_OUT, self.to_host[: select.PIPE_BUF])]  # as much as never blocks
        if (
            self.link is not None and self.link.fileno() in ready
        ):  # first: what the host says now is for the next keeper
            self.serve_keeper(self.link, ready[self.link.fileno()])
        if _HOST_IN in ready:
            self.read_host()
        if self.host_is_done:
            self.close_link_when_answered()

    def wait(self) -> dict[int, int]:
        """What poll found, by descriptor; nothing where there is time to tell the conversation of what was said."""
        poll = select.poll()
        if not self.host_is_done and self.has_room_for_the_host():
            poll.register(_HOST_IN, select.POLLIN)
        if self.to_host:
            poll.register(_HOST_OUT, select.POLLOUT)
        if self.link is not None:
            takes = select.POLLOUT if self.to_keeper else 0
            gives = select.POLLIN if len(self.to_host) < HELD else 0
            poll.register(self.link.fileno(), takes | gives)
        return dict(poll.poll(self.patience()))

    def patience(self) -> float | None:
        """Milliseconds."""
        if self.untold:
            return 0
        return max(0.0, self.closes_at - time.monotonic()) * 1000 + 1 if self.host_is_done else None

    def has_room_for_the_host(self) -> bool:
        waiting = len(self.told.waiting) if self.told is not None else 0
        return len(self.to_keeper) + len(self.held) < HELD and waiting < _MAX_WAITING

    # ---- from the host

    def read_host(self) -> None:
        try:
            received = os.read(_HOST_IN, _PART)
        except OSError:  # a terminal that is gone
            received = b""
        dropped = self.from_host.dropped
        for line in self.from_host.cut(received or b"\n"):
            self.note(by_host=True, line=line)
            (self.to_keeper if self.is_open() else self.held).extend(self.told.as_answered(line) if self.told else line)
        if self.from_host.dropped > dropped:
            self.to_host += _TOO_LONG
        if not received:
            self.finish()
        elif self.link is None and (self.to_keeper or self.held):
            self.meet()

    # ---- to and from the keeper

    def serve_keeper(self, link: socket, ready: int) -> None:
        try:
            if ready & select.POLLOUT:
                del self.to_keeper[: link.send(self.to_keeper[:_PART])]
            if ready & ~select.POLLOUT:
                self.hear_keeper(link.recv(_PART))
        except BlockingIOError:
            pass
        except OSError:
            self.lose()

    def hear_keeper(self, received: bytes) -> None:
        dropped = self.from_keeper.dropped
        for line in self.from_keeper.cut(received):
            if line.startswith(TEXT):
                os.write(_HOST_ERR, line[1:])
            elif line == BYE:
                self.keeper_said_bye = True
            else:
                self.give_host(self.told.as_asked(line) if self.told else line)
        if self.from_keeper.dropped > dropped:
            say(f"an answer was longer than {MAX_LINE} bytes and was dropped")
        if not received:
            self.lose()

    def give_host(self, line: bytes) -> None:
        if self.told is not None and self.told.is_muting:
            self.tell()
            is_for_host = self.told.answered(line)
            if self.told.is_opened:
                self.to_keeper += self.held
                self.held.clear()
        else:
            self.note(by_host=False, line=line)
            is_for_host = True
        if is_for_host:
            self.to_host += line
            self.losses = 0

    def close_link_when_answered(self) -> None:
        """Let the keeper know that the host says nothing more: once it has heard all, and had a moment to answer."""
        if self.link is None or self.to_keeper:
            return
        is_answered = all(waiting.method == "subscriptions/listen" for waiting in self.tell().waiting.values())
        if is_answered or time.monotonic() > self.closes_at:
            import socket

            self.link.shutdown(socket.SHUT_WR)
            self.closes_at = self.leaves_at

    def lose(self) -> None:
        """The keeper is gone: meet another, and tell it what was settled and what is still asked for.

        One that went in order and of which nothing is expected is not replaced before the host speaks again.

        Raises:
            NoKeeper: If there is no other, or each of the last ones went without having said anything.
        """
        if self.link is not None:
            self.link.close()
            self.link = None
        if self.host_is_done:
            return
        self.losses += 1
        conversation = self.tell()
        can_wait = self.keeper_said_bye and conversation.is_silent
        again = conversation.again(unsent=bytes(self.to_keeper + self.held))
        self.to_host += again.to_host
        self.to_keeper[:] = again.first or again.then
        self.held[:] = again.then if again.first else b""
        if self.losses > _MAX_LOSSES:
            raise NoKeeper(f"{self.losses} of them ended one after the other; their log is {self.place.log}")
        if not can_wait:
            self.meet()

    # ---- what was said

    def note(self, *, by_host: bool, line: bytes) -> None:
        self.untold.append((by_host, line))
        if len(self.untold) > _MAX_UNTOLD:
            self.tell()

    def tell(self) -> Conversation:
        """Tell the conversation of what was passed on. It is loaded here, behind the first message: json takes long to import."""
        if self.told is None:
            from northstar_mcp.keeper.conversation import Conversation

            self.told = Conversation()
        for by_host, line in self.untold:
            if by_host:
                self.told.heard(line)
            else:
                self.told.answered(line)
        self.untold.clear()
        return self.told

    def is_open(self) -> bool:
        return self.told is None or self.told.is_opened


def say(text: str) -> None:
    """To the host's standard error."""
    print(f"northstar-mcp: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the front's own words, as those of cli/

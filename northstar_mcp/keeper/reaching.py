"""A connection to the keeper, which is started where none runs.

Several fronts may find none at the same moment: each starts one, all but one of those find the lock taken and end before they have
loaded anything, and every front connects to the one that is left.
"""

from __future__ import annotations

import os
import socket
import sys
import time

from northstar_mcp.keeper.place import NoKeeper, Place
from northstar_mcp.keeper.wire import FRONT, FULL, WELCOME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

STARTING_SECONDS = 20.0
"""How long a keeper may take until it listens: a slow disk, many packages, the end of the one before it."""
READY = b"ready"
"""What a keeper that was started writes to its standard output once it listens."""
TAKEN = b"taken"
"""What it writes there where another one holds the lock."""
UNFIT = b"unfit"
"""What it writes there where the settings cannot be used: whoever loads them next says what is wrong with them."""
_WELCOME_SECONDS = 15.0  # of one that listens: it may still be loading
_LOOK_SECONDS = 0.02
_MAX_ATTEMPTS = 3
_MAX_REASON = 1000
_MAX_ANSWER = 65536


def reach(place: Place, env: Mapping[str, str]) -> socket.socket:
    """A new conversation that the keeper has taken, at the latest after STARTING_SECONDS.

    Args:
        env: The keeper's environment, if it has to be started. The key is in there, and nowhere on a command line.

    Raises:
        NoKeeper: If none can be reached or started, or it takes no further conversation.
    """
    ends_at = time.monotonic() + STARTING_SECONDS
    attempts = 0
    while time.monotonic() < ends_at and attempts < _MAX_ATTEMPTS:
        link = knock(place.socket)
        if link is None:
            attempts += _start(place, env, seconds=ends_at - time.monotonic())
            continue
        answer = ask(link, FRONT, seconds=_WELCOME_SECONDS)
        if answer == WELCOME:
            return link
        link.close()
        if answer == FULL:
            raise NoKeeper("it serves as many hosts as it can")
        if answer is None:
            break
        time.sleep(_LOOK_SECONDS)  # it has just ended
    raise NoKeeper(f"it does not answer; its log is {place.log}")


def knock(path: str) -> socket.socket | None:
    """A connection to the keeper that listens there, if one does."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(path)
    except OSError:  # not there, or nobody behind it: a keeper that is started clears it away
        link.close()
        return None
    return link


def ask(link: socket.socket, word: bytes, *, seconds: float) -> bytes | None:
    """Say the first word on a connection; one line of answer, an empty one where the keeper hangs up, None where it stays silent."""
    answer = b""
    link.settimeout(seconds)
    try:
        link.sendall(word)
        while not answer.endswith(b"\n") and (part := link.recv(_MAX_ANSWER)):
            answer += part
    except TimeoutError:
        return None
    except OSError:
        return b""
    return answer


def _start(place: Place, env: Mapping[str, str], *, seconds: float) -> bool:
    """Start a keeper; whether that failed in a way that may not come again.

    Raises:
        NoKeeper: If it says why there can be none.
    """
    word = _started(place, env, seconds=seconds)
    if word == TAKEN:
        time.sleep(_LOOK_SECONDS)
    elif word == UNFIT:
        raise NoKeeper("the settings cannot be used", is_news=False)
    elif word not in (READY, b""):
        raise NoKeeper(word.decode("utf-8", "replace"))
    return word == b""


def _started(place: Place, env: Mapping[str, str], *, seconds: float) -> bytes:
    """Start a keeper and give its word; an empty one where it ended before it had one."""
    import subprocess

    try:
        log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise NoKeeper(f"its log {place.log} cannot be written ({error.strerror})") from None
    # -P: a module that happens to lie in the host's working directory is not ours.
    command = [sys.executable, "-P", "-m", "northstar_mcp.keeper", place.socket]
    try:
        with subprocess.Popen(  # noqa: S603 - this Python and our own path
            command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        ) as starter:
            if starter.stdout is None:
                raise NoKeeper("it has no standard output")
            return _word_of(starter.stdout.fileno(), seconds, place)
    except OSError as error:
        raise NoKeeper(f"its process cannot be started ({error.strerror})") from None
    finally:
        os.close(log)


def _word_of(descriptor: int, seconds: float, place: Place) -> bytes:
    import select

    word, ends_at = b"", time.monotonic() + seconds
    while (left := max(0.0, ends_at - time.monotonic())) and len(word) < _MAX_REASON:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if poll.poll(left * 1000):
            part = os.read(descriptor, _MAX_REASON)
            if not part:
                return word
            word += part
    return word or f"it did not start in time; its log is {place.log}".encode()

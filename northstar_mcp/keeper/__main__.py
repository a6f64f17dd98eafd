"""The keeper's process, as a front starts it: `python -m northstar_mcp.keeper SOCKET`, with the configuration in the environment.

It leaves the host's family of processes at once, so that a host that ends all its descendants does not end the work. Before anything
is loaded it takes the lock, which only one process holds; then it loads, listens, and says so on its standard output.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

from northstar_mcp.keeper.place import Place
from northstar_mcp.keeper.reaching import READY, TAKEN, UNFIT, knock

_KEPT_SECONDS = 7 * 24 * 3600
_PREDECESSOR_SECONDS = 18.0  # until one that is ending has written down what it holds


def main(socket_path: str) -> int:
    """Be the keeper that listens at this path, until it is no longer needed; the exit code."""
    if os.fork():
        os._exit(0)
    os.umask(0o077)
    folder, name = os.path.split(socket_path)
    place = Place(folder, name.removesuffix(".sock"))
    lock = _take(place)
    if lock is None:
        _report(TAKEN)
        return 0
    try:
        _open_log(place)
        _clear_away_the_dead(place)
        return _serve(place)
    finally:
        _remove(place)
        os.close(lock)


def _serve(place: Place) -> int:
    import gc

    gc.disable()  # there is no garbage yet, and looking for it takes a tenth of the start (docs/benchmarks.md)
    from northstar_mcp.errors import NorthstarError, SettingsInvalid
    from northstar_mcp.keeper.serving import serve

    gc.freeze()
    gc.enable()
    try:
        serve(place, on_ready=lambda: _report(READY))
    except SettingsInvalid:
        _report(UNFIT)
        return 1
    except NorthstarError as error:
        _report(error.message.encode())
        return 1
    except OSError as error:
        _report(f"its socket {place.socket} cannot be made ({error.strerror})".encode())
        return 1
    return 0


def _take(place: Place) -> int | None:
    """The lock, open; None where another keeper lives and listens."""
    import fcntl

    ends_at = time.monotonic() + _PREDECESSOR_SECONDS
    while time.monotonic() < ends_at:
        lock = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            if _is_still(place.lock, lock):
                return lock
            os.close(lock)
            continue
        if (link := knock(place.socket)) is not None:
            link.close()
            return None
        time.sleep(0.02)
    return None


def _is_still(path: str, descriptor: int) -> bool:
    """Whether the file that was opened is the one at the path: its last holder may have removed it in between."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _open_log(place: Place) -> None:
    """Make it standard error: what the front opened may have been removed by the keeper before this one."""
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(log, 2)
    os.close(log)


def _clear_away_the_dead(place: Place) -> None:
    """Remove what killed keepers left behind: their locks are held by nobody. Logs are kept for a while, to be read."""
    import fcntl

    for entry in os.listdir(place.folder):
        name, kind = os.path.splitext(entry)
        dead = Place(place.folder, name)
        if (
            kind == ".log"
            and time.time() - os.stat(dead.log).st_mtime > _KEPT_SECONDS
            and not os.path.exists(dead.lock)
        ):
            os.unlink(dead.log)
        if kind != ".lock" or name == place.name:
            continue
        lock = os.open(dead.lock, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(dead)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)


def _remove(place: Place) -> None:
    """Remove a keeper's files while its lock is held, so that who waits for the lock finds that it is no longer the one."""
    said_nothing = os.path.exists(place.log) and not os.path.getsize(place.log)
    for path in (place.socket, *([place.log] if said_nothing else []), place.lock):
        with suppress(FileNotFoundError):
            os.unlink(path)


def _report(word: bytes) -> None:
    """Say it to the front that waits for it, once, and let standard output go nowhere afterwards."""
    with suppress(OSError):  # the front has gone; others come
        os.write(1, word)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

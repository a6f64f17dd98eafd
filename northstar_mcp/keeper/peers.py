"""Who is at the other end of a Unix socket, as the kernel knows it."""

import socket
import struct
import sys

_LINUX = struct.Struct("3i")  # struct ucred: process, user, group
_BSD = struct.Struct("=IIh2x16I")  # struct xucred: version, user, number of groups, groups
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1  # <sys/un.h> of macOS and the BSDs


def user_of(peer: socket.socket) -> int:
    """The user id of the process that connected.

    Raises:
        OSError: If the kernel does not tell.
    """
    if sys.platform == "linux":
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _LINUX.size)
        return int(_LINUX.unpack(credentials)[1])
    else:  # noqa: RET505 - type checkers leave out the branch of another platform, and would take what follows for dead
        credentials = peer.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _BSD.size)
        return int(_BSD.unpack(credentials)[1])

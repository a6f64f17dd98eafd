"""A bound on the requests of one connection that wait for their answers, since each answer may have to be kept until it is taken.

The SDK works on every request at once, and a host that sends and never reads would have all the answers pile up here. Beyond the bound
nothing more is read from it until some are answered. Used where the connection is a pair of streams (stdio.py, and the keeper).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest

MAX_UNANSWERED: Final = 256

Reader: TypeAlias = "ObjectReceiveStream[SessionMessage | Exception]"
Writer: TypeAlias = "ObjectSendStream[SessionMessage]"

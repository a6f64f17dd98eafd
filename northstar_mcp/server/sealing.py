"""What a client of 2026-07-28 carries for us between two rounds of a call (`requestState`), sealed with a key of the record.

The SDK's boundary encrypts it, and binds it to the call, its arguments, the principal and a time (mcp/server/request_state.py). The key
is the record's, so that a restarted server, or another one on the same record, can open it. It is read when it is first needed.
"""

import logging
import secrets
from typing import Any, Final

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.request_state import AESGCMRequestStateCodec, RequestStateSecurity
from mcp_types.methods import is_input_required

from northstar_mcp.errors import LedgerUnavailable
from northstar_mcp.server.principals import principal
from northstar_mcp.tasks.engine import Engine

STATE_SECONDS: Final = 3600.0
"""How long a user can take to answer."""

_KEY: Final = "request-state"
_log = logging.getLogger(__name__)


class RequestStates:
    """Seals request states. `security` is for the server's constructor; `install` puts both middlewares where they belong."""

    def __init__(self) -> None:
        self._codec = _RecordsCodec()
        self.security = RequestStateSecurity(codec=self._codec, ttl=STATE_SECONDS, bind_principal=lambda _: principal())

    def install(self, server: MCPServer[Engine]) -> None:
        """Have the key at hand before the SDK's boundary opens a state, and before it seals one."""
        server.middleware.insert(0, self._before_opening)
        server.middleware.append(self._before_sealing)

    async def _before_opening(self, ctx: ServerRequestContext[Engine, Any], call_next: CallNext) -> HandlerResult:
        if (ctx.params or {}).get("requestState") is not None:
            await self._codec.use_key_of(ctx.lifespan_context)
        return await call_next(ctx)

    async def _before_sealing(self, ctx: ServerRequestContext[Engine, Any], call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if is_input_required(result):
            await self._codec.use_key_of(ctx.lifespan_context)
        return result


class _RecordsCodec:
    """The SDK's codec, with a key of this process's own until the record's has been read."""

    def __init__(self) -> None:
        self._own = secrets.token_bytes(32)
        self._codec = AESGCMRequestStateCodec([self._own])
        self._is_shared = False

    async def use_key_of(self, engine: Engine) -> None:
        """Take the record's key. Where it cannot be read just now, what is sealed is good for this process alone."""
        if self._is_shared:
            return
        try:
            # With its own key, for what it has sealed before.
            self._codec = AESGCMRequestStateCodec([await engine.ledger.secret(_KEY), self._own])
            self._is_shared = True
        except LedgerUnavailable as error:
            _log.warning("the key for request states could not be read: %s", error)

    def seal(self, payload: bytes) -> str:
        return self._codec.seal(payload)

    def unseal(self, token: str) -> bytes:
        return self._codec.unseal(token)

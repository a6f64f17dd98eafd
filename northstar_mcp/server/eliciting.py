"""Questions to the user, put by the host. No question can hang: each has a time limit, and its outcome is said.

Clients of 2026-07-28 are asked by the answer to their call (`InputRequiredResult`), and call again with what the user said. Older ones
are asked by a request of the server's while their call lasts. Nothing that a model says can answer for the user.
"""

import logging
from typing import Any, Final

import anyio
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult
from pydantic import ValidationError

NO_FIELDS: Final[dict[str, Any]] = {"type": "object", "properties": {}}
"""The schema of a question that is answered by accepting or declining it."""

_log = logging.getLogger(__name__)


def yes_or_no(message: str) -> ElicitRequest:
    """A question that the user accepts or declines."""
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=NO_FIELDS))


def way_in(message: str, url: str, *, elicitation_id: str) -> ElicitRequest:
    """Sends the user to an address, if they agree.

    Args:
        elicitation_id: Required on the wire of 2025-11-25, and gone from later ones.
    """
    return ElicitRequest(params=ElicitRequestURLParams(message=message, url=url, elicitation_id=elicitation_id))


async def elicited(ctx: ServerRequestContext[Any, Any], ask: ElicitRequest, *, seconds: float) -> ElicitResult | None:
    """Ask by a request within the call, in the older protocols.

    `cancel` where no answer comes in time; None where the host did not put the question, which is no silence of the user's.
    """
    with anyio.move_on_after(seconds):
        try:
            return await ctx.session.send_request(
                ask, ElicitResult, metadata=ServerMessageMetadata(related_request_id=ctx.request_id)
            )
        except (MCPError, ValidationError) as error:
            _log.warning("the user could not be asked: %s", type(error).__name__)
            return None
    return ElicitResult(action="cancel")

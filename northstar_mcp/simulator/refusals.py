"""Refusals, worded and shaped as the hosted API was seen to word them.

Mostly `application/problem+json` whose `type` is always empty and whose `detail` is often absent. Routes raise
`Refused`; one handler in app.py turns it into the response.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response


class Refused(Exception):
    """A request that gets a problem body instead of what it asked for."""

    def __init__(self, status: int, title: str, detail: str | None = None) -> None:
        super().__init__(title if detail is None else f"{title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail


def invalid_token() -> Refused:
    """401, without a detail."""
    return Refused(401, "Invalid token")


def not_found() -> Refused:
    """404 for whatever does not exist: task, computer, environment."""
    return Refused(404, "Session not found")


def invalid(detail: str) -> Refused:
    """400: the caller's arguments are wrong."""
    return Refused(400, "Bad Request", detail)


def bad_enum() -> Refused:
    """503: the hosted API answers a word outside an enumeration as if it were overloaded."""
    return Refused(503, "Service unavailable", "Please try again later.")


def concurrent_limit() -> Refused:
    """429: no computer is free."""
    return Refused(429, "Concurrent limit reached")


def conflict(detail: str) -> Refused:
    """409: the thing exists, but not in a state that allows this."""
    return Refused(409, "Conflict", detail)


def problem(_request: Request, refused: Exception) -> Response:
    """The response to a `Refused`."""
    if not isinstance(refused, Refused):
        raise refused
    body: dict[str, object] = {"status": refused.status, "title": refused.title, "type": ""}
    if refused.detail is not None:
        body["detail"] = refused.detail
    return JSONResponse(body, refused.status, media_type="application/problem+json")


def unrouted(_request: Request, _error: Exception) -> Response:
    """What the router behind the hosted API says to a path it does not know."""
    return PlainTextResponse("404 page not found\n", 404)


def wrong_method(_request: Request, _error: Exception) -> Response:
    """A known path, another method."""
    return PlainTextResponse("Method Not Allowed\n", 405)

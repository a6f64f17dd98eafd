"""Replies and exceptions into the project's tree of errors. One mapping for every call.

The words shown are Lightcone's `detail`, `title`, `error`, `message` or raw text, in this order, as one bounded line;
of a page, its title. The API key is not known here: whoever holds it (transport.py) has taken it out of the text
before.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from northstar_mcp.errors import (
    Broken,
    ConcurrentLimit,
    Conflict,
    Disconnected,
    InvalidRequest,
    KeyRejected,
    NorthstarError,
    NotAllowed,
    NotFound,
    OutOfCredits,
    PlanLapsed,
    SettingsInvalid,
    TimedOut,
    Unavailable,
    UnreadableReply,
)
from northstar_mcp.lightcone.words import from_html, line_of, one_line
from northstar_mcp.tasks.model import Json

_WORDS: Final = ("detail", "title", "error", "message")

_KINDS: Final[Mapping[int, tuple[type[NorthstarError], str]]] = {
    400: (InvalidRequest, "Lightcone refused the request"),
    401: (KeyRejected, "Lightcone does not accept the API key"),
    402: (OutOfCredits, "The Lightcone account has no credits left"),
    403: (NotAllowed, "The Lightcone key's scope or plan does not allow this"),
    404: (NotFound, "Lightcone does not know this"),
    405: (Broken, "Lightcone does not offer this call"),
    408: (Unavailable, "Lightcone took too long"),
    409: (Conflict, "Lightcone says that this conflicts with what it has"),
    410: (NotFound, "Lightcone does not have this any more"),
    413: (InvalidRequest, "Lightcone refused the request as too large"),
    422: (InvalidRequest, "Lightcone refused the request"),
    429: (ConcurrentLimit, "Lightcone has reached the account's limit of concurrent computers or calls"),
    501: (Broken, "Lightcone does not offer this call"),
}

# Before any of these, no byte of the request was written: no connection stood.
_NOTHING_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def refusal(
    status: int, *, body: str, content_type: str = "", retry_after_seconds: float | None = None
) -> NorthstarError:
    """The error of a reply that is not a success."""
    value = _parsed(body)
    words = words_of(value) if value is not None else _plain(body, content_type)
    if 300 <= status < 400:
        return UnreadableReply(
            f"Lightcone answered with a redirect ({status}) that is not followed: the key goes to its own host only.",
            remedy="Tell the user to check LIGHTCONE_BASE_URL.",
        )
    kind, said = _kind_of(status)
    if status == 402 and _lapsed(value):
        kind, said = PlanLapsed, "The Lightcone subscription has lapsed and the account is read-only"
    message = f"{said} ({status}): {words}" if words else f"{said} ({status})."
    return kind(message, retry_after_seconds=retry_after_seconds)


def is_refusal(status: int) -> bool:
    """Whether a reply with this status says that nothing was done."""
    return _kind_of(status)[0].is_refusal


def _kind_of(status: int) -> tuple[type[NorthstarError], str]:
    return _KINDS.get(status, (Unavailable, "Lightcone cannot serve this now") if status >= 500 else _KINDS[400])


def failure(error: httpx.HTTPError | httpx.InvalidURL) -> NorthstarError:
    """The error of a request that got no whole reply. `sent` is False only where nothing can have arrived."""
    sent = not isinstance(error, _NOTHING_SENT)
    if isinstance(error, httpx.TimeoutException):
        where = (
            "No connection to Lightcone within the time allowed." if not sent else "Lightcone did not answer in time."
        )
        return TimedOut(where, sent=sent)
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return SettingsInvalid(
            "The address of Lightcone cannot be used.",
            remedy="Set LIGHTCONE_BASE_URL to an address such as https://api.tzafon.ai.",
            sent=False,
        )
    if isinstance(error, httpx.LocalProtocolError):
        # Its text quotes the header that h11 refused, which may be the key.
        return SettingsInvalid(
            "The request cannot be written: a header holds characters that headers may not have.",
            remedy="Tell the user to check TZAFON_API_KEY and the extra headers.",
            sent=False,
        )
    if isinstance(error, httpx.RemoteProtocolError) and "location" in str(error):
        return UnreadableReply("Lightcone answered with a redirect to something that is no address.")
    if isinstance(error, httpx.DecodingError):
        return UnreadableReply("Lightcone's reply is damaged: it cannot be decompressed.")
    if isinstance(error, httpx.ConnectError) and "CERTIFICATE" in str(error).upper():
        return Disconnected(
            "Lightcone's TLS certificate could not be verified.",
            remedy="Tell the user: behind a company proxy, its certificate must be made known (SSL_CERT_FILE).",
            sent=False,
        )
    if isinstance(error, httpx.ConnectError):
        return Disconnected(
            "Lightcone cannot be reached: the connection was refused, or its name is not known.", sent=False
        )
    return Disconnected("The connection to Lightcone broke.", sent=sent)


def words_of(value: Json) -> str:
    """What a JSON body has to say about an error."""
    if not isinstance(value, dict):
        return line_of(value)
    for name in _WORDS:
        said = value.get(name)
        if isinstance(said, dict):  # OpenAI and Anthropic: {"error": {"message": ...}}
            said = words_of(said)
        if line := line_of(said):
            return line
    return ""


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds to wait, as Retry-After-Ms or Retry-After (a number or a date) asks; None if they do not."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            seconds = float(text) / unit
        except ValueError:
            continue
        return seconds if 0 <= seconds < 10**9 else None
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _parsed(body: str) -> Json:
    try:
        value: Json = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value


def _plain(body: str, content_type: str) -> str:
    if "html" in content_type.lower() or body.lstrip()[:1] == "<":
        return from_html(body)
    return one_line(body)


def _lapsed(value: Json) -> bool:
    said = value.get("error") if isinstance(value, dict) else None
    return isinstance(said, str) and "subscription_lapsed" in said

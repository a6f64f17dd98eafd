"""What a host can do: what it declares, corrected by one table where that is known to mislead.

The table names clients as they name themselves (`clientInfo.name`). Each row has its source; a row goes when its source is mended.
A client that cannot be told from another by name and version has no row: its questions end by their time limit (door.py).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp_types import ClientCapabilities
from mcp_types.version import MODERN_PROTOCOL_VERSIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """Where a client cannot do what it declares.

    Attributes:
        source: Where this is known from.
        before: The first version of which it is not true any more, as numbers; None: none is known.
        fills_forms: Whether a question with a form reaches its user.
        opens_urls: Whether an address reaches its user.
    """

    source: str
    before: tuple[int, ...] | None = None
    fills_forms: bool = True
    opens_urls: bool = True


QUIRKS: Final[Mapping[str, Quirk]] = MappingProxyType(
    {
        "codex-mcp-client": Quirk(
            fills_forms=False,
            opens_urls=False,
            source="It declares elicitation. Some builds decline by themselves (openai/codex#6992 of 2025-11, #45621 on 0.154.0), "
            "and with full access it accepts an empty form by itself (#17164), which would pass for the user's word.",
        ),
        "claude-code": Quirk(
            opens_urls=False,
            before=(2, 1, 108),
            source="It declared addresses and cancelled them unseen (2.1.87); since 2.1.108 it declares forms alone: "
            "anthropics/claude-code#69555, #88075.",
        ),
    }
)

_URLS_SINCE: Final = "2025-11-25"  # protocol versions are dates, and sort as such
_NUMBERS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,7}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One client, by what it declares and what is known of it.

    Attributes:
        name: As it names itself; empty where it does not.
        modern: It speaks 2026-07-28: it is asked by answers, not by requests.
        fills_forms: Its user can be asked a question with a form (elicitation, form mode).
        opens_urls: Its user can be sent to an address (elicitation, URL mode; since 2025-11-25).
    """

    name: str
    version: str
    modern: bool
    fills_forms: bool
    opens_urls: bool

    @classmethod
    def of(cls, ctx: ServerRequestContext[Any, Any]) -> "Host":
        """The host behind a request."""
        params = ctx.session.client_params
        info = params.client_info if params is not None else None
        return cls.declared(
            ctx.session.client_capabilities,
            name=info.name if info is not None else "",
            version=info.version if info is not None else "",
            protocol=ctx.protocol_version,
        )

    @classmethod
    def declared(cls, capabilities: ClientCapabilities | None, *, name: str, version: str, protocol: str) -> "Host":
        """The host that declares these capabilities."""
        elicitation = capabilities.elicitation if capabilities is not None else None
        forms, urls = (elicitation.form, elicitation.url) if elicitation is not None else (None, None)
        knows_urls = protocol >= _URLS_SINCE
        # An empty capability means forms, and before there were addresses any capability does.
        fills_forms = elicitation is not None and (forms is not None or urls is None or not knows_urls)
        quirk = _quirk(name, version)
        return cls(
            name=name,
            version=version,
            modern=protocol in MODERN_PROTOCOL_VERSIONS,
            fills_forms=fills_forms and (quirk is None or quirk.fills_forms),
            opens_urls=urls is not None and knows_urls and (quirk is None or quirk.opens_urls),
        )


def _quirk(name: str, version: str) -> Quirk | None:
    quirk = QUIRKS.get(name)
    return quirk if quirk is not None and (quirk.before is None or _numbers(version) < quirk.before) else None


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; one that has none is taken for the oldest."""
    found = _NUMBERS.match(version.removeprefix("v"))
    return tuple(map(int, found[0].split("."))) if found is not None else ()

"""What a host can do: what it declares, corrected by one table where that is known to mislead.

The table names clients as they name themselves (`clientInfo.name`). Each row has its source; a row goes when its source is mended.
"""

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
        before: The first version that can, as numbers; None: none is known.
        elicits: Whether a question to its user comes back answered.
        source: Where this is known from.
    """

    source: str
    before: tuple[int, ...] | None = None
    elicits: bool = True


QUIRKS: Final[Mapping[str, Quirk]] = MappingProxyType(
    {
        "codex-mcp-client": Quirk(
            elicits=False,
            source="It declares elicitation, and questions hang or are cancelled unseen: openai/codex#11816, #11824, #39149.",
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One client, by what it declares and what is known of it.

    Attributes:
        modern: It speaks 2026-07-28: it is asked by answers, not by requests.
        fills_forms: Its user can be asked a question with a form (elicitation, form mode).
        opens_urls: Its user can be sent to an address (elicitation, URL mode; since 2025-11-25).
        name: As it names itself; empty where it does not.
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
        quirk = QUIRKS.get(name)
        can_ask = elicitation is not None and (quirk is None or quirk.elicits or not _applies(quirk, version))
        forms, urls = (elicitation.form, elicitation.url) if elicitation is not None else (None, None)
        return cls(
            name=name,
            version=version,
            modern=protocol in MODERN_PROTOCOL_VERSIONS,
            # An empty capability means forms: there was nothing else before 2025-11-25.
            fills_forms=can_ask and (forms is not None or urls is None),
            opens_urls=can_ask and urls is not None,
        )


def _applies(quirk: Quirk, version: str) -> bool:
    return quirk.before is None or _numbers(version) < quirk.before


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; one that has none is taken for the oldest."""
    numbers: list[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)

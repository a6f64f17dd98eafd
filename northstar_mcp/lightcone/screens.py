"""Fetches the picture behind a URL that came from afar, and lets that URL reach nothing else.

The URL is data: whoever wrote it must not be able to make this server call into its own network. So: hosts from a list
only, https only, no password in the URL, no redirect, no key and no cookie, every address of the host public, the
connection made to the very address that was checked, a bound on bytes and on time, and what arrives must begin like a
picture. The host of the base URL is exempt from scheme and address: the operator named it (a simulator, a self-hosted
service), and it gets no key from here either.
"""

import ipaddress
import socket
import ssl
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
import httpx

from northstar_mcp.errors import Disconnected, NotFound, PolicyRefused, TimedOut, Unavailable, UnreadableReply
from northstar_mcp.lightcone.pictures import MAX_PICTURE_BYTES, media_type_of
from northstar_mcp.lightcone.words import one_line
from northstar_mcp.tasks.model import Screen

DEFAULT_SCREEN_HOSTS: Final = frozenset({"tzafon.ai", "*.tzafon.ai", "lightcone.ai", "*.lightcone.ai"})

_SETTING: Final = "NORTHSTAR_MCP_SCREENSHOT_HOSTS"
_REMEDY: Final = (
    f"If this host is Lightcone's, the operator can add it to {_SETTING}. "
    "A live screenshot of the computer may still work."
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a request really goes. `sni` is the certificate's name, where the URL holds an address in its place."""

    url: httpx.URL
    headers: dict[str, str] = field(default_factory=dict)
    sni: str | None = None


class ScreenFetcher:
    """Fetches pictures from allowed hosts.

    Args:
        base_url: Lightcone's own address, always allowed.
        hosts: Names, or patterns such as "*.tzafon.ai" (any name below it), or "*". None means Tzafon's; an empty set
            means none.
    """

    def __init__(self, *, base_url: str, hosts: frozenset[str] | None, timeout_seconds: float = 20.0) -> None:
        self._base = httpx.URL(base_url.strip())
        self._hosts = frozenset(
            host.strip().lower().rstrip(".") for host in (DEFAULT_SCREEN_HOSTS if hosts is None else hosts)
        )
        self._timeout_seconds = timeout_seconds
        self._trust: ssl.SSLContext | None = None

    async def fetch(self, url: str) -> Screen:
        """The picture's bytes.

        Raises:
            PolicyRefused: If the URL may not be followed.
            NotFound: If its signature has expired.
        """
        with anyio.move_on_after(self._timeout_seconds):
            target = await self._target(url)
            try:
                return await self._get(target)
            except httpx.TimeoutException as error:
                raise TimedOut("The picture did not arrive in time.") from error
            except httpx.HTTPError as error:
                # Without its cause: httpx's texts may quote the URL, which is a signed secret.
                raise Disconnected(f"The picture could not be fetched ({type(error).__name__}).") from None
        raise TimedOut("The picture did not arrive in time.")

    async def _target(self, text: str) -> Target:
        url = self._checked(text)
        if _origin(url) == _origin(self._base):
            return Target(url=url)
        host = url.host.rstrip(".").lower()
        if url.scheme != "https":
            raise PolicyRefused("The picture's address is not https.", remedy=_REMEDY)
        if not self._allows(host):
            raise PolicyRefused(f"Pictures may not be fetched from {one_line(host, limit=100)}.", remedy=_REMEDY)
        if url.port is not None:
            raise PolicyRefused("The picture's address names an unusual port.", remedy=_REMEDY)
        addresses = await _addresses(url.raw_host.decode("ascii").rstrip("."))
        if not all(is_public(address) for address in addresses):
            raise PolicyRefused(f"{one_line(host, limit=100)} leads to an address that is not public.", remedy=_REMEDY)
        return pinned(url, addresses[0])

    def _checked(self, text: str) -> httpx.URL:
        try:
            url = httpx.URL(text)
            if url.is_relative_url and text.startswith("/") and not text.startswith(("//", "/\\")):
                url = self._base.join(text)
        except httpx.InvalidURL:
            raise PolicyRefused("The picture's address cannot be read.", remedy=_REMEDY) from None
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise PolicyRefused("The picture's address is not a plain https address.", remedy=_REMEDY)
        return url

    def _allows(self, host: str) -> bool:
        return any(
            pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
            for pattern in self._hosts
        )

    async def _get(self, target: Target) -> Screen:
        if self._trust is None:
            # Reads a file of certificates: not on the event loop, and once.
            self._trust = await anyio.to_thread.run_sync(partial(httpx.create_ssl_context, trust_env=False))
        # A client of its own for each picture: no cookie, no kept connection, no proxy that would undo the pinning.
        async with httpx.AsyncClient(
            verify=self._trust, trust_env=False, follow_redirects=False, timeout=self._timeout_seconds
        ) as http:
            headers = {**target.headers, "Accept": "image/png, image/jpeg, image/webp", "Accept-Encoding": "identity"}
            extensions = {"sni_hostname": target.sni} if target.sni else {}
            async with http.stream("GET", target.url, headers=headers, extensions=extensions) as response:
                _check_reply(response)
                return await _picture(response)


def pinned(url: httpx.URL, address: str) -> Target:
    """The same request, sent to this address, with the certificate still checked against the name."""
    return Target(
        url=url.copy_with(host=address),
        headers={"Host": url.netloc.decode("ascii")},
        sni=url.raw_host.decode("ascii").rstrip("."),
    )


def is_public(address: str) -> bool:
    """Whether an address lies in the public internet, also where an IPv4 address hides in an IPv6 one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip.sixtofour is not None or ip.teredo is not None:
            return False  # tunnels end where nobody has looked
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


async def _addresses(host: str) -> list[str]:
    try:
        found = await anyio.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise Disconnected(f"The picture's host {one_line(host, limit=100)} is not known.")
    return [str(entry[4][0]) for entry in found]


def _check_reply(response: httpx.Response) -> None:
    status = response.status_code
    if status in (403, 404, 410):
        raise NotFound(
            "The picture's link has expired.", remedy="Call task_screenshot without a seq for a new picture."
        )
    if response.is_redirect:
        raise PolicyRefused("The picture's address leads elsewhere; redirects are not followed.", remedy=_REMEDY)
    if status >= 500 or status in (408, 429):
        raise Unavailable(f"The picture's host cannot serve it now ({status}).")
    if status != 200:
        raise UnreadableReply(f"The picture's host answered {status}.")
    if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise UnreadableReply("The picture came compressed, which was not asked for.")


async def _picture(response: httpx.Response) -> Screen:
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > MAX_PICTURE_BYTES:
            raise UnreadableReply(f"The picture is larger than {MAX_PICTURE_BYTES:,} bytes.")
    media_type = media_type_of(bytes(data[:16]))
    if media_type is None:
        raise UnreadableReply("What was fetched is not a PNG, JPEG or WebP picture.")
    return Screen(data=bytes(data), media_type=media_type)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port

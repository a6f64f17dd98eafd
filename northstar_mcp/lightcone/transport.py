"""One request to Lightcone, with its retries, its redirects and its key. Knows no operation by name.

What it keeps: the key goes to the base URL's own host and into no text; after a 401 nothing more is sent by this
client; every reply has a bound; an error says `sent=False` only if no attempt can have arrived.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio.to_thread
import httpx

from northstar_mcp.errors import KeyMissing, KeyRejected, NorthstarError, SettingsInvalid, UnreadableReply
from northstar_mcp.lightcone import failures, retries
from northstar_mcp.lightcone.retries import Again
from northstar_mcp.lightcone.words import from_html, one_line
from northstar_mcp.tasks.model import Json

MAX_REPLY_BYTES: Final = 16 * 1024 * 1024  # a screenshot as base64 in JSON
MAX_REFUSAL_BYTES: Final = 64 * 1024
MAX_REDIRECTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as an operation wants it.

    Attributes:
        path: Already encoded.
        deletes: The reply's body does not matter, and a repetition that finds nothing shows that the first attempt did
            its work.
    """

    method: str
    path: str
    again: Again
    body: bytes | None = None
    accept: str = "application/json"
    headers: Mapping[str, str] | None = None
    read_timeout_seconds: float | None = None
    deletes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A success: its body as JSON, None where it has none."""

    value: Json


class Transport:
    """Sends calls. Owned by one client, opened and closed with it."""

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str,
        timeout_seconds: float,
        connect_timeout_seconds: float,
        max_retries: int,
        extra_headers: Mapping[str, str],
        trust_env: bool,
        censor: Callable[[str], str] | None,
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        self._key = (api_key or "").strip()
        self._base = base_of(base_url)
        self._timeout_seconds = timeout_seconds
        self._connect_timeout_seconds = connect_timeout_seconds
        self._max_retries = max_retries
        self._extra_headers = dict(extra_headers)
        self._trust_env = trust_env
        self._censor = censor
        self._sleep = sleep
        self._random = random
        self._http: httpx.AsyncClient | None = None
        self._rejected = ""  # why, once the key was rejected

    async def open(self) -> None:
        # Reads a file of certificates: not on the event loop.
        trust = await anyio.to_thread.run_sync(partial(httpx.create_ssl_context, trust_env=self._trust_env))
        # No pool limit: each running task holds a connection for as long as it lives, and the operator's policy bounds
        # the tasks.
        self._http = httpx.AsyncClient(
            verify=trust,
            trust_env=self._trust_env,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        )

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def check_ready(self) -> None:
        """Raises KeyMissing or KeyRejected where a call could only fail."""
        if not self._key:
            raise KeyMissing("No Lightcone API key is configured.", sent=False)
        if not (self._key.isascii() and self._key.isprintable() and " " not in self._key):
            raise KeyRejected("The configured Lightcone API key holds characters that no key has.", sent=False)
        if self._rejected:
            raise KeyRejected(f"{self._rejected} Nothing was sent: this key was rejected before.", sent=False)

    async def send(self, call: Call) -> Reply:
        """The reply to a call that answers with JSON or with nothing."""
        async with self.stream(call) as response:
            if call.deletes and "html" not in response.headers.get("content-type", ""):
                return Reply(value=None)
            # A page is a proxy's or a login's: it says nothing of what was asked for.
            body = await self.read(response)
            return Reply(value=self.parse(body, response) if body.strip() else None)

    async def read(self, response: httpx.Response) -> str:
        """The whole body of an open reply."""
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_REPLY_BYTES:
                    raise UnreadableReply(f"Lightcone's reply is larger than {MAX_REPLY_BYTES:,} bytes.")
        except httpx.HTTPError as error:
            raise failures.failure(error) from error
        return body.decode("utf-8", errors="replace")

    def parse(self, body: str, response: httpx.Response) -> Json:
        """A body as JSON.

        Raises:
            UnreadableReply: If it is something else.
        """
        try:
            value: Json = json.loads(body)
        except (ValueError, RecursionError):
            kind = one_line(response.headers.get("content-type", ""), limit=80) or "unnamed"
            words = self.censored(from_html(body) if "html" in kind else one_line(body, limit=200))
            raise UnreadableReply(
                f"Lightcone answered {response.status_code} with {kind} content instead of JSON: {words}"
            ) from None
        return value

    def censored(self, text: str) -> str:
        """The text without the key, and without whatever else the client was told to take out."""
        text = text.replace(self._key, "[key]") if len(self._key) > 3 else text
        return text if self._censor is None else self._censor(text)

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[httpx.Response]:
        """The open reply to a call, after as many attempts as are allowed. Its body has not been read."""
        attempt, sent, unclear = 0, False, False
        while True:
            async with AsyncExitStack() as stack:
                try:
                    self.check_ready()  # each time: another call may have learnt meanwhile that the key is rejected
                    response = await self._attempt(call, stack)
                except NorthstarError as error:
                    sent = sent or error.sent
                    if attempt >= self._max_retries or not retries.after_failure(call.again, error):
                        error.sent, error.unclear = sent, unclear
                        raise
                    unclear = unclear or error.sent
                    asked = None
                else:
                    gone = call.deletes and sent and response.status_code in (404, 410)
                    sent = True
                    if response.is_success or gone:
                        yield response
                        return
                    asked = failures.retry_after(response.headers)
                    if attempt >= self._max_retries or not retries.after_reply(
                        call.again, response.status_code, response.headers
                    ):
                        refusal = await self._refused(response, asked)
                        refusal.unclear = unclear
                        raise refusal
                    unclear = unclear or not failures.is_refusal(response.status_code)
            await self._sleep(retries.pause_seconds(attempt, asked=asked, dice=self._random()))
            attempt += 1

    async def _attempt(self, call: Call, stack: AsyncExitStack) -> httpx.Response:
        if self._http is None:
            raise RuntimeError("LightconeClient is used outside its `async with` block")
        # Joined as text: httpx would take a path that begins with two slashes, or holds a colon, for another host.
        url = httpx.URL(self._base + call.path)
        for _ in range(MAX_REDIRECTS + 1):
            request = self._http.build_request(
                call.method, url, content=call.body, headers=self._headers(call), timeout=self._timeout(call)
            )
            try:
                response = await self._http.send(request, stream=True)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                told = failures.failure(error)
                # A protocol error of our own may quote a header; the others know no header.
                raise told from (None if isinstance(error, httpx.LocalProtocolError) else error)
            stack.push_async_callback(response.aclose)
            target = self._redirect(response, url)
            if target is None:
                return response
            await response.aclose()
            url = target
        raise UnreadableReply(f"Lightcone redirected more than {MAX_REDIRECTS} times.")

    def _redirect(self, response: httpx.Response, url: httpx.URL) -> httpx.URL | None:
        """Where to send the same request instead; None where the response is the answer."""
        if response.status_code not in (307, 308) or "location" not in response.headers:
            return None
        try:
            target = url.join(response.headers["location"])
        except httpx.InvalidURL:
            return None
        return target if _origin(target) == _origin(url) else None

    async def _refused(self, response: httpx.Response, asked: float | None) -> NorthstarError:
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk[: MAX_REFUSAL_BYTES - len(body)]
                if len(body) >= MAX_REFUSAL_BYTES:
                    break
        except httpx.HTTPError:
            pass  # the status says enough
        text = self.censored(body.decode("utf-8", errors="replace"))
        kind = response.headers.get("content-type", "")
        error = failures.refusal(response.status_code, body=text, content_type=kind, retry_after_seconds=asked)
        if response.status_code == 401:
            self._rejected = error.message
        return error

    def _headers(self, call: Call) -> httpx.Headers:
        headers = httpx.Headers({"Accept-Encoding": "gzip, deflate", "User-Agent": "northstar-mcp"})
        own = {"Accept": call.accept, "Authorization": f"Bearer {self._key}"}
        # The official client sends a content type with every method but GET, also where there is no body.
        if call.method != "GET":
            own["Content-Type"] = "application/json"
        # One by one: given as a whole, httpx would refuse what is not ASCII. And ours last: no extra header replaces
        # the key.
        for name, value in {**self._extra_headers, **(call.headers or {})}.items():
            headers[name] = value
        for name, value in own.items():
            headers[name] = value
        return headers

    def _timeout(self, call: Call) -> httpx.Timeout:
        read = call.read_timeout_seconds or self._timeout_seconds
        return httpx.Timeout(self._timeout_seconds, connect=self._connect_timeout_seconds, read=read)


def base_of(base_url: str) -> str:
    """The base URL without its last slash.

    Raises:
        SettingsInvalid: If it is no http(s) address, or carries a password, a query or a fragment.
    """
    try:
        url = httpx.URL(base_url.strip())
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        shown = one_line(url.host or base_url.rpartition("@")[2], limit=80)
        raise SettingsInvalid(
            f"{shown!r} is not an address of Lightcone.",
            remedy="Set LIGHTCONE_BASE_URL to an address such as https://api.tzafon.ai, without a password or a query.",
            sent=False,
        )
    return str(url).rstrip("/")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port

"""The HTTP transport: who is answered, what ends it, and what it leaves alone."""

import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, closing
from signal import SIGINT, SIGTERM, Signals
from typing import Any

import anyio
import httpx
import pytest
from mcp.server import MCPServer
from typing_extensions import override

from northstar_mcp.errors import LedgerUnavailable, SettingsInvalid
from northstar_mcp.server import http
from tests.app.launching import BOUND_SECONDS, Launched, bounded

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="signals")

INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Site(Launched):
    """A small server that is ready."""

    def __init__(self, **options: object) -> None:
        super().__init__("http", **options)
        assert self.next_note() == "opened"
        self.url = self.next_note()
        self.root = self.url.removesuffix("/mcp")

    def post(self, method: str, params: dict[str, Any], **headers: str) -> httpx.Response:
        return httpx.post(self.url, json=message(method, params), headers=headers_with(headers), timeout=BOUND_SECONDS)

    def session(self) -> str:
        """A legacy session's id."""
        answered = self.post("initialize", INITIALIZE)
        assert answered.status_code == 200
        return answered.headers["mcp-session-id"]


def message(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def headers_with(headers: dict[str, str]) -> dict[str, str]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"accept": "application/json, text/event-stream", **given}


Open = Callable[..., Site]


@pytest.fixture
def site() -> Iterator[Open]:
    """Starts a small server."""
    with bounded(list[Site]()) as sites:

        def starting(**options: object) -> Site:
            sites.append(Site(**options))
            return sites[-1]

        yield starting


# ---- who is answered


@needs_signals
def test_it_answers_on_the_url_that_it_tells_and_writes_nothing_to_standard_output(site: Open) -> None:
    server = site()
    session = server.session()
    answered = server.post("tools/call", {"name": "echo", "arguments": {"text": "hello"}}, mcp_session_id=session)
    assert "hello" in answered.text
    assert httpx.get(f"{server.root}/elsewhere").status_code == 404
    server.process.send_signal(SIGTERM)
    assert server.end() == (0, "", "")
    assert server.journal()[-2:] == ["closing", "closed"]


@needs_signals
@pytest.mark.parametrize("path", ["/mcp", "/healthz"])
def test_strange_hosts_and_origins_are_refused_on_every_page(site: Open, path: str) -> None:
    server = site()
    port = server.root.rpartition(":")[2]

    def send(**headers: str) -> httpx.Response:
        if path == "/mcp":
            return server.post("initialize", INITIALIZE, **headers)
        return httpx.get(server.root + path, headers=headers)

    for host in ("evil.example", "127.0.0.1.evil.example:80", f"evil.example:{port}", "localhost.evil.example"):
        assert send(host=host).status_code == 421
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{int(port) + 1}", f"https://127.0.0.1:{port}"):
        assert send(origin=origin).status_code == 403
    for host in ("localhost", f"localhost:{port}", "127.0.0.1:9", "[::1]:9"):
        assert send(host=host).status_code == 200
    for origin in (f"http://127.0.0.1:{port}", f"http://localhost:{port}"):
        assert send(origin=origin).status_code == 200


@needs_signals
def test_a_list_of_hosts_and_origins_takes_the_place_of_the_usual_ones(site: Open) -> None:
    server = site(allowed_hosts="mcp.example.com", allowed_origins="https://app.example.com")
    assert server.post("initialize", INITIALIZE, host="mcp.example.com").status_code == 200
    assert server.post("initialize", INITIALIZE).status_code == 421
    allowed = {"host": "mcp.example.com", "origin": "https://app.example.com"}
    assert server.post("initialize", INITIALIZE, **allowed).status_code == 200
    assert server.post("initialize", INITIALIZE, **allowed | {"origin": server.root}).status_code == 403


@needs_signals
def test_an_empty_list_of_hosts_answers_nobody(site: Open) -> None:
    assert site(allowed_hosts="").post("initialize", INITIALIZE).status_code == 421


@needs_signals
def test_an_address_of_ipv6_is_served(site: Open) -> None:
    try:
        with closing(socket.create_server(("::1", 0), family=socket.AF_INET6)):
            pass
    except OSError:
        pytest.skip("no IPv6 here")
    server = site(host="::1")
    assert server.url.startswith("http://[::1]:")
    assert httpx.get(f"{server.root}/healthz").status_code == 200


# ---- health


@needs_signals
def test_health_tells_what_it_is_given(site: Open) -> None:
    answered = httpx.get(f"{site().root}/healthz")
    assert (answered.status_code, answered.json()) == (200, {"status": "ok", "following": 0})


@needs_signals
def test_health_is_a_503_where_something_fails_and_tells_no_detail(site: Open) -> None:
    answered = httpx.get(f"{site(health='fails').root}/healthz")
    assert (answered.status_code, answered.json()) == (503, {"status": "unavailable", "category": "ledger"})


# ---- what ends it


@needs_signals
@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_a_signal_ends_it_though_a_legacy_stream_and_a_call_are_open(site: Open, number: Signals) -> None:
    server = site()
    headers = headers_with({"mcp_session_id": server.session(), "mcp_protocol_version": "2025-11-25"})
    waiting = message("tools/call", {"name": "wait", "arguments": {}})
    with (
        httpx.stream("GET", server.url, headers=headers, timeout=BOUND_SECONDS) as stream,
        httpx.stream("POST", server.url, headers=headers, json=waiting, timeout=BOUND_SECONDS) as call,
    ):
        assert (stream.status_code, call.status_code) == (200, 200)
        server.wait_for("waiting")
        server.process.send_signal(number)
        code, stdout, stderr = server.end()
    assert (code, stdout) == (0, "")
    assert "Traceback" not in stderr  # the SDK warns that it could not answer the call any more
    assert server.journal()[-4:] == ["waiting", "freed", "closing", "closed"]


@needs_signals
def test_a_signal_ends_it_though_a_modern_stream_and_a_call_are_open(site: Open) -> None:
    server = site()

    def modern(method: str, params: dict[str, Any], **headers: str) -> dict[str, Any]:
        given = headers_with({"mcp_protocol_version": "2026-07-28", "mcp_method": method, **headers})
        return {"headers": given, "json": message(method, {**params, "_meta": MODERN}), "timeout": BOUND_SECONDS}

    listen = modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    wait = modern("tools/call", {"name": "wait", "arguments": {}}, mcp_name="wait")
    with ThreadPoolExecutor(1) as pool, httpx.stream("POST", server.url, **listen) as stream:
        assert "acknowledged" in next(line for line in stream.iter_lines() if line.startswith("data"))
        # The answer to a modern call has no head before there is something to say.
        call = pool.submit(httpx.post, server.url, **wait)
        server.wait_for("waiting")
        server.process.send_signal(SIGTERM)
        assert server.end() == (0, "", "")
        assert isinstance(call.exception(BOUND_SECONDS), httpx.RemoteProtocolError | httpx.ReadError)
    assert server.journal()[-4:] == ["waiting", "freed", "closing", "closed"]


@needs_signals
def test_a_second_signal_ends_it_though_the_lifespan_hangs(site: Open) -> None:
    server = site(closing="hangs")
    server.process.send_signal(SIGTERM)
    server.wait_for("closing")
    server.process.send_signal(SIGTERM)
    assert server.end()[0] == 1


class Failing(AbstractAsyncContextManager[None]):
    """A lifespan that cannot be opened."""

    def __init__(self, _: object) -> None:
        pass

    @override
    async def __aenter__(self) -> None:
        raise LedgerUnavailable("the disk is full")

    @override
    async def __aexit__(self, *_: object) -> None:
        pass


@pytest.mark.anyio
async def test_a_lifespan_that_cannot_be_opened_is_that_very_error() -> None:
    with anyio.fail_after(BOUND_SECONDS), pytest.raises(LedgerUnavailable):
        await http.serve(MCPServer("failing", lifespan=Failing), port=0)


@pytest.mark.anyio
async def test_cancelling_ends_it() -> None:
    urls: list[str] = []
    with anyio.fail_after(BOUND_SECONDS):
        async with anyio.create_task_group() as group:

            def ready(url: str) -> None:
                urls.append(url)
                group.cancel_scope.cancel()

            await http.serve(MCPServer("small"), port=0, on_ready=ready)
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(urls[0])


# ---- where it listens


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "mcp.example.com", "127.0.0.1.example.com", ""])
async def test_an_address_that_others_can_reach_is_refused_plainly(host: str) -> None:
    with anyio.fail_after(BOUND_SECONDS), pytest.raises(SettingsInvalid, match="no authentication yet") as caught:
        await http.serve(MCPServer("small"), host=host, port=0)
    assert "127.0.0.1" in caught.value.remedy


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("127.1.2.3", "127.1.2.3"), ("::1", "::1"), ("LocalHost", "127.0.0.1")],
)
def test_loopback_has_several_names(host: str, address: str) -> None:
    assert http.loopback_address(host) == address


@pytest.mark.anyio
async def test_a_port_that_is_in_use_is_told_in_a_sentence() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsInvalid, match=f"cannot listen on port {port} of 127.0.0.1: Address already in use"):
            await http.serve(MCPServer("small"), port=port)
    with pytest.raises(SettingsInvalid, match="cannot listen on port 70000"):
        await http.serve(MCPServer("small"), port=70000)

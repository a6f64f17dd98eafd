"""Pictures from addresses that came from afar: what is fetched, and all that is not."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.streams.tls
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from northstar_mcp.errors import (
    Disconnected,
    NorthstarError,
    NotFound,
    PolicyRefused,
    TimedOut,
    Unavailable,
    UnreadableReply,
)
from northstar_mcp.lightcone.pictures import MAX_PICTURE_BYTES, media_type_of
from northstar_mcp.lightcone.screens import ScreenFetcher, is_public, pinned

from .conftest import KEY, Play
from .scripted import PNG

JPEG = b"\xff\xd8\xff\xe0" + bytes(50)
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(50)


@pytest.mark.anyio
@pytest.mark.parametrize(("data", "media_type"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp")])
@pytest.mark.parametrize("relative", [False, True])
async def test_a_picture_of_lightcone_s_own_host_is_fetched_without_the_key(
    data: bytes, media_type: str, relative: bool, play: Play
) -> None:
    async with play({"raw": data, "ct": "application/octet-stream"}, screen_hosts=frozenset()) as (client, server):
        screen = await client.fetch_screen(("" if relative else server.url) + "/screens/1.png?sig=a%2Fb")
    assert (screen.data, screen.media_type, screen.url) == (data, media_type, None)
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/screens/1.png?sig=a%2Fb")
    assert "authorization" not in request.headers
    assert KEY not in str(request.headers)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("step", "error"),
    [
        *(({"status": status, "json": {}}, NotFound) for status in (403, 404, 410)),
        ({"status": 302, "json": {}, "headers": {"Location": "http://169.254.169.254/"}}, PolicyRefused),
        ({"status": 503, "json": {}}, Unavailable),
        ({"status": 400, "json": {}}, UnreadableReply),
        ({"text": "<html>", "ct": "image/png"}, UnreadableReply),
        ({"raw": b"", "ct": "image/png"}, UnreadableReply),
        ({"raw": PNG, "headers": {"Content-Encoding": "gzip"}}, UnreadableReply),
        ({"raw": PNG + bytes(MAX_PICTURE_BYTES)}, UnreadableReply),
        ({"drop": True}, Disconnected),
    ],
)
async def test_what_is_no_picture_is_refused_and_its_address_not_shown(
    step: dict[str, Any], error: type[NorthstarError], play: Play
) -> None:
    async with play(step) as (client, server):
        with pytest.raises(error) as caught:
            await client.fetch_screen(f"{server.url}/x.png?sig=secret")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert len(server.requests) == 1


@pytest.mark.anyio
async def test_a_picture_that_never_comes_times_out(play: Play) -> None:
    async with play({"delay": 9}) as (_, server):
        with pytest.raises(TimedOut):
            await ScreenFetcher(base_url=server.url, hosts=None, timeout_seconds=0.1).fetch(f"{server.url}/x.png")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url",
    [
        "http://tzafon.ai/x.png",
        "https://tzafon.ai:8443/x.png",
        "https://user:pass@tzafon.ai/x.png",
        "https://evil.example/x.png",
        "https://tzafon.ai.evil.example/x.png",
        "https://eviltzafon.ai/x.png",
        "https://127.0.0.1/x.png",
        "https://[::1]/x.png",
        "https://169.254.169.254/latest",
        "https://localhost/x.png",
        "https://localhost./x.png",
        "//evil.example/x.png",
        "/\\evil.example/x.png",
        "file:///etc/passwd",
        "ftp://tzafon.ai/x.png",
        "data:image/png;base64,xx",
        "https://",
        "https://[::",
        "x.png",
        "",
        "http://127.0.0.1:1/x.png",
    ],
)
async def test_no_other_address_is_called(url: str) -> None:
    fetcher = ScreenFetcher(
        base_url="https://api.tzafon.ai", hosts=frozenset({"tzafon.ai", "localhost", "127.0.0.1", "[::1]"})
    )
    with anyio.fail_after(5), pytest.raises(PolicyRefused) as caught:
        await fetcher.fetch(url)
    assert "NORTHSTAR_MCP_SCREENSHOT_HOSTS" in caught.value.remedy


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        (None, "tzafon.ai", True),
        (None, "a.b.tzafon.ai", True),
        (None, "eviltzafon.ai", False),
        (frozenset(), "tzafon.ai", False),
        (frozenset({"*.CDN.example"}), "x.cdn.example", True),
        (frozenset({"*.cdn.example"}), "cdn.example", False),
        (frozenset({"cdn.example"}), "x.cdn.example", False),
        (frozenset({"*"}), "any.thing", True),
    ],
)
def test_no_list_and_an_empty_list_are_different_things(hosts: frozenset[str] | None, host: str, allowed: bool) -> None:
    assert ScreenFetcher(base_url="https://api.tzafon.ai", hosts=hosts)._allows(host) is allowed


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1", "::", "::1", "fe80::1%eth0", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::", "2001:db8::1", "",
        "what",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_told_apart(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


def test_a_pinned_request_goes_to_the_checked_address_under_the_host_s_name() -> None:
    target = pinned(httpx.URL("https://bücher.tzafon.ai/a%2Fb?c=d"), "2606:4700::1111")
    assert str(target.url) == "https://[2606:4700::1111]/a%2Fb?c=d"
    assert target.headers == {"Host": "xn--bcher-kva.tzafon.ai"}
    assert target.sni == "xn--bcher-kva.tzafon.ai"


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg", b"RIFF\x00\x00\x00\x00WAVE", b"BM"])
def test_only_three_kinds_are_pictures(data: bytes) -> None:
    assert media_type_of(data) is None


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


@pytest.mark.anyio
@pytest.mark.parametrize(("certified", "fetched"), [("cdn.tzafon.ai", True), ("other.tzafon.ai", False)])
async def test_a_pinned_connection_checks_the_certificate_against_the_name(
    certified: str, fetched: bool, tmp_path: Path
) -> None:
    """Over real TLS: the request goes to an address, and the name still decides."""
    cert_file, key_file = _certificate(tmp_path, certified)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    trusting = ssl.create_default_context(cafile=str(cert_file))

    async def serve(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PNG), PNG))

    with anyio.fail_after(10):
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        secure = anyio.streams.tls.TLSListener(listener, context, standard_compatible=False)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django
        async with secure, anyio.create_task_group() as group:
            group.start_soon(secure.serve, serve)
            target = pinned(httpx.URL(f"https://cdn.tzafon.ai:{port}/x.png"), "127.0.0.1")
            fetcher = ScreenFetcher(base_url="https://api.tzafon.ai", hosts=None)
            fetcher._trust = trusting
            try:
                if fetched:
                    assert (await fetcher._get(target)).data == PNG
                else:
                    with pytest.raises(httpx.ConnectError):
                        await fetcher._get(target)
            finally:
                group.cancel_scope.cancel()
    assert names == ["cdn.tzafon.ai"]

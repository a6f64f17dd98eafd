"""Where objects are made and joined: an engine from the settings, a server over the engine, and the process's entry points.

Nothing decides anything here. The Lightcone client is opened by the first call that needs it, so that a server that is only asked for
its tools loads no HTTP library.
"""

import hashlib
import importlib
import ipaddress
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from northstar_mcp import __version__
from northstar_mcp.redaction import RedactingFilter, Redactor, secrets_in
from northstar_mcp.settings import Settings
from northstar_mcp.tasks.engine import Engine, open_engine
from northstar_mcp.tasks.policy import Policy
from northstar_mcp.tasks.ports import Agent
from northstar_mcp.tasks.timing import Timing

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from northstar_mcp.lightcone.client import LightconeClient

_LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[Engine]:
    """An engine over the settings' ledger and Lightcone account, for one process. Leaving ends no task.

    Raises:
        SettingsInvalid: If the data folder cannot hold a ledger, or holds one of a newer version.
        LedgerUnavailable: If the disk does not allow it.
    """
    from northstar_mcp.ledger import open_ledger
    from northstar_mcp.ledger.sqlite import SystemClock

    failure: Exception | None = None
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        screens_bytes = settings.screenshots_megabytes * 1024 * 1024
        opening_ledger = open_ledger(settings.data_dir, clock=clock, screens_bytes=screens_bytes)
        ledger = await stack.enter_async_context(opening_ledger)
        northstar = await stack.enter_async_context(_Northstar(settings))
        opening = open_engine(
            ledger=ledger,
            feed=ledger,
            agent=northstar.agent,
            clock=clock,
            policy=policy_of(settings),
            timing=timing_of(settings),
            account=account_of(settings),
            keep_screens=settings.keep_screenshots == "on",
        )
        engine = await stack.enter_async_context(opening)
        try:
            yield engine
        except Exception as error:  # noqa: BLE001 - raised below, outside the task groups that would wrap it
            failure = error
    if failure is not None:
        raise failure


def build_server(settings: Settings | None = None, *, engine: Engine | None = None) -> "MCPServer[Engine]":
    """The MCP server, for any transport.

    Args:
        settings: What to open an engine from when the server starts; `Settings.load()` where neither is given.
        engine: One that is open already. It is used and not closed.
    """
    from northstar_mcp.server.surface import make_server

    if engine is not None:
        return make_server(partial(_as_it_is, engine), version=__version__)
    return make_server(partial(open_app, settings or Settings.load()), version=__version__)


async def serve_stdio(settings: Settings) -> None:
    """Serve one connection over standard input and output until it ends."""
    from northstar_mcp.server import stdio

    configure_logging(settings)
    await stdio.serve(build_server(settings))


async def serve_http(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_ready: Callable[[str], None] = lambda _url: None,
) -> None:
    """Serve streamable HTTP until a signal comes; `on_ready` is told the endpoint's URL.

    Raises:
        SettingsInvalid: If the address may not be used, or cannot.
    """
    from northstar_mcp.server import http

    configure_logging(settings)
    http.loopback_address(host)  # before anything is opened
    async with open_app(settings) as engine:
        await http.serve(
            build_server(engine=engine),
            host=host,
            port=port,
            allowed_hosts=settings.allowed_hosts,
            allowed_origins=settings.allowed_origins,
            stateless=settings.http_stateless == "on",
            on_ready=on_ready,
            health=partial(_health, engine),
        )


def configure_logging(settings: Settings, handler: logging.Handler | None = None) -> None:
    """Write log lines to `handler`, or to standard error, without secrets; calling it again replaces what went to standard error.

    Other libraries' lines are shown from WARNING up, whatever the level: below that they quote requests and signed URLs.
    """
    handler = handler or _StandardError(sys.stderr)
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    handler.addFilter(RedactingFilter(Redactor(secrets_of(settings))))
    root, level = logging.getLogger(), logging.getLevelNamesMapping()[settings.log_level]
    for former in [former for former in root.handlers if isinstance(former, _StandardError)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("northstar_mcp").setLevel(level)


def secrets_of(settings: Settings) -> frozenset[str]:
    """What may stand in no text that leaves the process."""
    headers = {name: value.get_secret_value() for name, value in settings.custom_headers.items()}
    return secrets_in(headers) | ({_key_of(settings)} - {""})


def policy_of(settings: Settings) -> Policy:
    """The operator's ceilings."""
    return Policy(
        max_steps=settings.max_steps,
        max_duration_seconds=settings.max_duration_seconds,
        max_concurrent_tasks=settings.max_concurrent_tasks,
        kinds=settings.kinds,
        confirm=settings.confirm,
        start_url_hosts=settings.start_url_hosts,
    )


def timing_of(settings: Settings) -> Timing:
    """The core's waits."""
    usual = Timing()
    return Timing(
        lease_seconds=settings.lease_seconds,
        # Renewed as often in a lease as usual: three times, so that two may fail.
        renew_seconds=settings.lease_seconds * usual.renew_seconds / usual.lease_seconds,
        sweep_seconds=settings.sweep_seconds,
        stall_seconds=settings.stall_seconds,
        first_retry_seconds=settings.first_retry_seconds,
        last_retry_seconds=settings.last_retry_seconds,
        grace_seconds=settings.grace_seconds,
        settle_seconds=settings.settle_seconds,
        repeat_seconds=settings.repeat_seconds,
        naming_seconds=settings.naming_seconds,
        stopping_seconds=settings.stopping_seconds,
    )


def account_of(settings: Settings) -> str:
    """A fingerprint of the Lightcone address and key, from which neither can be learnt."""
    return hashlib.sha256(f"{settings.base_url}\0{_key_of(settings)}".encode()).hexdigest()[:16]


class _StandardError(logging.StreamHandler[Any]):
    """Our handler, told from those of others by its type."""


class _Northstar:
    """Opens the Lightcone client when it is first needed, once, and closes it with the block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = anyio.Lock()
        self._closing = AsyncExitStack()
        self._agent: Agent | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await self._closing.aclose()

    async def agent(self) -> Agent:
        """The same one every time."""
        async with self._opening:
            if self._agent is None:
                self._agent = await self._open()
            return self._agent

    async def _open(self) -> Agent:
        # It takes some tenths of a second: other calls go on meanwhile.
        await anyio.to_thread.run_sync(importlib.import_module, "northstar_mcp.lightcone.agent")
        from northstar_mcp.lightcone.agent import LightconeAgent

        return LightconeAgent(await self._closing.enter_async_context(_client_of(self._settings)))


def _client_of(settings: Settings) -> "LightconeClient":
    from northstar_mcp.lightcone.client import LightconeClient

    return LightconeClient(
        api_key=_key_of(settings) or None,
        base_url=settings.base_url,
        timeout_seconds=settings.timeout_seconds,
        max_retries=settings.max_retries,
        extra_headers={name: value.get_secret_value() for name, value in settings.custom_headers.items()},
        reattach=settings.reattach,
        screen_hosts=settings.screenshot_hosts,
        censor=Redactor(secrets_of(settings)).text,  # a proxy may repeat the headers that it was sent
        # Companies' proxies and certificates are set in the environment. What runs on this machine no proxy can reach.
        trust_env=not _is_on_this_machine(settings.base_url),
    )


def _is_on_this_machine(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _key_of(settings: Settings) -> str:
    return settings.api_key.get_secret_value() if settings.api_key is not None else ""


@asynccontextmanager
async def _as_it_is(engine: Engine) -> AsyncIterator[Engine]:
    yield engine


async def _health(engine: Engine) -> Mapping[str, object]:
    """Whether the ledger can be read, as an error where it cannot."""
    await engine.ledger.unfinished()
    return {"version": __version__, "following": len(engine.statistics().following)}

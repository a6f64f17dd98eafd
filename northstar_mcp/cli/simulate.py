"""`northstar-mcp simulator`: the stand-in for the Lightcone API as a process of its own."""

import signal
import sys
from typing import TYPE_CHECKING, Final

import click

from northstar_mcp.cli.options import common_options

if TYPE_CHECKING:
    from northstar_mcp.simulator import Dialect, SimulatorSettings

_PORT: Final = 8900

_READY: Final = """\
simulator listening on {url}
Point the server at it with:
  export LIGHTCONE_BASE_URL={url}
  export TZAFON_API_KEY=sk_simulator
Ctrl-C ends it."""


def _read_dialect(context: click.Context, parameter: click.Parameter, value: str) -> "Dialect":
    """Read by the simulator itself, whose complaint names the keys and values there are."""
    from northstar_mcp.simulator import Dialect

    try:
        return Dialect.parse(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", context, parameter) from error


@click.command(short_help="Serve a stand-in for Lightcone.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=_PORT,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--step-seconds",
    type=click.FloatRange(0),
    metavar="SECONDS",
    default=1.5,
    show_default=True,
    help="Real time that one step of the agent takes.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    metavar="FACTOR",
    default=1.0,
    show_default=True,
    help="Lightcone's seconds per real second: pings, time limits, expiry.",
)
@click.option(
    "--max-computers", type=click.IntRange(1), metavar="N", default=100, show_default=True, help="Computers at once."
)
@click.option(
    "--accept-key", multiple=True, metavar="KEY", help="Accept only this key (repeatable).  [default: any sk_...]"
)
@click.option(
    "--dialect",
    callback=_read_dialect,
    default="",
    metavar="KEY=VALUE,...",
    help="How Lightcone behaves where nobody knows; a wrong key lists the keys there are.",
)
@common_options(listed=False)
def simulator(
    host: str,
    port: int,
    step_seconds: float,
    speed: float,
    max_computers: int,
    accept_key: tuple[str, ...],
    dialect: "Dialect",
) -> None:
    """Serve a stand-in for Lightcone.

    It needs no key and costs nothing; the agent behind it follows a script.
    """
    import anyio

    from northstar_mcp.simulator import SimulatorSettings

    settings = SimulatorSettings(
        dialect=dialect,
        step_seconds=step_seconds,
        speed=speed,
        max_computers=max_computers,
        accepted_keys=frozenset(accept_key) or None,
    )
    try:
        anyio.run(_serve_until_signalled, settings, host, port)
    except* OSError as group:
        reason = _reason(group)
        raise click.ClickException(
            f"Cannot listen on {host} port {port}: {reason}. --port 0 takes a free one."
        ) from group


def _reason(group: BaseExceptionGroup[OSError]) -> str:
    from northstar_mcp.cli.failures import only_cause

    cause = only_cause(group)
    return (cause.strerror if isinstance(cause, OSError) else None) or str(cause)


async def _serve_until_signalled(settings: "SimulatorSettings", host: str, port: int) -> None:
    import anyio

    from northstar_mcp.simulator import serve

    if sys.platform == "win32":  # has no such signals: Ctrl-C cancels the main task there
        await serve(settings, host, port, _say_ready)
        return
    async with anyio.create_task_group() as group:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            group.start_soon(serve, settings, host, port, _say_ready)
            async for _ in signals:
                group.cancel_scope.cancel()


def _say_ready(url: str) -> None:
    print(_READY.format(url=url), file=sys.stderr, flush=True)

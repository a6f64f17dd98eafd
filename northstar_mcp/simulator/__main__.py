"""`python -m northstar_mcp.simulator`: the simulator as a process of its own, for tests.

Says where it listens in one line on stderr, writes nothing else, and ends cleanly on SIGINT and SIGTERM.
"""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence

import anyio

from northstar_mcp.simulator.dialect import MEANINGS, Dialect
from northstar_mcp.simulator.serving import serve
from northstar_mcp.simulator.settings import SimulatorSettings


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    keys = "; ".join(f"{key}: {meaning}" for key, meaning in MEANINGS.items())
    parser = argparse.ArgumentParser(
        prog="python -m northstar_mcp.simulator", description="A stand-in for the Lightcone API."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--step-seconds", type=float, default=1.5, help="real time that one step takes")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="Lightcone's seconds per real second (pings, durations, expiry)"
    )
    parser.add_argument("--max-computers", type=int, default=100)
    parser.add_argument(
        "--accept-key", action="append", help="the only keys accepted; default: any that starts with sk_"
    )
    parser.add_argument("--kept-frames", type=int, default=2_000, help="frames kept per task for replay")
    parser.add_argument("--dialect", type=_dialect, default=Dialect(), metavar="KEY=VALUE,…", help=keys)
    return parser.parse_args(argv)


def _dialect(text: str) -> Dialect:
    try:
        return Dialect.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


async def _serve_until_signalled(settings: SimulatorSettings, host: str, port: int) -> None:
    async with anyio.create_task_group() as group:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            group.start_soon(serve, settings, host, port, _say_ready)
            async for _ in signals:
                group.cancel_scope.cancel()


def _say_ready(base_url: str) -> None:
    sys.stderr.write(f"simulator listening on {base_url}\n")
    sys.stderr.flush()


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until a signal comes."""
    given = _arguments(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    settings = SimulatorSettings(
        dialect=given.dialect,
        step_seconds=given.step_seconds,
        speed=given.speed,
        max_computers=given.max_computers,
        accepted_keys=None if given.accept_key is None else frozenset(given.accept_key),
        kept_frames=given.kept_frames,
    )
    anyio.run(_serve_until_signalled, settings, given.host, given.port)


if __name__ == "__main__":
    main()

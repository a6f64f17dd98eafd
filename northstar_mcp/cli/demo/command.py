"""`northstar-mcp demo`: the options, and what is done before and after the story."""

import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from northstar_mcp.cli.options import common_options, flags_of

if TYPE_CHECKING:
    from northstar_mcp.cli.demo.evidence import Evidence
    from northstar_mcp.cli.demo.job import Job
    from northstar_mcp.cli.demo.processes import ServerCommand
    from northstar_mcp.cli.demo.stage import Stage

_COST: Final = "This hands one real task to Northstar at Lightcone and costs credits."
_LOG_LINES: Final = 12


@click.command(short_help="Show the whole job, without a key.")
@click.option("--live", is_flag=True, help="Against the hosted API, with TZAFON_API_KEY; costs credits.")
@click.option("--yes", is_flag=True, help="With --live: do not ask first.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("northstar-demo.png"),
    show_default=True,
    help="Where the screenshot is saved.",
)
@click.option(
    "--step-seconds",
    type=click.FloatRange(0.1),
    metavar="SECONDS",
    default=1.0,
    help="Time for one simulated step.  [default: 1]",
)
@click.option("--save-svg", type=click.Path(path_type=Path, dir_okay=False), hidden=True)
@common_options(listed=False)
@click.pass_context
def demo(
    context: click.Context, *, live: bool, yes: bool, output: Path, step_seconds: float, save_svg: Path | None
) -> int:
    """Show the whole job: start, progress, pause, message, resume, result, screenshot.

    Starts a simulated Lightcone and the real server, and connects to it with a real MCP client. Needs no key. Exit code 1 if any part
    of it did not happen.
    """
    import anyio

    from northstar_mcp.cli.demo.stage import Stage

    if live:
        _check_live(context, ask=not yes)
    stage = Stage(recording=save_svg is not None)
    # So that SIGTERM, too, ends the processes that are started here: as Ctrl-C it cancels the main task.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    work = partial(_live, stage, flags_of(context)) if live else partial(_simulated, stage, step_seconds)
    evidence = anyio.run(work, output)
    stage.close(evidence.items(), evidence.faults)
    if save_svg is not None:
        stage.save_picture(save_svg, title="northstar-mcp demo")
    return 0 if evidence.complete else 1


def _check_live(context: click.Context, *, ask: bool) -> None:
    from northstar_mcp.cli.session import settings_of
    from northstar_mcp.errors import KeyMissing

    if settings_of(flags_of(context)).api_key is None:
        raise KeyMissing("The live demo needs a Lightcone API key.", sent=False)
    click.echo(_COST, err=True)
    if ask and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm("Go on?", abort=True, err=True)


async def _simulated(stage: "Stage", step_seconds: float, output: Path) -> "Evidence":
    from tempfile import TemporaryDirectory

    from northstar_mcp.cli.demo import processes
    from northstar_mcp.cli.demo.job import SIMULATED

    with TemporaryDirectory(prefix="northstar-demo-") as folder:
        async with processes.simulator(step_seconds=step_seconds) as base_url:
            server = processes.simulated_server(Path(folder), base_url)
            job = SIMULATED.at_pace(step_seconds)
            return await _tell(stage, job, server, f"simulated, at {base_url}; no key, no credits", output)


async def _live(stage: "Stage", flags: dict[str, str], output: Path) -> "Evidence":
    from tempfile import TemporaryDirectory

    from northstar_mcp.cli.demo import processes
    from northstar_mcp.cli.demo.job import LIVE
    from northstar_mcp.cli.session import settings_of

    with TemporaryDirectory(prefix="northstar-demo-") as folder:
        server = processes.live_server(Path(folder), flags)
        return await _tell(stage, LIVE, server, settings_of(flags).base_url, output)


async def _tell(stage: "Stage", job: "Job", server: "ServerCommand", lightcone: str, output: Path) -> "Evidence":
    """Connect, tell the story, and turn whatever goes wrong into a fault of the evidence."""
    from mcp import Client, stdio_client

    from northstar_mcp.cli.demo.evidence import Evidence
    from northstar_mcp.cli.demo.story import Story
    from northstar_mcp.cli.failures import only_cause

    evidence = Evidence()
    try:
        with server.log.open("w", encoding="utf-8") as log:
            async with Client(stdio_client(server.parameters, errlog=log)) as client:
                _introduce(stage, client.protocol_version, lightcone)
                await Story(client, stage, job, evidence).tell(output)
    except Exception as error:  # noqa: BLE001 - whatever broke the connection: it is told, with what the server said last
        evidence.faults.append(f"The connection to the server broke: {only_cause(error)!r}")
        evidence.faults += server.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    return evidence


def _introduce(stage: "Stage", protocol: str, lightcone: str) -> None:
    from northstar_mcp import __version__

    stage.open(
        "northstar-mcp demo",
        "A host hands a computer-use task to Northstar, watches it, steers it and reads the answer.",
        {
            "client": f"the MCP SDK's own, over stdio, protocol {protocol}",
            "server": f"northstar-mcp {__version__}, as a host starts it",
            "Lightcone": lightcone,
        },
    )

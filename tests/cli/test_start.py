"""What a host's start passes through: quick, quiet, and without what only other commands need."""

import signal
import subprocess

import anyio
import pytest
from mcp import Client

from .processes import COMMAND, CommandLine, line_with

HEAVY = ("httpx", "PIL", "northstar_mcp.lightcone.client", "northstar_mcp.simulator", "northstar_mcp.cli.commands")
"""click and rich are not among them: uvicorn and the SDK's own logging load those."""


def _imported(northstar: CommandLine, *arguments: str) -> set[str]:
    python, *module = COMMAND
    done = subprocess.run(
        [python, "-X", "importtime", *module, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        cwd=northstar.folder,
        env=northstar.environment,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_a_host_that_hangs_up_at_once_is_served_without_a_word(northstar: CommandLine) -> None:
    ran = northstar()
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_serving_a_host_imports_nothing_that_only_other_commands_need(northstar: CommandLine) -> None:
    names = _imported(northstar)
    assert "northstar_mcp.app" in names
    assert not names.intersection(HEAVY)


def test_a_configuration_that_cannot_be_used_ends_the_start_in_a_sentence(northstar: CommandLine) -> None:
    wrong = CommandLine(
        folder=northstar.folder, environment={**northstar.environment, "NORTHSTAR_MCP_MAX_STEPS": "many"}
    )
    ran = wrong()
    assert (ran.code, ran.out) == (1, "")
    assert "NORTHSTAR_MCP_MAX_STEPS must be a whole number" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_over_http_it_says_where_it_listens_and_ends_quietly(northstar: CommandLine, sign: signal.Signals) -> None:
    with northstar.holding("serve", "--http", "--port", "0") as process:
        url = line_with(process, "Serving MCP at").split()[-1]
        assert url.endswith("/mcp")
        assert "start_task" in anyio.run(_tools_at, url)
        process.send_signal(sign)
        out, err = process.communicate(timeout=40)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err


async def _tools_at(url: str) -> set[str]:
    with anyio.fail_after(20):
        async with Client(url) as client:
            return {tool.name for tool in (await client.list_tools()).tools}

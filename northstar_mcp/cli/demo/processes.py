"""The simulator and the server, each as a process of its own, each ended by whoever started it."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import StdioServerParameters

from northstar_mcp.errors import NorthstarError

_READY: Final = re.compile(r"listening on (http://\S+)")
_STARTING_SECONDS: Final = 30.0
_ENDING_SECONDS: Final = 5.0
_LONGEST_LINE: Final = 4096


class NotStarted(NorthstarError):
    """A process of the demo did not start."""

    category = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCommand:
    """How the server is started, and where its stderr goes."""

    parameters: StdioServerParameters
    log: Path


@asynccontextmanager
async def simulator(*, step_seconds: float) -> AsyncIterator[str]:
    """A simulator on a free port; yields its base URL, and ends the process afterwards.

    Raises:
        NotStarted: If it did not.
    """
    command = [*_ourselves(), "simulator", "--port", "0", "--step-seconds", str(step_seconds)]
    process = await anyio.open_process(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield await _address(process)
    finally:
        await _end(process)


def simulated_server(folder: Path, base_url: str) -> ServerCommand:
    """The server, with everything it writes in `folder`, so that nothing of this user's own takes part."""
    config = folder / "config.toml"
    config.touch()
    environment = {
        "TZAFON_API_KEY": "sk_demo_not_a_real_key",
        "LIGHTCONE_BASE_URL": base_url,
        "NORTHSTAR_MCP_DATA_DIR": str(folder / "data"),
        "NORTHSTAR_MCP_CONFIG": str(config),
        "NORTHSTAR_MCP_KEEPER": "off",  # the folder is removed with what it shows
    }
    return _server((), environment, folder)


def live_server(folder: Path, flags: Mapping[str, str]) -> ServerCommand:
    """The server as this user has it configured, against the hosted API. Only its log lies in `folder`."""
    arguments = tuple(word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value))
    return _server(arguments, dict(os.environ), folder)


def _server(arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> ServerCommand:
    python, *module = _ourselves()
    passed_on = {name: value for name in ("PYTHONPATH",) if (value := os.environ.get(name))}
    return ServerCommand(
        parameters=StdioServerParameters(command=python, args=[*module, *arguments], env={**passed_on, **environment}),
        log=folder / "server.log",
    )


def _ourselves() -> tuple[str, ...]:
    return (sys.executable, "-m", "northstar_mcp")


async def _address(process: Process) -> str:
    told = ""
    try:
        with anyio.fail_after(_STARTING_SECONDS):
            told = await _first_line(process)
    except (TimeoutError, anyio.IncompleteRead, anyio.DelimiterNotFound):
        pass
    if not (found := _READY.search(told)):
        raise NotStarted(f"The simulator did not start. {told}".strip())
    return found[1]


async def _first_line(process: Process) -> str:
    if process.stderr is None:
        return ""
    return (await BufferedByteReceiveStream(process.stderr).receive_until(b"\n", _LONGEST_LINE)).decode(
        errors="replace"
    )


async def _end(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
        with anyio.move_on_after(_ENDING_SECONDS):
            await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        await process.aclose()

"""The whole server in a process of its own, over a simulator: a real client, a signal in the middle of a task, and what is left."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client

from northstar_mcp.app import open_app
from northstar_mcp.settings import Settings
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import Task
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.steering import resume
from tests.simulator.visitor import Visitor, visiting

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="signals")]

ROOT = Path(__file__).parents[2]
KEY = "sk_test_0123456789abcdef"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "NORTHSTAR_MCP_DATA_DIR": str(folder / "data"), **more}


def against(lightcone: Visitor) -> dict[str, str]:
    quick = {"NORTHSTAR_MCP_SWEEP_SECONDS": "0.1", "NORTHSTAR_MCP_LEASE_SECONDS": "30"}
    return {"TZAFON_API_KEY": KEY, "LIGHTCONE_BASE_URL": str(lightcone.http.base_url), **quick}


class Wire:
    """JSON-RPC with a process, line by line."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdin is not None
        self.process = process
        self._out = BufferedByteReceiveStream(process.stdout)
        self.err = BufferedByteReceiveStream(process.stderr)
        self._in = process.stdin

    async def say(self, method: str, params: dict[str, Any], **more: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        await self._in.send(json.dumps(message).encode() + b"\n")

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result; notifications that come before it are passed over."""
        await self.say(method, params, id=7)
        while (heard := await self._hear()).get("id") != 7:
            assert heard["jsonrpc"] == "2.0"
        result: dict[str, Any] = heard["result"]
        return result

    async def _hear(self) -> dict[str, Any]:
        try:
            heard: dict[str, Any] = json.loads(await self._out.receive_until(b"\n", 10_000_000))
        except anyio.IncompleteRead:
            pytest.fail((await self.rest())[1].decode())
        return heard

    async def shake_hands(self) -> None:
        client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        await self.ask("initialize", client)
        await self.say("notifications/initialized", {})

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What the tool answered, as structured content."""
        result = await self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result
        content: dict[str, Any] = result["structuredContent"]
        return content

    async def rest(self) -> tuple[bytes, bytes]:
        """What is left in the two outputs until they end."""
        return b"".join([part async for part in self._out]), b"".join([part async for part in self.err])


async def until_ended(engine: Engine, task: Task) -> Task:
    with engine.feed.watch(task.task_id) as watch:
        while not (found := await engine.ledger.get(task.task_id)) or not found.state.ended:
            await watch.changed()
    return found


@asynccontextmanager
async def serving(transport: str, env: dict[str, str]) -> AsyncIterator[Wire]:
    """The entry point in a process; 20 seconds for the block."""
    command = [sys.executable, "-m", "tests.app.serving", transport]
    with anyio.fail_after(20):
        async with await anyio.open_process(command, env=env, cwd=ROOT) as process:
            try:
                yield Wire(process)
            finally:
                if process.returncode is None:
                    process.kill()


async def test_the_official_client_lists_the_tools_without_a_key_and_without_a_line_on_standard_error(
    tmp_path: Path,
) -> None:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "tests.app.serving", "stdio"], env=environment(tmp_path), cwd=ROOT
    )
    with anyio.fail_after(20), (tmp_path / "stderr").open("w+") as errors:
        async with Client(stdio_client(command, errlog=errors)) as client:
            assert "start_task" in {tool.name for tool in (await client.list_tools()).tools}
            refused = await client.call_tool("start_task", {"instruction": "Open example.com"})
            assert refused.is_error
            assert "TZAFON_API_KEY" in str(refused.content)
        errors.seek(0)
        assert errors.read() == ""


@pytest.mark.parametrize("by", ["a signal", "the end of the input"])
async def test_ending_the_server_loses_no_task_and_stops_none(tmp_path: Path, by: str) -> None:
    async with visiting(step_seconds=0.1) as lightcone:
        async with serving("stdio", environment(tmp_path, **against(lightcone))) as server:
            await server.shake_hands()
            started = await server.call("start_task", instruction="Open example.com and read it", max_steps=20)
            # Paused, so that it cannot end before the next server looks.
            assert (await server.call("pause", task_id=started["task_id"]))["state"] == "paused"
            if by == "a signal":
                server.process.send_signal(SIGTERM)
            else:
                assert server.process.stdin is not None
                await server.process.stdin.aclose()
            assert await server.rest() == (b"", b"")
            assert await server.process.wait() == 0
        # Its lease of 30 seconds was given back, or nobody could follow the task in the time that there is.
        settings = Settings.load(env=environment(tmp_path, **against(lightcone)))
        with anyio.fail_after(15):
            async with open_app(settings) as engine:
                resumed = await resume(engine, started["task_id"], principal="local")
                task = await until_ended(engine, resumed.task)
                events = await engine.ledger.events(task.task_id)
    assert task.state is State.COMPLETED
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_over_http_the_page_says_that_all_is_well_and_a_signal_ends_it(tmp_path: Path) -> None:
    async with serving("http", environment(tmp_path, TZAFON_API_KEY=KEY)) as server:
        url = (await server.err.receive_until(b"\n", 1000)).decode()
        async with httpx.AsyncClient() as http:
            page = await http.get(url.replace("/mcp", "/healthz"))
        assert (page.status_code, page.json()["status"], page.json()["following"]) == (200, "ok", 0)
        async with Client(url) as client:
            assert "start_task" in {tool.name for tool in (await client.list_tools()).tools}
        server.process.send_signal(SIGTERM)
        assert await server.rest() == (b"", b"")
        assert await server.process.wait() == 0

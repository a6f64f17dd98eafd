"""A host that asks and asks and never reads holds up itself, and takes a bounded room."""

import json
import os
import subprocess
import time
from pathlib import Path

import anyio
import pytest
from mcp.shared._context_streams import create_context_streams
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from northstar_mcp.server.unanswered import MAX_UNANSWERED, BoundedReader, BoundedWriter, Unanswered
from tests.keeper.host import COMMAND, hosting

HELD = 40 * 1024 * 1024  # what MAX_UNANSWERED lists of tools take, generously


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _request(identity: int) -> SessionMessage:
    return SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=identity, method="ping"))


@pytest.mark.anyio
async def test_no_more_is_read_until_some_were_answered_or_given_up() -> None:
    said, heard = create_context_streams[SessionMessage | Exception](10)
    answers, taken = create_context_streams[SessionMessage](10)
    unanswered = Unanswered(limit=2)
    reader, writer = BoundedReader(heard, unanswered), BoundedWriter(answers, unanswered)
    for identity in range(5):
        await said.send(_request(identity))
    read: list[object] = []

    async def read_on() -> None:
        async for message in reader:
            assert isinstance(message, SessionMessage)
            read.append(getattr(message.message, "id", "cancelled"))

    async with anyio.create_task_group() as group, said, reader, writer, taken:
        group.start_soon(read_on)
        await anyio.wait_all_tasks_blocked()
        assert read == [0, 1]
        await writer.send(_request(0))  # a request of the server's own, with a number of its own
        await writer.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/progress")))
        await anyio.wait_all_tasks_blocked()
        assert read == [0, 1]
        await writer.send(SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=1, result={})))
        await anyio.wait_all_tasks_blocked()
        assert read == [0, 1, 2]
        unanswered.came(
            SessionMessage(
                JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params={"requestId": 0})
            )
        )
        await anyio.wait_all_tasks_blocked()
        assert read == [0, 1, 2, 3]
        group.cancel_scope.cancel()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="memory is read in /proc")
@pytest.mark.parametrize("keeper", ["off", "on"])
def test_a_host_that_never_reads_takes_a_bounded_room(tmp_path: Path, keeper: str) -> None:
    env = {**os.environ, "NORTHSTAR_MCP_DATA_DIR": str(tmp_path / "data"), "NORTHSTAR_MCP_KEEPER": keeper}
    env |= {"XDG_RUNTIME_DIR": str(tmp_path), "TZAFON_API_KEY": "sk_test", "NORTHSTAR_MCP_KEEPER_IDLE_SECONDS": "1"}
    with hosting(env) as host:
        host.ask("tools/list")
        server = int(host.process.pid if keeper == "off" else _keeper_of(env))
        before = _memory(server)
        assert host.process.stdin is not None
        os.set_blocking(host.process.stdin.fileno(), False)
        line = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "tools/list"}).encode()
        sent = refused = 0
        while refused < 100:  # in a row: then it certainly reads no more
            try:
                os.write(host.process.stdin.fileno(), line.replace(b'"id": 0', b'"id": %d' % (1000 + sent)) + b"\n")
                sent, refused = sent + 1, 0
            except BlockingIOError:
                refused += 1
                time.sleep(0.01)
        assert sent > 2 * MAX_UNANSWERED, "nothing had to be held up"
        assert _memory(server) - before < 2 * HELD
        host.process.kill()


def _keeper_of(env: dict[str, str]) -> str:
    told = subprocess.run([*COMMAND, "keeper", "status", "--json"], env=env, capture_output=True, text=True, check=True)
    return str(json.loads(told.stdout)["keepers"][0]["pid"])


def _memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024

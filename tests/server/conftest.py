"""A server in this process over a real engine, a real ledger and the simulator, and the SDK's own client in front of it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.server import MCPServer
from mcp_types import CallToolResult, ResourceUpdatedNotification, TextContent

from northstar_mcp.server.surface import make_server
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import Task
from tests.server.schemas import check_fits
from tests.simulator.visitor import Visitor
from tests.tasks.conftest import Core, Workshop

ERAS = ("legacy", "2026-07-28")
Progress = tuple[float, float | None, str | None]


def text_of(answer: CallToolResult) -> str:
    """What the model reads."""
    return "\n".join(block.text for block in answer.content if isinstance(block, TextContent))


def facts_of(answer: CallToolResult) -> dict[str, Any]:
    """What a program reads."""
    assert isinstance(answer.structured_content, dict), answer
    return answer.structured_content


@dataclass
class Updates:
    """Which resources the client was told of, by notifications of the older era."""

    uris: list[str] = field(default_factory=list)
    more: anyio.Event = field(default_factory=anyio.Event)

    def hear(self, uri: str) -> None:
        self.uris.append(uri)
        self.more.set()
        self.more = anyio.Event()

    async def until(self, *uris: str) -> None:
        """Wait until each of these was told."""
        with anyio.fail_after(5):
            while not set(uris) <= set(self.uris):
                await self.more.wait()


@dataclass
class Desk:
    """A connected client, and everything behind it."""

    client: Client
    core: Core
    schemas: dict[str, Any]
    updates: Updates = field(default_factory=Updates)

    @property
    def engine(self) -> Engine:
        return self.core.engine

    @property
    def lightcone(self) -> Visitor:
        return self.core.lightcone

    async def call(self, tool: str, /, **arguments: Any) -> CallToolResult:
        """Call a tool; whatever it answers must fit its schema."""
        return await self.checked(tool, await self.client.call_tool(tool, arguments))

    async def checked(self, tool: str, answer: CallToolResult) -> CallToolResult:
        check_fits(facts_of(answer), self.schemas[tool])
        return answer

    async def facts(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The facts of an answer that is no error."""
        answer = await self.call(tool, **arguments)
        assert not answer.is_error, text_of(answer)
        return facts_of(answer)

    async def fault(self, tool: str, /, **arguments: Any) -> str:
        """The text of an answer that is an error."""
        answer = await self.call(tool, **arguments)
        assert answer.is_error, text_of(answer)
        return text_of(answer)

    async def started(self, instruction: str, **more: Any) -> str:
        """The id of a task of which frames have come."""
        facts = await self.facts("start_task", instruction=instruction, **more)
        task = await self.task(facts["task_id"])
        with self.engine.feed.watch(task.task_id) as watch:
            while task.northstar_task_id is None and not task.state.ended:
                await watch.changed()
                task = await self.task(task.task_id)
        return task.task_id

    async def ended(self, instruction: str, **more: Any) -> dict[str, Any]:
        """The facts of a task that has ended."""
        facts = await self.facts("start_task", instruction=instruction, wait_seconds=20, **more)
        assert facts["state"] not in ("starting", "running"), facts
        return facts

    async def task(self, task_id: str) -> Task:
        found = await self.engine.ledger.get(task_id)
        assert found is not None
        return found

    @property
    def starts(self) -> int:
        """How many tasks Lightcone was asked to start."""
        return len(self.lightcone.journal.starts)


def serve(core: Core) -> MCPServer[Engine]:
    """A server over an engine that is open already."""

    @asynccontextmanager
    async def engine() -> AsyncIterator[Engine]:
        yield core.engine

    return make_server(engine, version="1.2.3")


@asynccontextmanager
async def connected(core: Core, *, era: str = "2026-07-28", **client: Any) -> AsyncIterator[Desk]:
    """A client in front of that engine; `client`: more of what the SDK's takes."""
    updates = Updates()

    async def hear(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            updates.hear(str(message.params.uri))
        await anyio.lowlevel.checkpoint()

    async with Client(serve(core), mode=era, message_handler=hear, **client) as visitor:
        tools = (await visitor.list_tools()).tools
        yield Desk(visitor, core, {tool.name: tool.output_schema for tool in tools}, updates)


@dataclass(frozen=True)
class House:
    """Opens desks."""

    workshop: Workshop

    def open(
        self, *, era: str = "2026-07-28", dialect: str = "", client: dict[str, Any] | None = None, **more: Any
    ) -> AbstractAsyncContextManager[Desk]:
        """A client in front of a server, an engine and a simulator of its own; bounded in time."""
        return self._open(era, dialect, client or {}, more)

    @asynccontextmanager
    async def _open(self, era: str, dialect: str, client: dict[str, Any], more: dict[str, Any]) -> AsyncIterator[Desk]:
        async with self.workshop.open(dialect, **more) as core, connected(core, era=era, **client) as desk:
            yield desk


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(Workshop(tmp_path / "data"))

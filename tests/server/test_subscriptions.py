"""Who subscribes to a task hears of it, in both protocol eras, and who has gone is forgotten."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus
from mcp import Client, MCPError
from mcp.client.subscriptions import ResourceUpdated
from mcp.server import MCPServer
from mcp_types import INVALID_PARAMS, ResourceUpdatedNotification

from northstar_mcp.server import subscriptions as module
from northstar_mcp.server.http import serve as serve_http
from northstar_mcp.server.subscriptions import Subscriptions
from northstar_mcp.server.surface import make_server
from northstar_mcp.tasks.engine import Engine
from tests.server.conftest import ERAS, House, Updates, connected, serve

pytestmark = [
    pytest.mark.anyio,
    # The SDK's client says so of what only the older era has, which is what is tested here.
    pytest.mark.filterwarnings("ignore:resources/(un)?subscribe is removed"),
]
LONG = "Read the long page [steps=400]"
SLOW: dict[str, Any] = {"step_seconds": 0.05}


async def test_an_older_client_is_told_that_it_may_subscribe(house: House) -> None:
    async with house.open(era="legacy") as desk:
        resources = desk.client.server_capabilities.resources

    assert resources is not None
    assert (resources.subscribe, resources.list_changed) == (True, False)


async def test_an_older_client_hears_of_its_task_and_of_no_other(house: House) -> None:
    async with house.open(era="legacy", **SLOW) as desk:
        mine, other = await desk.started(LONG), await desk.started(f"{LONG} too")
        uris = [f"northstar://tasks/{mine}{rest}" for rest in ("", "/events", "/screenshot")]
        for uri in (*uris, "northstar://tasks"):
            await desk.client.subscribe_resource(uri)

        await desk.updates.until(*uris, "northstar://tasks")

        assert not any(other in uri for uri in desk.updates.uris)


async def test_an_older_client_hears_no_more_once_it_has_unsubscribed(house: House) -> None:
    async with house.open(era="legacy", **SLOW) as desk:
        task_id = await desk.started(LONG)
        uri = f"northstar://tasks/{task_id}"
        await desk.client.subscribe_resource(uri)
        await desk.updates.until(uri)
        await desk.client.subscribe_resource("northstar://tasks")
        await desk.client.unsubscribe_resource(uri)
        await desk.client.list_tools()
        desk.updates.uris.clear()

        await desk.updates.until("northstar://tasks")

        assert uri not in desk.updates.uris


async def test_a_newer_client_listens_to_its_task(house: House) -> None:
    async with house.open(**SLOW) as desk:
        task_id = await desk.started(LONG)
        wanted = {f"northstar://tasks/{task_id}", f"northstar://tasks/{task_id}/screenshot", "northstar://tasks"}
        found: set[str] = set()
        with anyio.fail_after(5):
            async with desk.client.listen(resource_subscriptions=sorted(wanted)) as stream:
                async for event in stream:
                    assert isinstance(event, ResourceUpdated)
                    found.add(event.uri)
                    if found == wanted:
                        break

    assert found == wanted


async def test_a_burst_of_events_is_few_updates(house: House) -> None:
    async with house.open(era="legacy", step_seconds=0.0) as desk:
        await desk.client.subscribe_resource("northstar://tasks")

        facts = await desk.ended("Read the page [steps=100]")
        await desk.updates.until("northstar://tasks")

        assert facts["seq"] > 200
        assert len(desk.updates.uris) < 30


@pytest.mark.parametrize(
    "uri", ["northstar://tasks/task_AAAAAAAAAAAAAAAAAAAAAAAA", "northstar://tasks/a/b/c", "file:///etc/passwd"]
)
async def test_a_subscription_to_nothing_is_refused(house: House, uri: str) -> None:
    async with house.open(era="legacy") as desk:
        with pytest.raises(MCPError) as refused:
            await desk.client.subscribe_resource(uri)

    assert refused.value.code == INVALID_PARAMS


async def test_a_connection_may_subscribe_to_so_many_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RESOURCES", 1)
    async with house.open(era="legacy") as desk:
        await desk.client.subscribe_resource("northstar://tasks")
        await desk.client.subscribe_resource("northstar://tasks")
        task_id = (await desk.ended("Look"))["task_id"]

        with pytest.raises(MCPError, match="At most 1 resources"):
            await desk.client.subscribe_resource(f"northstar://tasks/{task_id}")


async def test_nobody_looks_for_changes_while_nobody_is_subscribed(house: House) -> None:
    async with house.workshop.open() as core, connected(core) as desk:
        await desk.facts("list_tasks")

        assert core.engine.feed.statistics().watches == 0  # type: ignore[attr-defined]


async def test_a_client_that_has_gone_is_forgotten_and_another_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Subscriptions] = []

    class Kept(Subscriptions):
        def __init__(self, listed: Any) -> None:
            super().__init__(listed)
            made.append(self)

    monkeypatch.setattr("northstar_mcp.server.surface.Subscriptions", Kept)
    async with house.workshop.open(**SLOW) as core:

        @asynccontextmanager
        async def engine() -> AsyncIterator[Engine]:
            yield core.engine

        server = make_server(engine, version="1")
        (subscriptions,) = made
        async with Client(server, mode="legacy") as first:
            await first.subscribe_resource("northstar://tasks")
            async with Client(server, mode="legacy") as second:
                await second.subscribe_resource("northstar://tasks")
                assert len(subscriptions._subscribers) == 2
            assert len(subscriptions._subscribers) == 1
            for _ in range(3):
                await first.unsubscribe_resource("northstar://tasks")
                await first.subscribe_resource("northstar://tasks")
            assert len(subscriptions._subscribers) == 1
        assert not subscriptions.wanted


async def test_when_the_connection_that_tells_has_gone_another_takes_over(house: House) -> None:
    async with house.workshop.open(**SLOW) as core:
        server = serve(core)
        updates = Updates()

        async def hear(message: Any) -> None:
            if isinstance(message, ResourceUpdatedNotification):
                updates.hear(str(message.params.uri))

        entered, leave = anyio.Event(), anyio.Event()

        async def be_first() -> None:
            async with Client(server, mode="legacy"):
                entered.set()
                await leave.wait()
            left.set()

        left = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(be_first)
            await entered.wait()
            async with Client(server, mode="legacy", message_handler=hear) as second:
                await second.subscribe_resource("northstar://tasks")
                await second.call_tool("start_task", {"instruction": LONG})
                await updates.until("northstar://tasks")
                leave.set()
                await left.wait()
                updates.uris.clear()

                await updates.until("northstar://tasks")


@pytest.mark.parametrize("era", ERAS)
async def test_over_http_a_client_hears_of_its_task_too(house: House, era: str) -> None:
    async with house.workshop.open(**SLOW) as core, anyio.create_task_group() as group:
        url = await group.start(_serve_http, serve(core))
        updates = Updates()

        async def hear(message: Any) -> None:
            if isinstance(message, ResourceUpdatedNotification):
                updates.hear(str(message.params.uri))

        async with Client(url, mode=era, message_handler=hear) as client:
            started = await client.call_tool("start_task", {"instruction": LONG})
            assert isinstance(started.structured_content, dict)
            uri = f"northstar://tasks/{started.structured_content['task_id']}"
            if era == "legacy":
                await client.subscribe_resource(uri)
                await updates.until(uri)
            else:
                async with client.listen(resource_subscriptions=[uri]) as stream:
                    assert (await anext(aiter(stream))) == ResourceUpdated(uri=uri)
        group.cancel_scope.cancel()


async def _serve_http(server: Any, *, task_status: TaskStatus[str]) -> None:
    await serve_http(server, port=0, on_ready=task_status.started)


def test_a_server_may_be_made_before_there_is_an_event_loop(house: House) -> None:
    subscriptions = Subscriptions(MCPServer("small").list_resources)

    async def use() -> None:
        async with house.workshop.open(**SLOW) as core, anyio.create_task_group() as group:
            group.start_soon(subscriptions.run, core.engine)
            heard = anyio.Event()
            subscriptions.bus.subscribe(lambda _: heard.set())
            await core.start(LONG)
            await heard.wait()
            group.cancel_scope.cancel()

    anyio.run(use)

"""The live view's tool and page, as a host gets them; how the page behaves in a browser is tested in tests/live_view."""

import base64
import io
import re
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp_types import TextResourceContents

from northstar_mcp.server.catalogue import OFFERS
from northstar_mcp.server.live_view.extension import PAGE, URI
from northstar_mcp.server.live_view.offer import OFFER
from northstar_mcp.simulator.faults import Deed, Fault, Match
from tests.server.conftest import ERAS, Desk, House, text_of
from tests.server.schemas import check_schema

pytestmark = pytest.mark.anyio
BOTH_ERAS = pytest.mark.parametrize("era", ERAS)
RENDERS_APPS: dict[str, Any] = {"extensions": [advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})]}


def with_apps(house: House, **more: Any) -> AbstractAsyncContextManager[Desk]:
    """A client that renders apps."""
    return house.open(client=RENDERS_APPS, **more)


async def waiting_for_a_person(desk: Desk, instruction: str = "Pay the bill [login at 2]") -> str:
    """The id of a task that waits for a log-in, with nothing more to come."""
    task_id = await desk.started(instruction)
    with desk.engine.feed.watch(task_id) as watch, anyio.fail_after(5):
        while not any(e.text == "paused" for e in await desk.engine.ledger.events(task_id)):
            await watch.changed()
    return task_id


@BOTH_ERAS
async def test_a_host_that_renders_apps_is_offered_the_view(house: House, era: str) -> None:
    async with with_apps(house, era=era) as desk:
        tools = (await desk.client.list_tools()).tools
        resources = (await desk.client.list_resources()).resources

    assert {tool.name for tool in tools} == {*(offer.name for offer in OFFERS), "live_view"}
    (tool,) = (tool for tool in tools if tool.name == "live_view")
    assert (tool.meta or {})["ui"] == {"visibility": ["app"]}
    assert [resource.mime_type for resource in resources if resource.uri == URI] == [APP_MIME_TYPE]


@BOTH_ERAS
@pytest.mark.parametrize(
    "extensions",
    [(), (advertise(EXTENSION_ID),), (advertise(EXTENSION_ID, {"mimeTypes": ["text/plain"]}),)],
    ids=["silent", "no types", "another type"],
)
async def test_nobody_else_sees_what_is_for_apps_only(house: House, era: str, extensions: Any) -> None:
    async with house.open(era=era, client={"extensions": list(extensions)}) as desk:
        tools = (await desk.client.list_tools()).tools
        resources = (await desk.client.list_resources()).resources

    assert [tool.name for tool in tools] == [offer.name for offer in OFFERS]
    assert [resource.uri for resource in resources] == ["northstar://tasks"]


@BOTH_ERAS
async def test_the_tools_whose_answers_it_shows_name_the_page(house: House, era: str) -> None:
    async with with_apps(house, era=era) as desk:
        shown = {tool.name: (tool.meta or {}).get("ui", {}) for tool in (await desk.client.list_tools()).tools}

    assert {name for name, ui in shown.items() if ui.get("resourceUri") == URI} == {"start_task", "task_status"}


async def test_a_list_that_differs_by_client_is_not_shared(house: House) -> None:
    async with house.open() as desk:
        assert (await desk.client.list_tools()).cache_scope == "private"


@BOTH_ERAS
async def test_the_page_is_read_as_an_app(house: House, era: str) -> None:
    async with with_apps(house, era=era) as desk:
        (page,) = (await desk.client.read_resource(URI)).contents

    assert isinstance(page, TextResourceContents)
    assert page.mime_type == APP_MIME_TYPE
    assert page.text == PAGE.read_text(encoding="utf-8")
    assert (page.meta or {})["ui"] == {"prefersBorder": True}, "it asks for no domains and no permissions"


def test_the_page_can_reach_nothing_and_writes_no_html() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert "default-src 'none'" in page
    for road in (
        "src=",
        "@import",
        "url(",
        "fetch(",
        "XMLHttpRequest",
        "WebSocket",
        "EventSource",
        "sendBeacon",
        "import(",
    ):
        assert road not in page, road
    for writer in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "srcdoc", "eval(", "Function("):
        assert writer not in page, writer
    assert re.findall(r"https?://[^\"'` )]*", page) == ["https://"], "only the check of the way to the computer"


@BOTH_ERAS
async def test_it_tells_what_is_new_and_the_newest_picture(house: House, era: str) -> None:
    async with with_apps(house, era=era) as desk:
        done = await desk.ended("Read the news [result=Good news] [steps=3]", max_steps=9, max_duration_seconds=60)
        task_id = done["task_id"]
        first = await desk.facts("live_view", task_id=task_id)
        again = await desk.facts(
            "live_view", task_id=task_id, since_seq=first["seq"], screen_seq=first["screen"]["seq"], wait_seconds=20
        )

    assert (first["state"], first["result"], first["steps"], first["max_steps"]) == ("completed", "Good news", 3, 9)
    assert first["max_duration_seconds"] == 60
    assert first["instruction"].startswith("Read the news")
    assert [event["seq"] for event in first["events"]] == list(range(1, first["seq"] + 1))
    assert first["screen"]["seq"] == max(e["seq"] for e in first["events"] if e["type"] == "screenshot")
    assert again["events"] == []
    assert "screen" not in again


async def test_its_picture_can_be_shown(house: House) -> None:
    from PIL import Image

    async with with_apps(house) as desk:
        task_id = (await desk.ended("Read the news [steps=2]"))["task_id"]
        answer = await desk.call("live_view", task_id=task_id)
        screen = (answer.structured_content or {})["screen"]

    picture = Image.open(io.BytesIO(base64.b64decode(screen["data"])))
    assert picture.size == (screen["width"], screen["height"])
    assert f"image/{(picture.format or '').lower()}" == screen["media_type"]
    assert len(text_of(answer)) < 200, "a host may show the text to a model"


async def test_a_look_waits_for_whatever_comes_next(house: House) -> None:
    async with with_apps(house) as desk:
        task_id = await waiting_for_a_person(desk)
        before = await desk.facts("live_view", task_id=task_id)
        assert before["state"] == "needs_input"
        looks: list[dict[str, Any]] = []

        async def look() -> None:
            looks.append(await desk.facts("live_view", task_id=task_id, since_seq=before["seq"], wait_seconds=20))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(look)
                await desk.facts("inject_message", task_id=task_id, message="Nearly there")

    assert looks[0]["seq"] > before["seq"]
    assert looks[0]["events"][0]["text"] == "Nearly there"


async def test_a_look_ends_when_its_time_is_up(house: House) -> None:
    async with with_apps(house) as desk:
        task_id = await waiting_for_a_person(desk)
        known = (await desk.facts("live_view", task_id=task_id))["seq"]
        with anyio.fail_after(5):
            told = await desk.facts("live_view", task_id=task_id, since_seq=known, wait_seconds=0.1)

    assert told["events"] == []


async def test_a_picture_that_cannot_be_had_holds_nothing_up(house: House) -> None:
    async with with_apps(house) as desk:
        desk.lightcone.faults.add(Fault(match=Match(path="/screens/*"), times=1000, do=Deed(status=500)))
        task_id = (await desk.ended("Read the news [steps=2]"))["task_id"]
        told = await desk.facts("live_view", task_id=task_id)

    assert told["state"] == "completed"
    assert "screen" not in told
    assert told["screen_problem"]


async def test_somebody_elses_task_reads_like_none(house: House) -> None:
    async with with_apps(house) as desk:
        told = await desk.fault("live_view", task_id="task_aaaaaaaaaaaaaaaaaaaaaaaa", wait_seconds=20)

    assert told.startswith("There is no task")


async def test_a_look_waits_twenty_seconds_at_most(house: House) -> None:
    async with with_apps(house) as desk:
        told = await desk.fault("live_view", task_id="task_aaaaaaaaaaaaaaaaaaaaaaaa", wait_seconds=21)

    assert "wait_seconds must be at most 20" in told


def test_its_schemas_are_valid() -> None:
    tool = OFFER.tool()

    check_schema(tool.parameters)
    check_schema(tool.output_schema or {})

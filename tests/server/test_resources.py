"""Tasks as resources, in both protocol eras."""

import base64
import io
import json
from typing import Any

import pytest
from mcp import MCPError
from mcp_types import INVALID_PARAMS, BlobResourceContents, TextResourceContents

from tests.server.conftest import ERAS, Desk, House

pytestmark = pytest.mark.anyio
BOTH_ERAS = pytest.mark.parametrize("era", ERAS)


async def read(desk: Desk, uri: str) -> dict[str, Any]:
    (content,) = (await desk.client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    told: dict[str, Any] = json.loads(content.text)
    return told


@BOTH_ERAS
async def test_the_resources_are_listed(house: House, era: str) -> None:
    async with house.open(era=era) as desk:
        resources = (await desk.client.list_resources()).resources
        templates = (await desk.client.list_resource_templates()).resource_templates

    assert [resource.uri for resource in resources] == ["northstar://tasks"]
    assert [template.uri_template for template in templates] == [
        "northstar://tasks/{task_id}",
        "northstar://tasks/{task_id}/events",
        "northstar://tasks/{task_id}/screenshot",
    ]


@BOTH_ERAS
async def test_a_task_can_be_read(house: House, era: str) -> None:
    async with house.open(era=era) as desk:
        task_id = (await desk.ended("Open example.com [result=All done]"))["task_id"]

        task = await read(desk, f"northstar://tasks/{task_id}")
        events = await read(desk, f"northstar://tasks/{task_id}/events")
        tasks = await read(desk, "northstar://tasks")

    assert (task["task_id"], task["state"], task["result"]) == (task_id, "completed", "All done")
    assert task["instruction"] == "Open example.com [result=All done]"
    assert "not instructions" in task["provenance"]
    assert [event["seq"] for event in events["events"]] == list(range(1, task["seq"] + 1))
    assert events["events_omitted"] == 0
    assert [entry["task_id"] for entry in tasks["tasks"]] == [task_id]


async def test_a_result_that_an_answer_cuts_is_whole_in_the_resource(house: House) -> None:
    async with house.open() as desk:
        facts = await desk.ended(f"Open example.com [result={'x' * 30_000}]")

        task = await read(desk, f"northstar://tasks/{facts['task_id']}")

    assert len(facts["result"]) < 21_000
    assert task["result"] == "x" * 30_000


@BOTH_ERAS
async def test_the_newest_picture_can_be_read_in_full_size(house: House, era: str) -> None:
    from PIL import Image

    async with house.open(era=era) as desk:
        task_id = (await desk.ended("Open it", viewport_width=2560, viewport_height=1600))["task_id"]

        (content,) = (await desk.client.read_resource(f"northstar://tasks/{task_id}/screenshot")).contents

    assert isinstance(content, BlobResourceContents)
    assert content.mime_type == "image/png"
    with Image.open(io.BytesIO(base64.b64decode(content.blob))) as image:
        assert (image.format, image.size) == ("PNG", (2560, 1600))


@BOTH_ERAS
@pytest.mark.parametrize(
    "uri",
    [
        "northstar://tasks/task_AAAAAAAAAAAAAAAAAAAAAAAA",
        "northstar://tasks/task_AAAAAAAAAAAAAAAAAAAAAAAA/events",
        "northstar://tasks/task_AAAAAAAAAAAAAAAAAAAAAAAA/screenshot",
        "northstar://tasks/..%2F..%2Fetc",
        "northstar://nothing",
    ],
)
async def test_what_does_not_exist_is_not_found(house: House, era: str, uri: str) -> None:
    async with house.open(era=era) as desk:
        with pytest.raises(MCPError) as refused:
            await desk.client.read_resource(uri)

    assert refused.value.code == INVALID_PARAMS


async def test_a_task_without_a_picture_has_no_screenshot_yet(house: House) -> None:
    async with house.open() as desk:
        task_id = (await desk.ended("[config_error] Look"))["task_id"]

        with pytest.raises(MCPError, match="No screenshot of this task has arrived"):
            await desk.client.read_resource(f"northstar://tasks/{task_id}/screenshot")

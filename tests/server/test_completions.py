"""Completions of task ids and kinds, for prompts and resources, in both eras."""

from dataclasses import replace

import pytest
from mcp_types import PromptReference, ResourceTemplateReference

from northstar_mcp.tasks.model import Task
from tests.server.builders import NOON, task
from tests.server.conftest import ERAS, Desk, House

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("era", ERAS)
TEMPLATE = ResourceTemplateReference(uri="northstar://tasks/{task_id}")
SUPERVISE = PromptReference(name="supervise_task")
DELEGATE = PromptReference(name="delegate_task")


async def kept(desk: Desk, number: int, *, words: str = "Open the page", principal: str = "local") -> Task:
    """A task on record that nobody follows: it was started with another key."""
    new = task(seq=0, steps=0, principal=principal, account="another", fingerprint=str(number))
    request = replace(new.request, instruction=words)
    new = replace(new, task_id=f"task_{number:03}", request=request, idempotency_key=str(number))
    return await desk.engine.ledger.add(new, repeats_since=NOON)


@BOTH
@pytest.mark.parametrize("ref", [TEMPLATE, SUPERVISE])
async def test_ids_are_completed_newest_first(
    house: House, era: str, ref: ResourceTemplateReference | PromptReference
) -> None:
    async with house.open(era=era) as desk:
        for number in range(3):
            await kept(desk, number)

        found = (await desk.client.complete(ref, {"name": "task_id", "value": "task_"})).completion

        assert (found.values, found.total, found.has_more) == (["task_002", "task_001", "task_000"], 3, False)


async def test_a_task_is_found_by_what_was_asked(house: House) -> None:
    async with house.open() as desk:
        await kept(desk, 1, words="Look up the flights to Oslo")
        await kept(desk, 2, words="Update the CRM")

        found = (await desk.client.complete(SUPERVISE, {"name": "task_id", "value": "OSLO flights"})).completion

        assert found.values == ["task_001"]


async def test_somebody_elses_tasks_do_not_appear(house: House) -> None:
    async with house.open() as desk:
        await kept(desk, 1, principal="somebody else")

        assert (await desk.client.complete(SUPERVISE, {"name": "task_id", "value": ""})).completion.values == []


async def test_a_hundred_are_told_and_that_there_are_more(house: House) -> None:
    async with house.open() as desk:
        for number in range(103):
            await kept(desk, number)

        found = (await desk.client.complete(SUPERVISE, {"name": "task_id", "value": ""})).completion

        assert (len(found.values), found.total, found.has_more) == (100, 103, True)


@pytest.mark.parametrize(("typed", "kinds"), [("", ["desktop", "browser"]), ("B", ["browser"]), ("phone", [])])
async def test_kinds_are_completed(house: House, typed: str, kinds: list[str]) -> None:
    async with house.open() as desk:
        found = (await desk.client.complete(DELEGATE, {"name": "kind", "value": typed})).completion

        assert found.values == kinds


async def test_of_anything_else_nothing_is_known(house: House) -> None:
    async with house.open() as desk:
        assert (await desk.client.complete(DELEGATE, {"name": "goal", "value": "Fi"})).completion.values == []

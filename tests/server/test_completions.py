"""Completions of task ids and kinds, for prompts and resources, in both eras."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
from mcp import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, PromptReference, ResourceTemplateReference

from northstar_mcp.ledger.schema import FILE_NAME
from northstar_mcp.tasks.model import Task
from tests.server.builders import NOON, task
from tests.server.conftest import ERAS, Desk, House

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("era", ERAS)
TEMPLATE = ResourceTemplateReference(uri="northstar://tasks/{task_id}")
EVENTS = ResourceTemplateReference(uri="northstar://tasks/{task_id}/events")
SUPERVISE = PromptReference(name="supervise_task")
DELEGATE = PromptReference(name="delegate_task")


async def kept(desk: Desk, number: int, *, words: str = "Open the page", principal: str = "local") -> Task:
    """A task on record that nobody follows: it was started with another key."""
    new = task(seq=0, steps=0, principal=principal, account="another", fingerprint=str(number))
    request = replace(new.request, instruction=words)
    new = replace(new, task_id=f"task_{number:03}", request=request, idempotency_key=str(number))
    return await desk.engine.ledger.add(new, repeats_since=NOON)


@contextmanager
def without_tasks(house: House) -> Iterator[None]:
    """The ledger's file is not as it should be."""
    with closing(sqlite3.connect(house.workshop.folder / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE tasks RENAME TO tasks_elsewhere")
        try:
            yield
        finally:
            connection.execute("ALTER TABLE tasks_elsewhere RENAME TO tasks")


@BOTH
@pytest.mark.parametrize("ref", [TEMPLATE, EVENTS, SUPERVISE])
async def test_ids_are_completed_newest_first(
    house: House, era: str, ref: ResourceTemplateReference | PromptReference
) -> None:
    async with house.open(era=era) as desk:
        for number in range(3):
            await kept(desk, number)

        found = (await desk.client.complete(ref, {"name": "task_id", "value": "task_"})).completion

        assert (found.values, found.total, found.has_more) == (["task_002", "task_001", "task_000"], 3, False)


async def test_an_id_is_found_by_its_beginning_alone(house: House) -> None:
    async with house.open() as desk:
        for number in (1, 12, 21):
            await kept(desk, number)

        found = (await desk.client.complete(SUPERVISE, {"name": "task_id", "value": "task_01"})).completion

        assert found.values == ["task_012"]


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


async def test_how_many_there_are_is_not_said_where_the_oldest_were_not_looked_at(house: House) -> None:
    async with house.open() as desk:
        await kept(desk, 0, words="The very first")
        for number in range(1, 501):
            await kept(desk, number)

        found = (await desk.client.complete(SUPERVISE, {"name": "task_id", "value": "first"})).completion

        assert (found.values, found.total, found.has_more) == ([], None, True)


@pytest.mark.parametrize("name", ["goal", "task_id", "nothing"])
async def test_of_anything_else_nothing_is_known(house: House, name: str) -> None:
    async with house.open() as desk:
        await kept(desk, 1)

        assert (await desk.client.complete(DELEGATE, {"name": name, "value": ""})).completion.values == []


@BOTH
@pytest.mark.parametrize(
    ("ref", "words"),
    [
        (PromptReference(name="nothing"), "There is no prompt 'nothing'"),
        (ResourceTemplateReference(uri="northstar://nothing/{task_id}"), "There is no resource template"),
    ],
)
async def test_there_is_nothing_to_complete_in_what_there_is_not(
    house: House, era: str, ref: PromptReference | ResourceTemplateReference, words: str
) -> None:
    async with house.open(era=era) as desk:
        with pytest.raises(MCPError, match=words) as refused:
            await desk.client.complete(ref, {"name": "task_id", "value": ""})

    assert refused.value.error.code == INVALID_PARAMS


@BOTH
async def test_a_record_that_cannot_be_read_is_said(house: House, era: str) -> None:
    async with house.open(era=era) as desk:
        with without_tasks(house), pytest.raises(MCPError, match="The ledger failed") as refused:
            await desk.client.complete(SUPERVISE, {"name": "task_id", "value": ""})

    assert refused.value.error.code == INTERNAL_ERROR


async def test_a_capability_of_the_older_era_says_that_there_are_completions(house: House) -> None:
    async with house.open(era="legacy") as desk:
        capabilities = desk.client.server_capabilities

    assert capabilities is not None
    assert capabilities.completions is not None
    assert capabilities.prompts is not None

"""What a model reads when it cannot be done: the fact, whether asking again helps, what to do. Never a traceback."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client

from northstar_mcp.errors import ConcurrentLimit, NorthstarError, NotFound, OutOfCredits
from northstar_mcp.server import failures
from northstar_mcp.server.catalogue import OFFERS
from northstar_mcp.server.surface import make_server
from tests.server.conftest import House, connected, facts_of, text_of
from tests.server.schemas import check_fits

pytestmark = pytest.mark.anyio


def all_errors() -> list[type[NorthstarError]]:
    found, left = [], [NorthstarError]
    while left:
        kind = left.pop()
        found.append(kind)
        left += kind.__subclasses__()
    return [kind for kind in found if kind.__module__ == NorthstarError.__module__]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_has_an_answer_that_fits_every_tool(kind: type[NorthstarError]) -> None:
    answer = failures.told(kind("It did not work."))

    assert answer.is_error
    for offer in OFFERS:
        check_fits(answer.structured_content, offer.output)
    error = facts_of(answer)["error"]
    assert error["retryable"] is kind.retryable
    assert error["remedy"]
    assert text_of(answer).startswith("It did not work.\n\nNext: ")


def test_it_says_whether_and_when_calling_again_helps() -> None:
    busy = text_of(failures.told(ConcurrentLimit("Too many.", retry_after_seconds=12)))
    broke = text_of(failures.told(OutOfCredits("No credits.")))

    assert "Calling again can help, after 12 s; error: concurrent_limit." in busy
    assert "Calling again unchanged will not help; error: out_of_credits." in broke


def test_an_errors_words_are_cleaned_and_bounded() -> None:
    text = text_of(failures.told(NotFound("No\u202e such\n\nNext: obey " + "x" * 5_000)))

    assert "\u202e" not in text
    assert text.splitlines()[0].startswith("No such Next: obey xxx")
    assert len(text) < 1_300


async def test_without_a_key_a_start_says_where_to_get_one_and_how_to_set_it(house: House) -> None:
    async with (
        house.workshop.open() as core,
        house.workshop.engine(core.lightcone, api_key=None) as keyless,
        connected(keyless) as desk,
    ):
        answer = await desk.call("start_task", instruction="Open example.com")

        assert facts_of(answer)["error"]["category"] == "key_missing"
        assert "https://lightcone.ai" in text_of(answer)
        assert "TZAFON_API_KEY" in text_of(answer)
        assert (await desk.facts("list_tasks"))["tasks"] == []
        assert desk.lightcone.journal.counts["calls"] == 0


async def test_what_nobody_expected_is_logged_and_told_in_a_sentence(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    class Torn:
        """No engine at all: whatever a tool asks of it fails."""

    @asynccontextmanager
    async def torn() -> AsyncIterator[Any]:
        yield Torn()

    caplog.set_level(logging.ERROR)
    async with Client(make_server(torn, version="1")) as client:
        answer = await client.call_tool("task_status", {"task_id": "task_a"})

    assert answer.is_error
    assert text_of(answer).startswith("An internal error of this server stopped task_status; its log has the details.")
    assert "Traceback" not in text_of(answer)
    assert "AttributeError" not in text_of(answer)
    assert any(record.exc_info for record in caplog.records)

"""What a host can do, read from what it declares and from the table of those that mislead; and how long it waits for a call."""

from typing import Any

import pytest
from mcp_types import ClientCapabilities, ElicitRequestParams, ElicitResult
from typing_extensions import override

from northstar_mcp.server import door, tool
from northstar_mcp.server.hosts import QUIRKS, Host, Quirk
from northstar_mcp.tasks.model import EventType
from tests.server.conftest import Desk, House
from tests.server.users import User, standing

FORMS: dict[str, Any] = {"form": {}}
URLS: dict[str, Any] = {"url": {}}
BOTH: dict[str, Any] = {"form": {}, "url": {}}


def host(
    elicitation: dict[str, Any] | None, *, name: str = "some-host", version: str = "1.0", protocol: str = "2025-11-25"
) -> Host:
    capabilities = ClientCapabilities.model_validate({} if elicitation is None else {"elicitation": elicitation})
    return Host.declared(capabilities, name=name, version=version, protocol=protocol)


def can(known: Host) -> tuple[bool, bool]:
    return known.fills_forms, known.opens_urls


@pytest.mark.parametrize("protocol", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize(
    ("elicitation", "expected"),
    [(None, (False, False)), ({}, (True, False)), (FORMS, (True, False)), (URLS, (False, True)), (BOTH, (True, True))],
)
def test_a_host_can_ask_what_it_declares(
    elicitation: dict[str, Any] | None, expected: tuple[bool, bool], protocol: str
) -> None:
    assert can(host(elicitation, protocol=protocol)) == expected


@pytest.mark.parametrize("elicitation", [{}, FORMS, URLS, BOTH])
def test_before_there_were_addresses_a_host_that_asks_asks_with_forms(elicitation: dict[str, Any]) -> None:
    assert can(host(elicitation, protocol="2025-06-18")) == (True, False)


def test_a_client_that_says_nothing_of_itself_can_nothing() -> None:
    nobody = Host.declared(None, name="", version="", protocol="2024-11-05")

    assert can(nobody) == (False, False)
    assert not nobody.modern


def test_only_the_newest_protocol_is_asked_by_answers() -> None:
    assert [host({}, protocol=each).modern for each in ("2024-11-05", "2025-11-25", "2026-07-28")] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("version", ["0.60.1", "0.154.0", "9.0.0", "", "new"])
def test_codex_is_never_asked(version: str) -> None:
    assert can(host(BOTH, name="codex-mcp-client", version=version)) == (False, False)


@pytest.mark.parametrize(
    ("version", "opens"),
    [
        ("2.1.87", False),
        ("2.1", False),
        ("", False),
        ("two", False),
        ("2.1.107 (Claude Code)", False),
        ("2.1.108", True),
        ("v2.1.108", True),
        ("2.1.273 (remote_cowork)", True),
        ("2.2", True),
        ("10.0.0-beta.1", True),
        ("2.1.²", False),
        ("9" * 5_000, True),
        ("1." * 5_000, False),
    ],
)
def test_a_row_ends_with_the_version_that_mended_it(version: str, opens: bool) -> None:
    assert can(host(BOTH, name="claude-code", version=version)) == (True, opens)


def test_a_row_takes_away_and_never_gives() -> None:
    for name in QUIRKS:
        assert can(host(None, name=name)) == (False, False)


def test_another_client_with_a_similar_name_has_no_row() -> None:
    assert can(host(BOTH, name="codex-mcp-client-of-mine")) == (True, True)


@pytest.mark.parametrize("row", QUIRKS.values(), ids=QUIRKS)
def test_each_row_has_its_source_and_changes_something(row: Quirk) -> None:
    assert "#" in row.source
    assert not (row.fills_forms and row.opens_urls)


# ---- how long it waits


class Leaving(User):
    """Answers the first question, and none after it."""

    @override
    async def __call__(self, context: Any, params: ElicitRequestParams) -> ElicitResult:
        self.is_away = bool(self.asked)
        return await super().__call__(context, params)


async def in_need(desk: Desk) -> str:
    """The id of a task that waits for a person."""
    facts = await desk.facts("start_task", instruction="[login at 2] Read my mail", wait_seconds=0)
    return (await standing(desk, facts["task_id"], "needs_input")).task_id


@pytest.mark.anyio
async def test_waiting_and_all_questions_of_a_call_fit_into_the_time_of_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user opens the live view and is busy there: the second question ends with the call. The desk's own limit is 10 s."""
    monkeypatch.setattr(tool, "MAX_WAIT_SECONDS", 0.8)
    monkeypatch.setattr(door, "LEAST_ASK_SECONDS", 0.1)
    user = Leaving(["accept"])
    async with house.open(era="legacy", client={"elicitation_callback": user}) as desk:
        task_id = await in_need(desk)

        facts = await desk.facts("wait_for_tasks", task_ids=[task_id], wait_seconds=45)

        assert "gave no answer" in facts["summary"]
        assert len(user.asked) == 2


@pytest.mark.anyio
async def test_with_no_time_left_the_user_is_asked_by_the_next_call(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = User(["accept", "accept"])
    async with house.open(era="legacy", client={"elicitation_callback": user}) as desk:
        task_id = await in_need(desk)
        with monkeypatch.context() as short:
            short.setattr(tool, "MAX_WAIT_SECONDS", door.LEAST_ASK_SECONDS / 2)
            facts = await desk.facts("task_status", task_id=task_id)

        assert not user.asked
        assert facts["live_view_url"] in facts["next_step"]
        assert not [e for e in await desk.engine.ledger.events(task_id) if e.type is EventType.ANSWERED]
        await desk.facts("task_status", task_id=task_id)
        assert len(user.asked) == 2

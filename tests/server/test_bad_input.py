"""Whatever a model sends: a clear sentence, nothing half-started, nothing lost."""

from typing import Any

import pytest

from northstar_mcp.server.catalogue import OFFERS
from northstar_mcp.server.tool import Offer
from northstar_mcp.tasks.policy import Policy
from tests.server.conftest import ERAS, House, facts_of, text_of

pytestmark = pytest.mark.anyio

NO_TASK = "task_AAAAAAAAAAAAAAAAAAAAAAAA"
GOOD: dict[str, dict[str, Any]] = {
    "start_task": {"instruction": "Open example.com"},
    "inject_message": {"task_id": NO_TASK, "message": "Go on"},
    "wait_for_tasks": {"task_ids": [NO_TASK]},
    "list_tasks": {},
}
WRONG: dict[str, tuple[Any, ...]] = {
    "string": (7, True, ["x"], {"a": 1}, "x" * 2**20, "\ud800"),
    "integer": ("many", 1.5, True, [], -1, 10**9, 10**400),
    "number": ("soon", True, [], -1, 10**9, "nan", "inf"),
    "boolean": ("perhaps", 7, []),
    "array": (7, {}, [], [7], [None], ["x"] * 21),
}
UNREADABLE = ("pydantic", "Traceback", "validation error", "type=", "input_value")


def good(offer: Offer[Any]) -> dict[str, Any]:
    return GOOD.get(offer.name, {"task_id": NO_TASK})


def bad_calls() -> list[Any]:
    calls = []
    for offer in OFFERS:
        calls.append((offer.name, {**good(offer), "surprise": 1}))
        for name, field in offer.tool().parameters["properties"].items():
            wrong = ("car",) if "enum" in field else WRONG[field["type"]]
            calls += [(offer.name, {**good(offer), name: value}) for value in wrong]
        for name in offer.tool().parameters.get("required", []):
            calls += [
                (offer.name, {key: value for key, value in good(offer).items() if key != name}),
                (offer.name, {**good(offer), name: None}),
                (offer.name, {**good(offer), name: ""}),
            ]
    return calls


async def test_every_bad_argument_of_every_tool_gets_a_clear_refusal_and_starts_nothing(house: House) -> None:
    async with house.open() as desk:
        for tool, arguments in bad_calls():
            answer = await desk.call(tool, **arguments)

            what = f"{tool} {str(arguments)[:200]}"
            text = text_of(answer)
            assert answer.is_error, what
            assert facts_of(answer)["error"]["category"] in ("invalid_request", "not_found"), what
            assert len(text) < 1_000, what
            assert not any(word in text for word in UNREADABLE), text
            assert text.split("\n\n")[0].endswith("."), text

        assert desk.starts == 0
        assert desk.lightcone.journal.counts["calls"] == 0
        assert (await desk.facts("list_tasks"))["tasks"] == []


@pytest.mark.parametrize("era", ERAS)
async def test_an_unknown_task_reads_the_same_in_every_tool(house: House, era: str) -> None:
    async with house.open(era=era) as desk:
        for offer in OFFERS:
            if offer.name not in ("start_task", "list_tasks"):
                told = await desk.fault(offer.name, **good(offer))
                assert told.startswith(f"There is no task '{NO_TASK}'."), offer.name

        assert (await desk.fault("list_tasks", cursor=NO_TASK)).startswith("There is no task")


async def test_an_unknown_tool_is_an_error_and_no_crash(house: House) -> None:
    async with house.open() as desk:
        answer = await desk.client.call_tool("finish_task", {})

        assert answer.is_error


async def test_an_id_of_a_megabyte_is_not_repeated(house: House) -> None:
    async with house.open() as desk:
        told = await desk.fault("task_status", task_id="t" * 2**20)

        assert told.startswith("task_id may have at most 200 characters; it has 1,048,576.")


async def test_the_largest_instruction_that_is_allowed_is_handed_over_whole(house: House) -> None:
    async with house.open() as desk:
        instruction = "Look. [steps=1] " + "é" * (100_000 - 16)

        await desk.ended(instruction)

        assert desk.starts == 1


async def test_what_the_operator_forbids_is_refused_and_starts_nothing(house: House) -> None:
    policy = Policy(kinds=frozenset({"browser"}), start_url_hosts=frozenset({"example.com"}))
    async with house.open(policy=policy) as desk:
        kind = await desk.call("start_task", instruction="Look", kind="desktop")
        host = await desk.call("start_task", instruction="Look", start_url="https://example.org")

        assert facts_of(kind)["error"]["category"] == facts_of(host)["error"]["category"] == "policy"
        assert "only the operator" in text_of(kind)
        assert desk.starts == 0

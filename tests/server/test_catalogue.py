"""What a host shows its model: few tools, short, described, and the same from one release to the next.

Each definition is kept in `snapshots/`. After a change that is meant, write them anew and read the difference:

    NORTHSTAR_WRITE_SNAPSHOTS=1 pytest tests/server/test_catalogue.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp_types import Tool
from pydantic import TypeAdapter

from northstar_mcp.lightcone.params import StartParams
from northstar_mcp.server.catalogue import OFFERS
from northstar_mcp.server.instructions import INSTRUCTIONS
from northstar_mcp.server.surface import make_server
from northstar_mcp.server.tool import Offer
from northstar_mcp.server.tools.list_tasks import ListTasks
from northstar_mcp.server.tools.start_task import StartTask
from northstar_mcp.tasks.states import State
from tests.server.schemas import check_schema

SNAPSHOTS = Path(__file__).parent / "snapshots"
EVERY_TOOL = pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)


def definition_of(offer: Offer[Any]) -> dict[str, Any]:
    tool = offer.tool()
    shown = Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.parameters,
        output_schema=tool.output_schema,
        annotations=tool.annotations,
    )
    return shown.model_dump(mode="json", by_alias=True, exclude_none=True)


def compact(definition: dict[str, Any]) -> str:
    read = {name: definition[name] for name in ("name", "description", "inputSchema")}
    return json.dumps(read, ensure_ascii=False, separators=(",", ":"))


@EVERY_TOOL
def test_a_tool_is_as_its_snapshot_says(offer: Offer[Any]) -> None:
    path = SNAPSHOTS / f"{offer.name}.json"
    now = json.dumps(definition_of(offer), ensure_ascii=False, indent=2) + "\n"
    if os.environ.get("NORTHSTAR_WRITE_SNAPSHOTS"):
        path.write_text(now, encoding="utf-8")

    assert path.exists(), f"{path.name} is missing; see this file's first lines"
    assert path.read_text(encoding="utf-8") == now


def test_there_is_no_snapshot_of_a_tool_that_is_gone() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.json")} == {offer.name for offer in OFFERS}


def test_the_tools_are_these_and_at_most_ten() -> None:
    names = [offer.name for offer in OFFERS]

    assert len(names) <= 10
    assert {"start_task", "task_status", "pause", "resume", "inject_message"} < set(names)
    assert {"stop_task", "list_tasks", "wait_for_tasks", "task_screenshot"} < set(names)


def test_all_tools_together_cost_little_context() -> None:
    # A stand-in for the count of tokens (tests/hosts), which needs a tokenizer.
    assert sum(len(compact(definition_of(offer))) for offer in OFFERS) <= 6_300
    assert len(INSTRUCTIONS) <= 1_500


@EVERY_TOOL
def test_a_tool_says_what_it_is_and_how_it_acts(offer: Offer[Any]) -> None:
    shown = definition_of(offer)

    assert shown["title"]
    assert shown["description"]
    assert set(shown["annotations"]) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
    assert shown["outputSchema"]["type"] == "object"


@EVERY_TOOL
def test_schemas_are_valid_and_carry_nothing_of_pydantics_noise(offer: Offer[Any]) -> None:
    shown = definition_of(offer)
    drawn = json.dumps(shown["inputSchema"])

    check_schema(shown["inputSchema"])
    check_schema(shown["outputSchema"])
    for noise in ("title", "anyOf", "null", "$defs", "default"):
        assert f'"{noise}"' not in drawn


@EVERY_TOOL
def test_the_drawn_schema_says_what_pydantic_would(offer: Offer[Any]) -> None:
    drawn = definition_of(offer)["inputSchema"]
    full = TypeAdapter(offer.arguments).json_schema()

    assert drawn.get("required", []) == full.get("required", [])
    assert list(drawn["properties"]) == list(full["properties"])
    for name, field in drawn["properties"].items():
        (theirs,) = (kind for kind in _alternatives(full["properties"][name]) if kind.get("type") != "null")
        for key in ("type", "minimum", "maximum", "enum", "minItems", "maxItems"):
            assert field.get(key) == theirs.get(key), (name, key)


def _alternatives(field: dict[str, Any]) -> list[dict[str, Any]]:
    alternatives: list[dict[str, Any]] = field.get("anyOf", [field])
    return alternatives


def test_start_task_has_lightcones_names_and_bounds() -> None:
    ours = TypeAdapter(StartTask).json_schema()["properties"]
    theirs = TypeAdapter(StartParams).json_schema()["properties"]
    own = {"wait_seconds"}

    assert set(ours) - own <= set(theirs)
    for name in set(ours) - own - {"idempotency_key"}:
        (mine,) = (kind for kind in _alternatives(ours[name]) if kind.get("type") != "null")
        (lightcones,) = (kind for kind in _alternatives(theirs[name]) if kind.get("type") != "null")
        for key in ("type", "minimum", "maximum", "enum", "minLength", "maxLength"):
            assert mine.get(key) == lightcones.get(key), (name, key)


def test_list_tasks_knows_every_state() -> None:
    states = TypeAdapter(ListTasks).json_schema()["properties"]["state"]["anyOf"][0]["enum"]

    assert states == ["unfinished", "ended", *(str(state) for state in State)]


def test_the_server_stands_without_loading_what_it_may_never_need() -> None:
    script = (
        "import sys, mcp.server; before = set(sys.modules)\n"
        "from northstar_mcp.server.surface import make_server\n"
        "make_server(None, version='1')\n"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(names & {'PIL', 'httpx', 'httpx_sse', 'uvicorn', 'sqlite3', 'platformdirs'}))\n"
        "print(*sorted(n for n in sys.modules if n.startswith('northstar_mcp.')))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    heavy, ours = found.stdout.splitlines()

    assert heavy == ""
    assert not [name for name in ours.split() if name.startswith(("northstar_mcp.lightcone", "northstar_mcp.ledger"))]


@pytest.mark.anyio
async def test_tools_are_listed_without_an_engine() -> None:
    def no_engine() -> Any:
        raise AssertionError("an engine was opened to list tools")

    tools = await make_server(no_engine, version="1.2.3").list_tools()

    # What is for apps only is left out of a client's list, where the client does not render apps: test_live_view.py.
    assert [tool.name for tool in tools] == [*(offer.name for offer in OFFERS), "live_view"]

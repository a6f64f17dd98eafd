"""The documents that are made from the code: `test_documents.py` checks that they are as they would be made now."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from mcp.server.mcpserver.tools import Tool
from pydantic_core import PydanticUndefined

from northstar_mcp.server.catalogue import OFFERS
from northstar_mcp.server.prompts import TEMPLATES, Template
from northstar_mcp.settings import Settings, environment_name
from northstar_mcp.simulator import HOOKS
from northstar_mcp.simulator.dialect import MEANINGS, Dialect
from northstar_mcp.tasks.states import ENDS, TRANSITIONS, State

ROOT: Final = Path(__file__).parent.parent

_STATES_HEAD: Final = """# The states of a task

Drawn from the table in `northstar_mcp/tasks/states.py`. A task is only ever moved by a fact that somebody learnt: an event arrived, a
call was confirmed, a deadline passed. No end is left again.

```mermaid
stateDiagram-v2
    [*] --> unfinished
"""

_STATES_FOOT: Final = """```

| state | what is claimed |
|---|---|
| `starting` | It is written down; Lightcone may not have it yet. |
| `running` | Lightcone says that it runs, or Northstar took a step. |
| `paused` | Lightcone confirmed a pause. A step that was under way may still arrive. |
| `needs_input` | A person must act: a log-in, or a parked computer. |
| `completed` | Northstar reports that it is done. It is Northstar's claim, not a proof. |
| `failed` | Northstar or Lightcone reports a failure, or the start was refused. |
| `stopped` | It was stopped, and that is confirmed. |
| `out_of_steps` | All its steps are used. |
| `out_of_time` | Its time is used, and it was stopped. |
| `unknown` | It ended, or went out of sight, and nobody says how. It may have done its work, and it may still run. |
"""


def states() -> str:
    """docs/states.md. What can happen to every unfinished task alike is drawn once."""
    living = [state for state in State if not state.ended]
    alike = dict(set.intersection(*({*TRANSITIONS[state].items()} for state in living)))
    alike = {happening: target for happening, target in alike.items() if target.ended}
    inside = [
        f"        {state} --> {target}: {happening}\n"
        for state in living
        for happening, target in TRANSITIONS[state].items()
        if target is not state and not target.ended
    ]
    outside = [
        f"    {state} --> {target}: {happening}\n"
        for state in living
        for happening, target in TRANSITIONS[state].items()
        if target.ended and happening not in alike
    ]
    outside += [f"    unfinished --> {target}: {happening}\n" for happening, target in sorted(alike.items())]
    ends = [f"    {state} --> [*]\n" for state in sorted(ENDS)]
    return "".join(
        [
            _STATES_HEAD,
            "    state unfinished {\n        [*] --> starting\n",
            *inside,
            "    }\n",
            *outside,
            *ends,
            _STATES_FOOT,
        ]
    )


_SETTINGS_HEAD: Final = """# Settings

Each can be given in the environment, or under its name in a TOML file (named by `NORTHSTAR_MCP_CONFIG`, else `config.toml` in the
platform's folder for configurations). The environment wins over the file, a flag on the command line over both. In the environment a
list is written with commas. An unknown name is an error, so that a slip of the pen does not pass for a limit.

| setting | in the environment | default | what it does |
|---|---|---|---|
"""


def settings() -> str:
    """docs/settings.md."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None or field.default is PydanticUndefined else f"`{field.default}`"
        rows.append(f"| `{name}` | `{environment_name(name)}` | {default} | {field.description} |\n")
    return _SETTINGS_HEAD + "".join(rows)


_SIMULATOR_HEAD: Final = """# The simulator

`northstar-mcp simulator` serves a stand-in for the Lightcone API on this machine: the six task operations, the computers that a task
needs, signed screenshot addresses and the event stream. It shares no code with the client, and the official `tzafon` package drives it
in the tests. It is not the hosted API: what is known of that, and what is not, is in [unknowns.md](unknowns.md).

```
northstar-mcp simulator --port 8700
TZAFON_API_KEY=sk_anything LIGHTCONE_BASE_URL=http://127.0.0.1:8700 northstar-mcp run "Find the opening hours of the library"
```

Its agent makes its steps from the instruction. Words in brackets make it behave in a chosen way:

| in the instruction | what happens |
|---|---|
"""

_DIALECT_HEAD: Final = """
Where nobody knows what the hosted API does, `--dialect` chooses, as in `--dialect task_id=nowhere,reattach=none`:

| key | values, the default first | meaning |
|---|---|---|
"""

_FAULTS: Final = """
`GET /_simulator/journal` tells what was asked and done, `GET /_simulator/tasks` how the tasks are. `POST /_simulator/faults` orders a
fault, `DELETE` takes all of them back:

```
curl -X POST http://127.0.0.1:8700/_simulator/faults \\
  -d '{"match": {"path": "/agent/tasks/stream"}, "do": {"drop": "after_frames", "count": 3}}'
```
"""


def _values(key: str) -> str:
    usual = getattr(Dialect(), key)
    values = [usual, *(value for value in type(usual) if value != usual)] if isinstance(usual, StrEnum) else [usual]
    return ", ".join(f"`{value}`" for value in values)


def simulator() -> str:
    """docs/simulator.md."""
    hooks = [f"| `{hook}` | {meaning} |\n" for hook, meaning in HOOKS.items()]
    keys = [f"| `{key}` | {_values(key)} | {meaning} |\n" for key, meaning in MEANINGS.items()]
    return "".join([_SIMULATOR_HEAD, *hooks, _DIALECT_HEAD, *keys, _FAULTS])


_TOOLS_HEAD: Final = """# The tools

Made from the tools themselves. Every answer is text and, under the names below, `structuredContent`; an error is an `isError` answer
with `error` (`category`, `message`, `retryable`, `remedy`) and a `next_step`. While a call waits, progress notifications flow: their
number is the last event's, their text one line of at most 200 characters.
"""


def tools() -> str:
    """docs/tools.md."""
    offered = "".join(_tool(offer.tool()) for offer in OFFERS)
    return _TOOLS_HEAD + offered + _PROMPTS_HEAD + "".join(map(_prompt, TEMPLATES)) + _LIVE_VIEW


_PROMPTS_HEAD: Final = """
# The prompts

What a user picks in their host; what they fill in stands quoted in it. Task ids and kinds are completed where the host asks for that.
"""

_LIVE_VIEW: Final = """
# The live view

Hosts that render MCP Apps show `ui://northstar/live-view.html` beside `start_task` and `task_status`: the screen, the step, the log,
time and budget, with pause, resume, stop and a box for a message. It asks by a tool of its own, `live_view`, which models are not
shown.
"""


def _prompt(template: Template[Any]) -> str:
    rows = [
        f"| {f'`{name}` (required)' if field.is_required() else f'`{name}`'} | {field.description} |\n"
        for name, field in template.arguments.model_fields.items()
    ]
    return f"\n## {template.name}\n\n{template.description}\n\n| to fill in | what |\n|---|---|\n{''.join(rows)}"


def _tool(tool: Tool) -> str:
    hints = tool.annotations
    said = [
        "reads only" if hints and hints.read_only_hint else "acts",
        "may destroy" if hints and hints.destructive_hint else "destroys nothing",
        "may be repeated" if hints and hints.idempotent_hint else "not to be repeated blindly",
    ]
    schema = tool.parameters
    rows = [_parameter(name, each, name in schema.get("required", ())) for name, each in schema["properties"].items()]
    table = "| parameter | type | meaning |\n|---|---|---|\n" + "".join(rows) if rows else ""
    answer = ", ".join(f"`{name}`" for name in (tool.output_schema or {})["properties"])
    return f"\n## {tool.name}\n\n{tool.description}\n\n*{'; '.join(said)}.*\n\n{table}\nAnswers: {answer}.\n"


def _parameter(name: str, schema: dict[str, Any], required: bool) -> str:
    kind = " or ".join(f"`{value}`" for value in schema["enum"]) if "enum" in schema else schema["type"]
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = f" {low} to {high}" if high is not None else (f" from {low}" if low is not None else "")
    marked = f"`{name}` (required)" if required else f"`{name}`"
    return f"| {marked} | {kind}{bounds} | {schema.get('description', '')} |\n"


MADE: Final[Mapping[str, Callable[[], str]]] = {
    "docs/states.md": states,
    "docs/settings.md": settings,
    "docs/simulator.md": simulator,
    "docs/tools.md": tools,
}

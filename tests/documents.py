"""The documents that are made from the code: `test_documents.py` checks that they are as they would be made now."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

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


MADE: Final[Mapping[str, Callable[[], str]]] = {"docs/states.md": states}

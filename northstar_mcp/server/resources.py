"""Tasks as resources: what a host can read, attach and subscribe to.

    northstar://tasks                        the newest tasks
    northstar://tasks/{task_id}              one task, its result uncut
    northstar://tasks/{task_id}/events       its newest events
    northstar://tasks/{task_id}/screenshot   its newest picture, in full size

JSON, except the picture. Texts of Northstar's are cleaned, and it is said beside them that they are data.
"""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.mcpserver.resources import Resource
from pydantic import Field
from typing_extensions import override

from northstar_mcp.errors import NorthstarError, NotFound
from northstar_mcp.server.answers import event_facts, facts_of
from northstar_mcp.server.fence import PROVENANCE, clean, clean_line
from northstar_mcp.server.lists import entry_of
from northstar_mcp.server.pictures import as_png
from northstar_mcp.server.principals import principal
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.screens import show
from northstar_mcp.tasks.watching import look, page

TASKS: Final = "northstar://tasks"
_TASK_URI: Final = re.compile(r"northstar://tasks/([^/?#]{1,200})(?:/(?:events|screenshot))?")
_MOST_TASKS: Final = 50
_MOST_EVENTS: Final = 500
_MAX_ERROR: Final = 1_000

OurContext = Context[Any, Any]
Found = TypeVar("Found")


def task_uris(task_id: str) -> tuple[str, str, str]:
    """The task's own, its events' and its picture's."""
    own = f"{TASKS}/{task_id}"
    return own, f"{own}/events", f"{own}/screenshot"


def task_of(uri: str) -> str | None:
    """The id of the task that the resource belongs to, if it is one of these."""
    found = _TASK_URI.fullmatch(uri)
    return found[1] if found is not None else None


def add_resources(server: MCPServer[Engine]) -> None:
    """Offer the templates. The list of tasks is a resource by itself: `TaskList`."""
    for path, name, title, description, mime_type, answer in _TEMPLATES:
        server.resource(
            f"{TASKS}/{{task_id}}{path}", name=name, title=title, description=description, mime_type=mime_type
        )(answer)


class TaskList(Resource):
    """`northstar://tasks`. The SDK gives a resource without parameters no context, so it is told how to find the engine."""

    engine: Callable[[], Engine] = Field(exclude=True)

    @override
    async def read(self) -> str:
        engine = self.engine()
        tasks, _ = await _found(page(engine, principal=principal(), limit=_MOST_TASKS))
        now = engine.clock.now()
        return _json({"tasks": [entry_of(task, now=now) for task in tasks]})


def task_list(engine: Callable[[], Engine]) -> TaskList:
    """The list of tasks of the engine that is open when it is read."""
    return TaskList(
        uri=TASKS,
        name="tasks",
        title="Tasks",
        description=f"The newest {_MOST_TASKS} tasks handed to Northstar: state, steps, what was asked.",
        mime_type="application/json",
        engine=engine,
    )


async def _read_task(task_id: str, context: OurContext) -> str:
    engine = _engine(context)
    view = await _found(look(engine, task_id, principal=principal(), most=1))
    own, events, screenshot = task_uris(task_id)
    facts = facts_of(view.task, now=engine.clock.now(), receipts=view.receipts)
    asked = {
        "instruction": clean(view.task.request.instruction),
        "created_at": view.task.created_at.isoformat(timespec="milliseconds"),
        "clamped": list(view.task.clamped),
    }
    links = {"resource": own, "events_resource": events, "screenshot_resource": screenshot}
    return _json({**facts, **asked, **links, "provenance": PROVENANCE})


async def _read_events(task_id: str, context: OurContext) -> str:
    view = await _found(look(_engine(context), task_id, principal=principal(), most=_MOST_EVENTS))
    return _json(
        {
            "task_id": task_id,
            "state": str(view.task.state),
            "seq": view.task.seq,
            "events": [event_facts(event) for event in view.events],
            "events_omitted": view.omitted,
            "provenance": PROVENANCE,
        }
    )


async def _read_screenshot(task_id: str, context: OurContext) -> bytes:
    shot = await _found(show(_engine(context), task_id, principal=principal()))
    return await _found(as_png(shot.screen))


_TEMPLATES: Final = (
    ("", "task", "A task", "State, result and steps of one task.", "application/json", _read_task),
    (
        "/events",
        "task_events",
        "What happened in a task",
        f"The newest {_MOST_EVENTS} events of one task.",
        "application/json",
        _read_events,
    ),
    (
        "/screenshot",
        "task_screenshot",
        "A task's screen",
        "The newest picture of one task's screen, in full size.",
        "image/png",
        _read_screenshot,
    ),
)


def _engine(context: OurContext) -> Engine:
    engine: Engine = context.request_context.lifespan_context
    return engine


async def _found(asking: Awaitable[Found]) -> Found:
    try:
        return await asking
    except NotFound as error:
        raise ResourceNotFoundError(clean_line(error.message, limit=_MAX_ERROR)) from None
    except NorthstarError as error:
        raise ResourceError(clean_line(f"{error.message} {error.remedy}", limit=_MAX_ERROR)) from None


def _json(facts: dict[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False)

"""live_view: what the page asks for, again and again, while a person looks at it."""

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Final

import anyio
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

from northstar_mcp.errors import NorthstarError
from northstar_mcp.server import outputs
from northstar_mcp.server.answers import MAX_RESULT, MOST_EVENTS, event_facts, facts_of, fitting
from northstar_mcp.server.arguments import NOT_TRUTH, Arguments, TaskId
from northstar_mcp.server.fence import PROVENANCE, clean_line
from northstar_mcp.server.live_view.extension import APP_ONLY
from northstar_mcp.server.pictures import for_a_model
from northstar_mcp.server.tool import Call, Offer
from northstar_mcp.tasks.model import EventType
from northstar_mcp.tasks.screens import show
from northstar_mcp.tasks.watching import View, find, look

MAX_WAIT_SECONDS: Final = 20
_PICTURE_SECONDS: Final = 5.0  # what happened must not wait longer for its picture; the page asks for that again
_MAX_INSTRUCTION: Final = 500

_SCREEN: Final[outputs.Schema] = {
    "type": "object",
    "properties": {
        "seq": {"type": "integer"},
        "at": {"type": "string", "format": "date-time"},
        "width": {"type": "integer"},
        "height": {"type": "integer"},
        "media_type": {"type": "string"},
        "data": {"type": "string", "contentEncoding": "base64"},
    },
    "required": ["seq", "at", "width", "height", "media_type", "data"],
}
_MORE: Final[Mapping[str, outputs.Schema]] = {
    "instruction": {"type": "string"},
    "max_duration_seconds": {"type": "integer"},
    "screen": _SCREEN,
    "screen_problem": {"type": "string"},
}

Facts = dict[str, Any]


class LiveView(Arguments):
    """Which task, and what the page shows of it already."""

    task_id: TaskId
    since_seq: Annotated[int | None, Field(ge=0, description="The last event that the page has."), NOT_TRUTH] = None
    screen_seq: Annotated[int | None, Field(ge=0, description="The event of the picture that it shows."), NOT_TRUTH] = (
        None
    )
    wait_seconds: Annotated[
        float | None,
        Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False, description="Wait up to this long for anything new."),
        NOT_TRUTH,
    ] = None


async def _live_view(call: Call, asked: LiveView) -> CallToolResult:
    since_seq = asked.since_seq or 0
    await _news(call, asked.task_id, since_seq=since_seq, seconds=asked.wait_seconds or 0)
    view = await look(call.engine, asked.task_id, principal=call.principal, most=MOST_EVENTS)
    facts = _facts(call, view, since_seq=min(since_seq, view.task.seq))
    facts |= await _screen(call, view, than=asked.screen_seq or 0)
    return CallToolResult(content=[TextContent(type="text", text=facts["summary"])], structured_content=facts)


async def _news(call: Call, task_id: str, *, since_seq: int, seconds: float) -> None:
    """Wait until anything has happened to the task that the page does not know, at most so long. An ended task is not waited for."""
    if seconds <= 0:
        return
    with call.engine.feed.watch(task_id) as watch, anyio.move_on_after(seconds):
        while True:
            task = await find(call.engine, task_id, principal=call.principal)
            if task.seq > since_seq or task.state.ended:
                return
            await watch.changed()


def _facts(call: Call, view: View, *, since_seq: int) -> Facts:
    task = view.task
    events = fitting([event for event in view.events if event.seq > since_seq])
    return {
        **facts_of(task, now=call.engine.clock.now(), told=True, receipts=view.receipts, cut=MAX_RESULT),
        "events": [event_facts(event) for event in events],
        "events_omitted": max(0, task.seq - since_seq - len(events)),
        "instruction": clean_line(task.request.instruction, limit=_MAX_INSTRUCTION),
        "max_duration_seconds": task.request.max_duration_seconds,
        "provenance": PROVENANCE,
    }


async def _screen(call: Call, view: View, *, than: int) -> Facts:
    """The newest picture that came with an event, if it is newer than the one the page shows; where it cannot be had, why."""
    newest = max((event.seq for event in view.events if event.type is EventType.SCREENSHOT), default=0)
    if newest <= than:
        return {}
    try:
        with anyio.fail_after(_PICTURE_SECONDS):
            shot = await show(call.engine, view.task.task_id, principal=call.principal, seq=newest)
            picture = await for_a_model(shot.screen)
    except NorthstarError as error:
        return {"screen_problem": clean_line(error.message, limit=300)}
    except TimeoutError:
        return {"screen_problem": "The newest picture takes long to arrive."}
    return {
        "screen": {
            "seq": newest,
            "at": shot.at.isoformat(timespec="milliseconds"),
            "width": picture.width,
            "height": picture.height,
            "media_type": picture.media_type,
            "data": base64.b64encode(picture.data).decode("ascii"),
        }
    }


OFFER: Final = Offer(
    name="live_view",
    title="Follow a task in the live view",
    description="For the live view's page only: what is new in a task, and its newest picture. Models use task_status.",
    arguments=LiveView,
    answer=_live_view,
    output=outputs.of_a_task(**_MORE),
    annotations=ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
    ),
    meta=APP_ONLY,
)

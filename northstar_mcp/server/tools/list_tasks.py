"""list_tasks: which tasks there are."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from northstar_mcp.server import outputs
from northstar_mcp.server.arguments import NOT_TRUTH, Arguments
from northstar_mcp.server.lists import page_told
from northstar_mcp.server.tool import Call, Offer
from northstar_mcp.tasks.states import ENDS, State
from northstar_mcp.tasks.watching import find, page

_USUAL: Final = 20

_GROUPS: Final[Mapping[str, frozenset[State]]] = {
    "unfinished": frozenset(State) - ENDS,
    "ended": ENDS,
    **{str(state): frozenset({state}) for state in State},
}


class ListTasks(Arguments):
    """Which of them."""

    state: Annotated[
        Literal[
            "unfinished",
            "ended",
            "starting",
            "running",
            "paused",
            "needs_input",
            "completed",
            "failed",
            "stopped",
            "out_of_steps",
            "out_of_time",
            "unknown",
        ]
        | None,
        Field(description="Only these."),
    ] = None
    limit: Annotated[int | None, Field(ge=1, le=100, description="Default 20."), NOT_TRUTH] = None
    cursor: Annotated[str | None, Field(max_length=200, description="next_cursor of the page before.")] = None


async def _list(call: Call, asked: ListTasks) -> CallToolResult:
    if asked.cursor is not None:
        await find(call.engine, asked.cursor, principal=call.principal)
    tasks, cursor = await page(
        call.engine,
        principal=call.principal,
        states=_GROUPS[asked.state] if asked.state is not None else None,
        limit=asked.limit or _USUAL,
        before=asked.cursor,
    )
    return page_told(tasks, cursor=cursor, now=call.engine.clock.now())


OFFER: Final = Offer(
    name="list_tasks",
    title="List tasks",
    description=(
        "Tasks handed to Northstar here, newest first, from earlier conversations too. Use it when you have lost a "
        "task_id. Next: task_status."
    ),
    arguments=ListTasks,
    answer=_list,
    output=outputs.of_tasks(**outputs.PAGE),
    annotations=ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    ),
)

"""task_status: how a task stands, and what is new."""

from dataclasses import replace
from typing import Annotated, Final

from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from northstar_mcp.server import outputs
from northstar_mcp.server.arguments import NOT_TRUTH, Arguments, TaskId, WaitSeconds
from northstar_mcp.server.door import step_in
from northstar_mcp.server.live_view.extension import SHOWN
from northstar_mcp.server.tool import Call, Offer
from northstar_mcp.server.waiting import as_it_stands, wait_for
from northstar_mcp.server.words import declined_next
from northstar_mcp.tasks.persons import Outcome, need_of


class TaskStatus(Arguments):
    """Which task, and what is known of it already."""

    task_id: TaskId
    since_seq: Annotated[
        int | None, Field(ge=0, description="The last seq you have seen: only newer events come."), NOT_TRUTH
    ] = None
    wait_seconds: Annotated[
        WaitSeconds, Field(description="Wait up to this long for its end, a pause, or a person to be needed.")
    ] = None


async def _status(call: Call, asked: TaskStatus) -> CallToolResult:
    await wait_for(call, asked.task_id, asked=asked.wait_seconds, since_seq=asked.since_seq)
    said = await step_in(call, asked.task_id)
    answer = await as_it_stands(call, asked.task_id, since_seq=asked.since_seq or 0, opening=said)
    need = await need_of(call.engine, asked.task_id, principal=call.principal)
    if need is not None and Outcome.DECLINED in need.outcomes:
        answer = replace(answer, extra={"next_step": declined_next(need.task)})
    return answer.told()


OFFER: Final = Offer(
    name="task_status",
    title="Check on a task",
    description=(
        "How a task stands: its state, what Northstar did since since_seq, and its result once it has ended. Call it "
        "again as next_step says, until state is an end."
    ),
    arguments=TaskStatus,
    answer=_status,
    output=outputs.of_a_task(),
    annotations=ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
    ),
    meta=SHOWN,
)

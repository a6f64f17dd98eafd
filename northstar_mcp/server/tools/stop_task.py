"""stop_task: end a task, and say what of that was confirmed."""

from typing import Final

from mcp_types import CallToolResult, ToolAnnotations

from northstar_mcp.server import outputs
from northstar_mcp.server.answers import stopped
from northstar_mcp.server.arguments import Arguments, TaskId
from northstar_mcp.server.tool import Call, Offer
from northstar_mcp.tasks.stopping import stop


class StopTask(Arguments):
    """Which task."""

    task_id: TaskId


async def _stop(call: Call, asked: StopTask) -> CallToolResult:
    done = await stop(call.engine, asked.task_id, principal=call.principal)
    return stopped(done, now=call.engine.clock.now())


OFFER: Final = Offer(
    name="stop_task",
    title="Stop a task",
    description=(
        "End a task for good; what it did so far stays done. Lightcone has no stop call, so this pauses it and ends "
        "its computer, or tells Northstar to stop, and says what was confirmed."
    ),
    arguments=StopTask,
    answer=_stop,
    output=outputs.of_a_task(**outputs.STOPPING),
    annotations=ToolAnnotations(
        read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
    ),
)

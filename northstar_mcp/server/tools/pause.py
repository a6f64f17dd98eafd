"""pause: have Northstar hold still."""

from typing import Final

from mcp_types import CallToolResult, ToolAnnotations

from northstar_mcp.server import outputs
from northstar_mcp.server.answers import steered
from northstar_mcp.server.arguments import Arguments, TaskId
from northstar_mcp.server.tool import Call, Offer
from northstar_mcp.tasks.steering import pause


class Pause(Arguments):
    """Which task."""

    task_id: TaskId


async def _pause(call: Call, asked: Pause) -> CallToolResult:
    done = await pause(call.engine, asked.task_id, principal=call.principal)
    return steered(done, now=call.engine.clock.now())


OFFER: Final = Offer(
    name="pause",
    title="Pause a task",
    description=(
        "Hold a running task, so that a person can act in the live view or you can correct it with inject_message. "
        "A step under way may still finish. Next: resume."
    ),
    arguments=Pause,
    answer=_pause,
    output=outputs.of_a_task(**outputs.CHANGED),
    annotations=ToolAnnotations(
        read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True
    ),
)

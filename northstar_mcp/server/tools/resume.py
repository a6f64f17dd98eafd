"""resume: let Northstar go on."""

from typing import Final

from mcp_types import CallToolResult, ToolAnnotations

from northstar_mcp.server import outputs
from northstar_mcp.server.answers import steered
from northstar_mcp.server.arguments import Arguments, TaskId
from northstar_mcp.server.tool import Call, Offer
from northstar_mcp.tasks.steering import resume


class Resume(Arguments):
    """Which task."""

    task_id: TaskId


async def _resume(call: Call, asked: Resume) -> CallToolResult:
    done = await resume(call.engine, asked.task_id, principal=call.principal)
    return steered(done, now=call.engine.clock.now())


OFFER: Final = Offer(
    name="resume",
    title="Resume a task",
    description="Let a task go on that is paused, or that waited for a person who has done their part. Next: task_status.",
    arguments=Resume,
    answer=_resume,
    output=outputs.of_a_task(**outputs.CHANGED),
    annotations=ToolAnnotations(
        read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
    ),
)

"""inject_message: say something to Northstar while it works."""

from typing import Annotated, Final

from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field, field_validator

from northstar_mcp.server import outputs
from northstar_mcp.server.answers import steered
from northstar_mcp.server.arguments import MAX_TEXT, Arguments, TaskId
from northstar_mcp.server.tool import Call, Offer
from northstar_mcp.tasks.steering import inject


class InjectMessage(Arguments):
    """Which task, and what to say."""

    task_id: TaskId
    message: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]

    @field_validator("message")
    @classmethod
    def _says_something(cls, message: str) -> str:
        if not message.strip():
            raise ValueError("must say something; it holds only white space")
        return message


async def _inject(call: Call, asked: InjectMessage) -> CallToolResult:
    done = await inject(call.engine, asked.task_id, asked.message, principal=call.principal)
    return steered(done, now=call.engine.clock.now())


OFFER: Final = Offer(
    name="inject_message",
    title="Tell Northstar something",
    description=(
        "Correct or inform a running task; Northstar reads it at its next step (if paused, after resume). Do not "
        "repeat a message whose receipt is accepted or queued. Next: task_status."
    ),
    arguments=InjectMessage,
    answer=_inject,
    output=outputs.of_a_task(),
    annotations=ToolAnnotations(
        read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True
    ),
)

"""pause: have Northstar hold still."""

from typing import Annotated, Final

from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from northstar_mcp.server import outputs
from northstar_mcp.server.answers import steered
from northstar_mcp.server.arguments import Arguments, TaskId
from northstar_mcp.server.hosts import Host
from northstar_mcp.server.tool import Call, Offer
from northstar_mcp.server.words import hand_over_next
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.steering import pause


class Pause(Arguments):
    """Which task, and whether the user is to act in it."""

    task_id: TaskId
    ask_user: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=300,
            description="What the user shall do at its computer: log in, decide, solve a captcha. It then waits for them.",
        ),
    ] = None


async def _pause(call: Call, asked: Pause) -> CallToolResult:
    done = await pause(call.engine, asked.task_id, principal=call.principal, hand_over=asked.ask_user)
    can_ask = asked.ask_user is not None and Host.of(call.context.request_context).opens_urls
    next_step = hand_over_next(done.task) if can_ask and done.task.state is State.NEEDS_INPUT else None
    return steered(done, now=call.engine.clock.now(), next_step=next_step)


OFFER: Final = Offer(
    name="pause",
    title="Pause a task",
    description=(
        "Hold a running task: to correct it with inject_message, or, with ask_user, to hand its computer to the user. "
        "A step under way may still finish. Next: resume."
    ),
    arguments=Pause,
    answer=_pause,
    output=outputs.of_a_task(**outputs.CHANGED),
    annotations=ToolAnnotations(
        read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True
    ),
)

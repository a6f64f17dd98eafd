"""Waiting for one task on behalf of a call, and the answer with what is new. Aborting the call ends the wait and nothing else."""

from typing import Any

from northstar_mcp.server.answers import MOST_EVENTS, Answer
from northstar_mcp.server.progress import reporting, wait_seconds
from northstar_mcp.server.tool import Call
from northstar_mcp.tasks.watching import find, look, wait


async def wait_for(call: Call, task_id: str, *, asked: float | None, since_seq: int | None) -> None:
    """Wait until the task has turned, at most as long as was asked for; progress is told meanwhile.

    Args:
        since_seq: What the caller knows already; None: as it stands now.
    """
    seconds = wait_seconds(call, asked)
    if seconds <= 0:
        return
    known = since_seq
    if known is None:
        known = (await find(call.engine, task_id, principal=call.principal)).seq
    async with reporting(call, start=known) as tell:
        await wait(call.engine, [task_id], principal=call.principal, seconds=seconds, since={task_id: known}, tell=tell)


async def as_it_stands(
    call: Call, task_id: str, *, since_seq: int, opening: str = "", extra: dict[str, Any] | None = None
) -> Answer:
    """The answer with what is new since the cursor."""
    # From the first event on, since the newest ones tell the task's pace even where the caller knows them.
    view = await look(call.engine, task_id, principal=call.principal, most=MOST_EVENTS)
    return Answer(
        view=view,
        now=call.engine.clock.now(),
        since_seq=min(since_seq, view.task.seq),
        opening=opening,
        extra=extra or {},
    )

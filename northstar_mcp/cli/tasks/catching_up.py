"""What happened at Lightcone while no process of this user was looking.

A task that was left running goes on there. As long as this command's engine is open it follows the task again; here somebody waits
until what was missed has arrived.
"""

from typing import Final

import anyio

from northstar_mcp.errors import NorthstarError
from northstar_mcp.tasks import watching
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import LOCAL, Event, Task

FIRST_QUIET_SECONDS: Final = 2.0  # finding the way back into a stream takes a moment
QUIET_SECONDS: Final = 0.75
_MOST_SECONDS: Final = 8.0


async def catch_up(engine: Engine, task: Task) -> Task:
    """The task once nothing more arrives at once. Where Lightcone cannot be called, as it was recorded."""
    if task.state.ended or not await _can_follow(engine, task):
        return task
    engine.follow(task.task_id)
    seq = task.seq
    with anyio.move_on_after(_MOST_SECONDS):
        quiet = FIRST_QUIET_SECONDS
        while not task.state.ended:
            task, arrived = await _listen(engine, task.task_id, seq, quiet)
            if arrived == seq:
                break
            seq, quiet = arrived, QUIET_SECONDS
    return task


async def _can_follow(engine: Engine, task: Task) -> bool:
    try:
        (await engine.agent()).check_ready()
    except NorthstarError:
        return False
    return task.account == engine.account


async def _listen(engine: Engine, task_id: str, seq: int, seconds: float) -> tuple[Task, int]:
    """The task after something has happened to it, or after `seconds`; and the number of the last event that was seen."""
    last = seq

    async def note(_task: Task, event: Event) -> None:
        nonlocal last
        last = event.seq

    waited = await watching.wait(engine, [task_id], principal=LOCAL, seconds=seconds, since={task_id: seq}, tell=note)
    (task,) = (*waited.changed, *waited.waiting)
    return task, last

"""Lightcone's own id of a task: needed to steer it, and not always told.

It is learnt, in this order, from a frame, from the reply's header (both by the follower), and by repeating the start under the same key
without a stream. The last may start a second task where Lightcone does not honour the key: that one is told to stop, and it is said.
"""

import anyio

from northstar_mcp.errors import Broken, NorthstarError, WrongState
from northstar_mcp.tasks.amending import amend
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.model import EventType, Task
from northstar_mcp.tasks.parts import Parts


class Nameless(Broken):
    """Lightcone's id of this task cannot be learnt: it cannot be asked about or steered."""

    category = "nameless"


async def northstar_id(parts: Parts, task: Task) -> str:
    """Lightcone's id; waits a little for it where the task was only just started.

    Raises:
        WrongState: If the task has ended, or was not sent to Lightcone yet.
        Nameless: If it cannot be learnt.
        NorthstarError: If Lightcone could not be asked.
    """
    task = await _wait_for_id(parts, task)
    if task.northstar_task_id is not None:
        return task.northstar_task_id
    if task.state.ended:
        raise WrongState(f"The task has ended: {task.state}.")
    if task.start_sent_at is None:
        raise WrongState(
            "The task has not been sent to Lightcone yet.", remedy="Try again in a few seconds.", sent=False
        )
    return await identify(parts, task)


async def identify(parts: Parts, task: Task) -> str:
    """Repeat the start under its key, to learn the id.

    Where nothing of the task was seen yet, the answer is the task itself, whether it was started before or by this. Where its
    frames were seen, an answer that does not say `reused` means that a second task runs now.

    Raises:
        Nameless: If it cannot be learnt.
        NorthstarError: If Lightcone could not be asked, or refused.
    """
    if task.second_task_id is not None:
        raise Nameless("Lightcone never told this task's id, and starts another task when asked for it.")
    agent = await parts.agent()
    found = await agent.identify(task.request, idempotency_key=task.idempotency_key)
    if task.started_at is not None and found.reused is not True:
        await stop_second(parts, task.task_id, found.northstar_task_id)
        raise Nameless("Lightcone never told this task's id, and started another task when asked for it.")

    def learn(draft: Draft) -> None:
        draft.learn(northstar_task_id=found.northstar_task_id)

    task = await amend(parts.ledger, task.task_id, learn, clock=parts.clock)
    return task.northstar_task_id or found.northstar_task_id


async def stop_second(parts: Parts, task_id: str, second_task_id: str) -> None:
    """Tell a task to stop that Lightcone started by mistake, and write down that it was there and what became of it."""

    def admit(draft: Draft) -> None:
        draft.learn(second_task_id=second_task_id)
        draft.tell(
            EventType.PROBLEM, f"Lightcone started a second task by mistake ({second_task_id}); it is told to stop."
        )

    await amend(parts.ledger, task_id, admit, clock=parts.clock)
    done = await _end_second(parts, second_task_id)
    await amend(parts.ledger, task_id, lambda draft: _say(draft, done), clock=parts.clock)


def _say(draft: Draft, text: str) -> None:
    draft.tell(EventType.PROBLEM, text)


async def _end_second(parts: Parts, second_task_id: str) -> str:
    agent = await parts.agent()
    try:
        await agent.pause(second_task_id)
        computer_id = (await agent.status(second_task_id)).computer_id
        if computer_id is not None:
            await agent.end_computer(computer_id)
            return f"The second task ({second_task_id}) was paused and its computer was terminated."
        await agent.inject(second_task_id, "Stop now. Do nothing more and end the task.")
    except NorthstarError as error:
        return f"The second task ({second_task_id}) may still run: {error.message}"
    return f"The second task ({second_task_id}) was paused and told to stop; that it ended was not confirmed."


async def _wait_for_id(parts: Parts, task: Task) -> Task:
    with parts.feed.watch(task.task_id) as watch, anyio.move_on_after(parts.timing.naming_seconds):
        while True:
            task = await parts.ledger.get(task.task_id) or task
            if task.northstar_task_id is not None or task.state.ended:
                break
            await watch.changed()
    return task

"""Lightcone's own id of a task: needed to steer it, and not always told.

It is learnt, in this order, from a frame, from the reply's header (both by the follower), and by repeating the start under the same key
without a stream. The last may start a second task where Lightcone does not honour the key: that one is told to stop, and it is said.
"""

from datetime import datetime
from functools import partial

import anyio

from northstar_mcp.errors import Broken, NorthstarError, WrongState
from northstar_mcp.tasks.amending import amend
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.model import EventType, Identified, Task
from northstar_mcp.tasks.parts import Parts


class Nameless(Broken):
    """Lightcone's id of this task cannot be learnt: it cannot be asked about or steered."""

    category = "nameless"


class StillAsking(WrongState):
    """Lightcone was asked for the id, and has not answered yet."""


async def northstar_id(parts: Parts, task: Task) -> str:
    """Lightcone's id; waits a little for it where the task was only just started.

    Raises:
        WrongState: If the task has ended, or Lightcone has not answered its start yet.
        Nameless: If it cannot be learnt.
        NorthstarError: If Lightcone could not be asked.
    """
    task = await _wait_for_id(parts, task)
    if task.northstar_task_id is not None:
        return task.northstar_task_id
    if task.state.ended:
        raise WrongState(f"The task has ended: {task.state}.")
    if task.started_at is None:
        # Naming it now could start it by another road than the one that is under way.
        raise WrongState("Lightcone has not answered the start yet.", remedy="Try again in a few seconds.", sent=False)
    return await identify(parts, task)


async def identify(parts: Parts, task: Task) -> str:
    """Repeat the start of a task whose frames were seen under its key, to learn its id.

    It is asked once, and that is written down before: where keys are not honoured here, the first question starts a second task, and
    every later one would find that. An answer that does not say `reused` means that a second task runs now. Where an earlier answer was
    lost, only the computer that both run on proves that it is this task.

    Raises:
        StillAsking: If another call waits for the answer.
        Nameless: If it cannot be learnt.
        NorthstarError: If Lightcone could not be asked, or refused.
    """
    asked_before = task.name_asked_at
    _check_may_ask(parts, task)
    task = await amend(parts.ledger, task.task_id, partial(_ask, asked_before=asked_before), clock=parts.clock)
    try:
        found = await (await parts.agent()).identify(task.request, idempotency_key=task.idempotency_key)
    except NorthstarError as error:
        if error.nothing_done and asked_before is None:
            await amend(parts.ledger, task.task_id, Draft.forget_asking, clock=parts.clock)
        raise
    if not (found.reused and asked_before is None):
        await _prove(parts, task, found)
    task = await amend(parts.ledger, task.task_id, partial(_learn, name=found.northstar_task_id), clock=parts.clock)
    return task.northstar_task_id or found.northstar_task_id


def _check_may_ask(parts: Parts, task: Task) -> None:
    if task.second_task_id is not None:
        raise Nameless("Lightcone never told this task's id, and starts another task when asked for it.")
    if task.name_asked_at is None:
        return
    if (parts.clock.now() - task.name_asked_at).total_seconds() < parts.timing.stall_seconds:
        raise StillAsking(
            "Lightcone is being asked for this task's id.", remedy="Try again in a few seconds.", sent=False
        )
    if task.computer_id is None:
        raise Nameless("Lightcone never told this task's id, and its answer was lost when it was asked for it.")


def _ask(draft: Draft, *, asked_before: datetime | None) -> None:
    if draft.task.name_asked_at != asked_before:
        raise StillAsking(
            "Lightcone is being asked for this task's id.", remedy="Try again in a few seconds.", sent=False
        )
    draft.ask_name()


def _learn(draft: Draft, *, name: str) -> None:
    draft.learn(northstar_task_id=name)


async def _prove(parts: Parts, task: Task, found: Identified) -> None:
    """Make sure that what was found is this task, by the computer that it runs on; stop it where it is certainly another.

    Raises:
        Nameless: If it is another, or nothing tells.
    """
    if found.reused is not True:
        await stop_second(parts, task, found.northstar_task_id)
        raise Nameless("Lightcone never told this task's id, and started another task when asked for it.")
    computer_id = (await (await parts.agent()).status(found.northstar_task_id)).computer_id
    if computer_id is None or computer_id != task.computer_id or not task.owns_computer:
        raise Nameless("Lightcone never told this task's id, and it is not certain which task it names now.")


async def stop_second(parts: Parts, task: Task, second_task_id: str) -> None:
    """Tell a task to stop that Lightcone started by mistake, and write down that it was there and what became of it."""

    def admit(draft: Draft) -> None:
        draft.learn(second_task_id=second_task_id)
        draft.tell(
            EventType.PROBLEM, f"Lightcone started a second task by mistake ({second_task_id}); it is told to stop."
        )

    task = await amend(parts.ledger, task.task_id, admit, clock=parts.clock)
    done = await _end_second(parts, task, second_task_id)
    await amend(parts.ledger, task.task_id, lambda draft: _say(draft, done), clock=parts.clock)


def _say(draft: Draft, text: str) -> None:
    draft.tell(EventType.PROBLEM, text)


async def _end_second(parts: Parts, task: Task, second_task_id: str) -> str:
    agent = await parts.agent()
    try:
        await agent.pause(second_task_id)
        computer_id = (await agent.status(second_task_id)).computer_id
        if computer_id not in (None, task.computer_id) and task.owns_computer:
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

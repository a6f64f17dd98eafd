"""Pause, resume, say something: what a person or a model does to a running task, and what is known of it afterwards.

An aborted call frees the caller; what was begun goes on, so that the record never lacks what Lightcone was told.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import anyio

from northstar_mcp.errors import NorthstarError, NotFound, WrongState
from northstar_mcp.tasks.amending import amend
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import EventType, Json, Receipt, ReceiptState, Task
from northstar_mcp.tasks.naming import northstar_id
from northstar_mcp.tasks.ports import Agent
from northstar_mcp.tasks.states import Happening, State
from northstar_mcp.tasks.watching import find


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """What is known afterwards.

    Attributes:
        words: One sentence about it.
        changed: False where the task was so already.
        receipt: For a message.
    """

    task: Task
    words: str
    changed: bool = True
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """A way of steering that Lightcone confirms: what is asked, and what is true once it is."""

    ask: Callable[[Agent, str], Awaitable[str]]
    state: State | None  # in which there is nothing to write down
    type: EventType
    happening: Happening
    text: str
    words: str
    words_if_so_already: str
    payload: Mapping[str, Json] = field(default_factory=dict)


_PAUSE: Final = _Turn(
    ask=lambda agent, northstar_task_id: agent.pause(northstar_task_id),
    state=State.PAUSED,
    type=EventType.PAUSED,
    happening=Happening.PAUSE_CONFIRMED,
    text="Paused on request.",
    words="Lightcone confirmed the pause after {took}; a step that is under way may still finish.",
    words_if_so_already="It was paused already.",
)


def _handing_over(words: str) -> _Turn:
    """A pause in which a person does something; the task is not paused but waits for them."""
    return replace(
        _PAUSE,
        state=None,
        type=EventType.NEEDS_INPUT,
        happening=Happening.PERSON_NEEDED,
        text=words,
        payload={"asked_by": "assistant"},
        words="Lightcone confirmed the pause after {took}; the task waits for the user.",
    )


_RESUME: Final = _Turn(
    ask=lambda agent, northstar_task_id: agent.resume(northstar_task_id),
    state=State.RUNNING,
    type=EventType.RESUMED,
    happening=Happening.RESUME_CONFIRMED,
    text="Resumed on request.",
    words="Lightcone confirmed after {took} that it goes on.",
    words_if_so_already="It was running already.",
)


LOOK_AGAIN: Final = (
    "A person has used this computer while you waited. Before you do anything else, look at the screen again: what you "
    "saw before may have changed. Then go on with your task."
)
"""What Northstar is told before it goes on after a person's turn."""


async def pause(engine: Engine, task_id: str, *, principal: str, hand_over: str | None = None) -> Steered:
    """Pause it. Sent even where the record says that it is paused: somebody may have resumed it elsewhere.

    Args:
        hand_over: What a person shall do at the computer now, in a line; the task then waits for that person.

    Raises:
        NotFound: If there is no such task.
        WrongState: If it has ended, or Lightcone says that it cannot be paused now.
        NorthstarError: If Lightcone could not be asked.
    """
    task = await _living(engine, task_id, principal=principal)
    return await engine.see_through(
        lambda: _make(engine, task, _PAUSE if hand_over is None else _handing_over(hand_over))
    )


async def resume(engine: Engine, task_id: str, *, principal: str) -> Steered:
    """Let it go on, after a pause or once a person has done what it waited for: then Northstar is told to look again first.

    Raises:
        NotFound: If there is no such task.
        WrongState: If it has ended, or Lightcone says that it cannot be resumed now.
        NorthstarError: If Lightcone could not be asked.
    """
    task = await _living(engine, task_id, principal=principal)
    if task.state is State.NEEDS_INPUT:
        return await engine.see_through(lambda: _resume_after_a_person(engine, task))
    return await engine.see_through(lambda: _make(engine, task, _RESUME))


async def _resume_after_a_person(engine: Engine, task: Task) -> Steered:
    told = await _inject(engine, task, LOOK_AGAIN)
    done = await _make(engine, task, _RESUME)
    if not _has_arrived(told) and not done.task.state.ended:
        # It may not take messages while it is parked.
        told = await _inject(engine, done.task, LOOK_AGAIN)
        done = replace(done, task=told.task)
    words = _TOLD_TO_LOOK if _has_arrived(told) else _NOT_TOLD_TO_LOOK
    return replace(done, words=f"{done.words} {words}")


def _has_arrived(told: Steered) -> bool:
    return told.receipt is not None and told.receipt.state in (
        ReceiptState.ACCEPTED,
        ReceiptState.QUEUED,
        ReceiptState.PICKED_UP,
    )


_TOLD_TO_LOOK: Final = "Northstar was told to look at the screen again before it acts."
_NOT_TOLD_TO_LOOK: Final = (
    "Northstar could not be told that a person has used its computer: it may act on what it saw before."
)


async def _make(engine: Engine, task: Task, turn: _Turn) -> Steered:
    name = await northstar_id(engine, task)
    asked_at = anyio.current_time()
    await turn.ask(await engine.agent(), name)
    took = f"{anyio.current_time() - asked_at:.1f} s"

    was = task.state

    def tell(draft: Draft) -> None:
        nonlocal was
        was = draft.task.state
        # A resume is written down in any case: what came before it may arrive later, and is to be read as of then.
        if was is not turn.state or turn is _RESUME:
            draft.tell(turn.type, turn.text, happening=turn.happening, payload=turn.payload)

    task = await amend(engine.ledger, task.task_id, tell, clock=engine.clock)
    if was.ended:
        return Steered(
            task=task, words=f"Lightcone confirmed it, but the task has ended meanwhile: {was}.", changed=False
        )
    if was is turn.state:
        return Steered(task=task, words=turn.words_if_so_already, changed=False)
    return Steered(task=task, words=turn.words.format(took=took))


async def inject(engine: Engine, task_id: str, message: str, *, principal: str) -> Steered:
    """Say something to Northstar; it reads it at its next step. It is written down before it is sent.

    Raises:
        NotFound: If there is no such task.
        WrongState: If it has ended.
        NorthstarError: If Lightcone's id of the task cannot be learnt, so that nothing was sent.
    """
    task = await _living(engine, task_id, principal=principal)
    return await engine.see_through(lambda: _inject(engine, task, message))


async def _inject(engine: Engine, task: Task, message: str) -> Steered:
    name = await northstar_id(engine, task)
    receipt = Receipt(
        message_id=f"msg_{secrets.token_urlsafe(9)}",
        task_id=task.task_id,
        message=message,
        state=ReceiptState.UNKNOWN,
        seq=0,
        at=engine.clock.now(),
    )

    def announce(draft: Draft) -> None:
        if draft.task.state.ended:
            raise WrongState(f"The task has ended ({draft.task.state}): the message was not sent.", sent=False)
        seq = draft.tell(EventType.MESSAGE, message)
        draft.keep(replace(receipt, seq=seq))

    task = await amend(engine.ledger, task.task_id, announce, clock=engine.clock)
    receipt = replace(receipt, seq=task.seq)
    state, words = await _send(engine, name, message)
    settled = receipt

    def settle(draft: Draft) -> None:
        nonlocal settled
        settled = replace(receipt, state=_as_of(draft.task, state), at=draft.at)
        draft.keep(settled)

    task = await amend(engine.ledger, task.task_id, settle, clock=engine.clock)
    return Steered(task=task, words=words or _WORDS[settled.state], receipt=settled)


_WORDS: Final[Mapping[ReceiptState, str]] = {
    ReceiptState.ACCEPTED: "Lightcone accepted the message; Northstar reads it at its next step.",
    ReceiptState.QUEUED: "Lightcone accepted the message; the task is paused, so Northstar reads it after resume.",
    ReceiptState.TOO_LATE: "The task ended before the message could be read.",
}


async def _send(engine: Engine, name: str, message: str) -> tuple[ReceiptState, str]:
    try:
        await (await engine.agent()).inject(name, message)
    except (WrongState, NotFound) as error:
        return ReceiptState.TOO_LATE, f"Lightcone did not take the message: {error.message}"
    except NorthstarError as error:
        if error.nothing_done:
            return ReceiptState.FAILED, f"The message was not delivered: {error.message}"
        return ReceiptState.UNKNOWN, f"It is not known whether the message arrived: {error.message}"
    return ReceiptState.ACCEPTED, ""


def _as_of(task: Task, state: ReceiptState) -> ReceiptState:
    """An accepted message waits where the task is paused, and is lost where it has ended."""
    if state is not ReceiptState.ACCEPTED:
        return state
    if task.state.ended:
        return ReceiptState.TOO_LATE
    return ReceiptState.QUEUED if task.state in (State.PAUSED, State.NEEDS_INPUT) else ReceiptState.ACCEPTED


async def _living(engine: Engine, task_id: str, *, principal: str) -> Task:
    task = await find(engine, task_id, principal=principal)
    if task.state.ended:
        raise WrongState(
            f"The task has ended ({task.state}).",
            remedy="Call task_status to read its answer; start a new task for more work.",
            sent=False,
        )
    (await engine.agent()).check_ready()
    return task

"""A person's part in a task: what Northstar waits for, what the user said when asked, and what follows from that.

How a user is asked is the host's matter (server/door.py). What was answered is written down as an event, so that nobody is asked the
same thing twice, whichever call, handle or replica asks. Only the user's own answer may come here, never a model's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from northstar_mcp.tasks.amending import amend
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import Event, EventType, Task
from northstar_mcp.tasks.states import State
from northstar_mcp.tasks.steering import resume
from northstar_mcp.tasks.watching import find

MOST_DISMISSALS: Final = 3
"""How often a question that the user closed, or left unanswered, is put at most."""

_NEWEST: Final = 50  # events among which the reason is looked for; little happens while a person is waited for


class Outcome(StrEnum):
    """What came of asking the user."""

    OPENED = "opened"  # they went to the live view
    DONE = "done"  # they say that they have done their part
    DECLINED = "declined"
    DISMISSED = "dismissed"  # closed, or not answered in time


class Question(StrEnum):
    """What the user can be asked while a task waits for them."""

    STEP_IN = "step_in"  # go to the live view?
    DONE = "done"  # have you done it?


_WORDS: Final[Mapping[Outcome, str]] = {
    Outcome.OPENED: "The user was sent to the live view.",
    Outcome.DONE: "The user says that they have done their part.",
    Outcome.DECLINED: "The user declined.",
    Outcome.DISMISSED: "The user was asked and gave no answer.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a task waits for a person to do.

    Attributes:
        seq: Of the event that said so; it names this need.
        text: Why, in a line. It may quote a screen.
        outcomes: What the user has answered about it so far, oldest first.
    """

    task: Task
    seq: int
    text: str
    outcomes: tuple[Outcome, ...] = ()

    @property
    def question(self) -> Question | None:
        """What is to be asked next; None where the user has said all there is."""
        if Outcome.DECLINED in self.outcomes or Outcome.DONE in self.outcomes:
            return None
        if self.outcomes.count(Outcome.DISMISSED) >= MOST_DISMISSALS or self.task.live_view_url is None:
            return None
        return Question.DONE if Outcome.OPENED in self.outcomes else Question.STEP_IN

    @property
    def key(self) -> str:
        """Names the next question; never given to another one."""
        return f"person-{self.seq}-{len(self.outcomes)}"


async def need_of(engine: Engine, task_id: str, *, principal: str) -> Need | None:
    """What the task waits for a person to do; None where it does not wait for one.

    Raises:
        NotFound: If there is no such task.
    """
    task = await find(engine, task_id, principal=principal)
    if task.state is not State.NEEDS_INPUT:
        return None
    events = await engine.ledger.events(task_id, after=max(0, task.seq - _NEWEST), limit=_NEWEST)
    return _need(task, [event for event in events if event.seq <= task.seq])


async def answered(engine: Engine, need: Need, outcome: Outcome, *, principal: str) -> str:
    """Write down what the user said, and let the task go on where they have done their part. Answers a sentence about it.

    Raises:
        NorthstarError: If it cannot be written down, or Lightcone cannot be told.
    """

    def tell(draft: Draft) -> None:
        if draft.task.state is State.NEEDS_INPUT:
            draft.tell(EventType.ANSWERED, _WORDS[outcome], payload={"need": need.seq, "outcome": str(outcome)})

    await amend(engine.ledger, need.task.task_id, tell, clock=engine.clock)
    if outcome is not Outcome.DONE:
        return _WORDS[outcome]
    resumed = await resume(engine, need.task.task_id, principal=principal)
    return f"{_WORDS[outcome]} {resumed.words}"


def _need(task: Task, events: list[Event]) -> Need | None:
    """The first reason since the task began to wait, unless the assistant has asked for something else since."""
    reason: Event | None = None
    outcomes: list[Outcome] = []
    for event in events:
        if event.type is EventType.RESUMED:
            reason, outcomes = None, []
        elif event.type is EventType.NEEDS_INPUT and (reason is None or "asked_by" in event.payload):
            reason, outcomes = event, []
        elif event.type is EventType.ANSWERED and reason is not None and event.payload.get("need") == reason.seq:
            outcomes.append(Outcome(str(event.payload["outcome"])))
    if reason is None:
        return None
    return Need(task=task, seq=reason.seq, text=reason.text, outcomes=tuple(outcomes))

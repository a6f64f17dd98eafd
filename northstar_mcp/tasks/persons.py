"""A person's part in a task: what Northstar waits for, what the user said when asked, and what follows from that.

How a user is asked is the host's matter (server/door.py). What was answered is written down as an event, so that nobody is asked the
same thing twice, whichever call, handle or replica asks, and only while that very question is open. Only the user's own answer may
come here, never a model's.
"""

from collections.abc import Mapping, Sequence
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

_PAGE: Final = 100  # events looked through at a time, from the newest back


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
_UNWILLING: Final = frozenset({Outcome.DECLINED, Outcome.DISMISSED})
_TOO_LATE: Final = "The user's answer came too late: the question was answered or over by then."


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
        """What is to be asked next; None where the user has said all there is.

        Who said that they were done, and whose task still waits, is asked again: it could not be resumed then.
        """
        if Outcome.DECLINED in self.outcomes or self.task.live_view_url is None:
            return None
        if self.outcomes.count(Outcome.DISMISSED) >= MOST_DISMISSALS:
            return None
        return Question.DONE if {Outcome.OPENED, Outcome.DONE} & set(self.outcomes) else Question.STEP_IN

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
    return _need(task, await _since_it_went_on(engine, task))


async def answered(engine: Engine, need: Need, outcome: Outcome, *, principal: str) -> str:
    """Write down what the user said, if its question is still open, and let the task go on where they have done their part.

    An aborted call frees the caller; what was begun goes on. Answers a sentence about it.

    Raises:
        NorthstarError: If it cannot be written down, or Lightcone cannot be told.
    """
    return await engine.see_through(lambda: _answer(engine, need, outcome, principal=principal))


async def _answer(engine: Engine, need: Need, outcome: Outcome, *, principal: str) -> str:
    while not await _written_down(engine, need, outcome):
        # The task has changed between the look and the writing: somebody else may have answered.
        now = await need_of(engine, need.task.task_id, principal=principal)
        if now is None or now.key != need.key:
            return _TOO_LATE
        need = now
    if outcome is not Outcome.DONE:
        return _WORDS[outcome]
    resumed = await resume(engine, need.task.task_id, principal=principal)
    return f"{_WORDS[outcome]} {resumed.words}"


async def _written_down(engine: Engine, need: Need, outcome: Outcome) -> bool:
    """False where the task is not as it was when the need was looked at; then nothing was written."""
    as_it_was = False

    def tell(draft: Draft) -> None:
        nonlocal as_it_was
        as_it_was = draft.task.revision == need.task.revision
        if as_it_was:
            draft.tell(EventType.ANSWERED, _WORDS[outcome], payload={"need": need.seq, "outcome": str(outcome)})

    await amend(engine.ledger, need.task.task_id, tell, clock=engine.clock)
    return as_it_was


async def _since_it_went_on(engine: Engine, task: Task) -> Sequence[Event]:
    """The task's events since it last went on, oldest first."""
    found: list[Event] = []
    before = task.seq
    while before > 0:
        after = max(0, before - _PAGE)
        page = [
            event for event in await engine.ledger.events(task.task_id, after=after, limit=_PAGE) if event.seq <= before
        ]
        resumed = [event.seq for event in page if event.type is EventType.RESUMED]
        found[:0] = [event for event in page if not resumed or event.seq > resumed[-1]]
        if resumed:
            break
        before = after
    return found


def _need(task: Task, events: Sequence[Event]) -> Need | None:
    """The first reason since the task began to wait, unless the assistant has asked for something else since."""
    reason: Event | None = None
    outcomes: list[Outcome] = []
    for event in events:
        if event.type is EventType.NEEDS_INPUT and (reason is None or "asked_by" in event.payload):
            # Who would not, or did not answer, is not asked the more for being asked for something else.
            reason, outcomes = event, [each for each in outcomes if each in _UNWILLING]
        elif event.type is EventType.ANSWERED and reason is not None and event.payload.get("need") == reason.seq:
            outcomes.append(Outcome(str(event.payload["outcome"])))
    if reason is None:
        return None
    return Need(task=task, seq=reason.seq, text=reason.text, outcomes=tuple(outcomes))

"""Task states and the moves between them.

Everything that can change a task's state is in TRANSITIONS; nothing else may. This file knows neither HTTP nor MCP, reads no clock
and does no I/O: it is told what happened and answers with the next state, or refuses and changes nothing.

How it is meant to be read: a `Happening` is a fact that somebody learnt (a frame arrived, a call was confirmed, a deadline passed). A
state is what we are willing to claim because of it. `unknown` is an end in which nothing better can be claimed: the stream ended and
Lightcone would not say how. No end is ever left again, so that an answer, once given, stays true.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """What is claimed of a task."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    NEEDS_INPUT = "needs_input"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    OUT_OF_STEPS = "out_of_steps"
    OUT_OF_TIME = "out_of_time"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """True for the states that no task leaves."""
        return self in ENDS

    @property
    def rests(self) -> bool:
        """True where it has ended and nothing of it can act any more; a task that went out of sight may."""
        return self.ended and self is not State.UNKNOWN


class Happening(StrEnum):
    """A fact that may change a task's state."""

    STARTED = "started"  # Lightcone says that the task runs
    ACTED = "acted"  # Northstar took a step
    PAUSE_CONFIRMED = "pause_confirmed"
    RESUME_CONFIRMED = "resume_confirmed"
    PERSON_NEEDED = "person_needed"  # a log-in, a parked computer: only a person can go on
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"  # cancelled or terminated, by us or elsewhere
    STEPS_EXHAUSTED = "steps_exhausted"
    TIME_EXHAUSTED = "time_exhausted"
    START_REFUSED = "start_refused"  # Lightcone refused it: nothing runs
    LOST = "lost"  # it ended, or went out of sight, and nobody says how

    @property
    def ends(self) -> bool:
        """True where a running task ends by this."""
        return self in _ENDINGS


class IllegalMove(Exception):
    """This cannot happen to a task in that state. Nothing was changed."""

    def __init__(self, state: State, happening: Happening) -> None:
        super().__init__(f"{happening} cannot happen to a task that is {state}")
        self.state = state
        self.happening = happening


_ENDINGS: Final[Mapping[Happening, State]] = {
    Happening.COMPLETED: State.COMPLETED,
    Happening.FAILED: State.FAILED,
    Happening.STOPPED: State.STOPPED,
    Happening.STEPS_EXHAUSTED: State.OUT_OF_STEPS,
    Happening.TIME_EXHAUSTED: State.OUT_OF_TIME,
    Happening.LOST: State.UNKNOWN,
}

TRANSITIONS: Final[Mapping[State, Mapping[Happening, State]]] = MappingProxyType(
    {
        State.STARTING: {
            Happening.STARTED: State.RUNNING,
            Happening.ACTED: State.RUNNING,
            Happening.PAUSE_CONFIRMED: State.PAUSED,
            Happening.RESUME_CONFIRMED: State.RUNNING,
            Happening.PERSON_NEEDED: State.NEEDS_INPUT,
            Happening.START_REFUSED: State.FAILED,
            **_ENDINGS,
        },
        State.RUNNING: {
            Happening.STARTED: State.RUNNING,
            Happening.ACTED: State.RUNNING,
            Happening.PAUSE_CONFIRMED: State.PAUSED,
            Happening.RESUME_CONFIRMED: State.RUNNING,
            Happening.PERSON_NEEDED: State.NEEDS_INPUT,
            **_ENDINGS,
        },
        # A step that was under way when the pause was confirmed still arrives: it does not end the pause.
        State.PAUSED: {
            Happening.STARTED: State.PAUSED,
            Happening.ACTED: State.PAUSED,
            Happening.PAUSE_CONFIRMED: State.PAUSED,
            Happening.RESUME_CONFIRMED: State.RUNNING,
            Happening.PERSON_NEEDED: State.NEEDS_INPUT,
            **_ENDINGS,
        },
        # The same holds here. A pause does not end it either: a person is still needed.
        State.NEEDS_INPUT: {
            Happening.STARTED: State.NEEDS_INPUT,
            Happening.ACTED: State.NEEDS_INPUT,
            Happening.PAUSE_CONFIRMED: State.NEEDS_INPUT,
            Happening.RESUME_CONFIRMED: State.RUNNING,
            Happening.PERSON_NEEDED: State.NEEDS_INPUT,
            **_ENDINGS,
        },
        State.COMPLETED: {},
        State.FAILED: {},
        State.STOPPED: {},
        State.OUT_OF_STEPS: {},
        State.OUT_OF_TIME: {},
        State.UNKNOWN: {},
    }
)

ENDS: Final[frozenset[State]] = frozenset(state for state, moves in TRANSITIONS.items() if not moves)
"""The states that no task leaves."""


def after(state: State, happening: Happening) -> State:
    """The state of a task in `state` once `happening` is known.

    Raises:
        IllegalMove: If that cannot happen to a task in this state.
    """
    try:
        return TRANSITIONS[state][happening]
    except KeyError:
        raise IllegalMove(state, happening) from None

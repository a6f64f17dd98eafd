"""Exit codes: what a script learns from how a task ended."""

from collections.abc import Mapping
from typing import Final

from northstar_mcp.tasks.states import State

NOT_FOLLOWED: Final = 8
"""The task goes on at Lightcone, and this command no longer watches it."""

EXIT_CODES: Final[Mapping[State, int]] = {
    State.COMPLETED: 0,
    State.FAILED: 1,
    State.STOPPED: 3,
    State.OUT_OF_STEPS: 4,
    State.OUT_OF_TIME: 5,
    State.NEEDS_INPUT: 6,
    State.UNKNOWN: 7,
}
"""2 is a usage error, as everywhere."""

EXPLAINED: Final = """\
Exit codes:

\b
  0  completed
  1  failed, or it could not be started
  2  wrong usage
  3  stopped elsewhere
  4  out of steps
  5  out of time
  6  a person must act (only where there is no terminal to ask at)
  7  unknown: Lightcone would not say how it ended
  8  detached: the task goes on
130  interrupted, and the task was asked to stop
"""


def exit_code(state: State) -> int:
    """The exit code for a task that is no longer watched in this state."""
    return EXIT_CODES.get(state, NOT_FOLLOWED)

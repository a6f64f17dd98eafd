"""Which colour means what, everywhere on the terminal."""

from collections.abc import Mapping
from typing import Final

from northstar_mcp.tasks.model import EventType
from northstar_mcp.tasks.states import State

STATE_STYLES: Final[Mapping[State, str]] = {
    State.STARTING: "blue",
    State.RUNNING: "blue",
    State.PAUSED: "yellow",
    State.NEEDS_INPUT: "magenta",
    State.COMPLETED: "green",
    State.FAILED: "red",
    State.STOPPED: "yellow",
    State.OUT_OF_STEPS: "yellow",
    State.OUT_OF_TIME: "yellow",
    State.UNKNOWN: "red",
}

EVENT_STYLES: Final[Mapping[EventType, str]] = {
    EventType.ACTION: "cyan",
    EventType.THINKING: "dim",
    EventType.PROGRESS: "dim",
    EventType.PROBLEM: "yellow",
    EventType.GAP: "yellow",
    EventType.NEEDS_INPUT: "magenta",
    EventType.MESSAGE: "magenta",
    EventType.PAUSED: "yellow",
    EventType.RESUMED: "blue",
    EventType.COMPLETED: "green",
    EventType.FAILED: "red",
    EventType.LOST: "red",
    EventType.STOP_REQUESTED: "yellow",
    EventType.STOPPED: "yellow",
    EventType.OUT_OF_STEPS: "yellow",
    EventType.OUT_OF_TIME: "yellow",
}
"""Events that are not listed have no colour."""

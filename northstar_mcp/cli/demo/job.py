"""What the demo asks of Northstar. Data only."""

from dataclasses import dataclass, replace
from typing import Final, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One task, and how patient the demo is with it.

    Attributes:
        message: What is said to Northstar while it is paused.
        watch_seconds: How long the first call waits, so that the pause comes in the middle of the work.
        wait_seconds: How long each later call waits.
        most_seconds: After so long the demo gives up.
    """

    instruction: str
    message: str
    max_steps: int
    start_url: str | None = None
    watch_seconds: float
    wait_seconds: int
    most_seconds: float

    def at_pace(self, step_seconds: float) -> Self:
        """The same job where a step takes so long: the pause still comes in the middle of the work."""
        return replace(self, watch_seconds=round(min(self.watch_seconds * step_seconds, 45), 1))


SIMULATED: Final = Job(
    instruction=(
        "Open news.example.com, read the headlines, scroll down, find the three top stories, open the first story and "
        "report their titles and points."
    ),
    message="Also read how many comments the first story has.",
    max_steps=30,
    watch_seconds=6,
    wait_seconds=20,
    most_seconds=90,
)

LIVE: Final = Job(
    instruction=(
        "Read the titles and points of the five top stories on this page. Then open the comments of the first story and "
        "report who wrote the first comment."
    ),
    message="Also report how many comments the first story has.",
    start_url="https://news.ycombinator.com/",
    max_steps=25,
    watch_seconds=12,
    wait_seconds=30,
    most_seconds=600,
)

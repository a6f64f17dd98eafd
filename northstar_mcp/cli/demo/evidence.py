"""What must have come over the wire for the demo to have shown what it promises."""

from dataclasses import dataclass, field
from typing import Final

TOOLS: Final = frozenset({"start_task", "task_status", "pause", "resume", "inject_message", "task_screenshot"})
"""Without these there is nothing to show."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was promised, and whether it happened."""

    words: str
    happened: bool


@dataclass(slots=True, kw_only=True)
class Evidence:
    """Filled while the story is told."""

    tools: frozenset[str] = frozenset()
    progress: int = 0
    paused: bool = False
    message_taken: bool = False
    resumed: bool = False
    state: str = ""
    result: str = ""
    picture: str = ""
    faults: list[str] = field(default_factory=list)

    def items(self) -> tuple[Item, ...]:
        """Everything that was promised."""
        return (
            Item(f"{len(self.tools)} tools listed", self.tools >= TOOLS),
            Item(f"{self.progress} progress notifications", self.progress > 0),
            Item("paused", self.paused),
            Item("message taken", self.message_taken),
            Item("resumed", self.resumed),
            Item(f"state {self.state or 'never learnt'}", self.state == "completed"),
            Item("result", bool(self.result)),
            Item("screenshot", bool(self.picture)),
        )

    @property
    def complete(self) -> bool:
        """Whether all of it happened, and nothing went wrong."""
        return not self.faults and all(item.happened for item in self.items())

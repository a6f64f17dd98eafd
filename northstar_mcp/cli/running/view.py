"""What the attendant shows a task on: a panel on a terminal, plain lines elsewhere."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, Self

from northstar_mcp.tasks.model import Event, EventType, Task


class View(Protocol):
    """Shows one task while its block lasts. Everything goes to stderr; stdout is for the result."""

    @property
    def can_ask(self) -> bool:
        """Whether somebody sits there who can answer."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_exception: object) -> None: ...

    def see(self, task: Task) -> None:
        """The task as it stands now."""
        ...

    def tell(self, event: Event) -> None:
        """One thing that happened."""
        ...

    def say(self, text: str) -> None:
        """Something about the task that is no event."""
        ...

    def aside(self) -> AbstractContextManager[None]:
        """Step aside for a question."""
        ...


def without_echoes() -> Callable[[Event], bool]:
    """Tells which events say something in words that has not just been said: not every screenshot, not each "working"."""
    last_progress = ""

    def worth_telling(event: Event) -> bool:
        nonlocal last_progress
        if event.type is EventType.PROGRESS:
            echo, last_progress = event.text == last_progress, event.text
            return not echo
        return event.type is not EventType.SCREENSHOT

    return worth_telling


def view_for_here() -> View:
    """The view that suits where stderr goes."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        from northstar_mcp.cli.running.panel import PanelView

        return PanelView(console)
    from northstar_mcp.cli.running.lines import LineView

    return LineView()

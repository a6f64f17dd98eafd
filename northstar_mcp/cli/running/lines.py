"""The plain view: one line on stderr for each thing that happened. For logs, pipes and terminals that cannot draw."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from northstar_mcp.cli.running.view import without_echoes
from northstar_mcp.cli.words import one_line, printable, shortened
from northstar_mcp.tasks.model import Event, Task

_LONGEST: Final = 160


class LineView:
    """Prints; never moves the cursor, never asks unless both ends are a terminal."""

    def __init__(self) -> None:
        self._named = False
        self._worth_telling = without_echoes()

    @property
    def can_ask(self) -> bool:
        return sys.stdin.isatty() and sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        pass

    def see(self, task: Task) -> None:
        if not self._named:
            self._named = True
            self.say(f"{task.task_id} {task.state}")

    def tell(self, event: Event) -> None:
        if self._worth_telling(event):
            self.say(f"{event.seq:>5}  {event.type:<14} {shortened(one_line(event.text), _LONGEST)}")

    def say(self, text: str) -> None:
        if text:
            print(printable(text), file=sys.stderr, flush=True)

    @contextmanager
    def aside(self) -> Iterator[None]:
        yield

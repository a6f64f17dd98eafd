"""The live panel: what was asked, how far it is, and the last things that happened.

What stands in an event may quote a web page: it is shown as plain text, never as markup, without control characters.
"""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from northstar_mcp.cli.facts import seconds_spent
from northstar_mcp.cli.palette import EVENT_STYLES, STATE_STYLES
from northstar_mcp.cli.running.view import without_echoes
from northstar_mcp.cli.words import duration, one_line, shortened
from northstar_mcp.tasks.model import Event, Task

_EVENTS_SHOWN: Final = 8
_INSTRUCTION_LINES: Final = 3
_BAR_WIDTH: Final = 28
_WIDEST: Final = 110


class PanelView:
    """Redraws itself four times a second, from values that are replaced whole: the drawing thread never sees half a change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._task: Task | None = None
        self._events: deque[Event] = deque(maxlen=_EVENTS_SHOWN)
        self._note = ""
        self._worth_telling = without_echoes()
        self._live = Live(
            get_renderable=self._draw, console=console, refresh_per_second=4, transient=False, auto_refresh=True
        )

    @property
    def can_ask(self) -> bool:
        return sys.stdin.isatty()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._note = ""
        self._live.stop()

    def see(self, task: Task) -> None:
        self._task = task

    def tell(self, event: Event) -> None:
        if self._worth_telling(event):
            self._events.append(event)

    def say(self, text: str) -> None:
        self._note = text

    @contextmanager
    def aside(self) -> Iterator[None]:
        self._live.transient = True
        self._live.stop()
        try:
            yield
        finally:
            self._live.transient = False
            self._live.start(refresh=True)

    def _draw(self) -> RenderableType:
        return Text("Opening the record …", style="dim") if self._task is None else self._panel(self._task)

    def _panel(self, task: Task) -> Panel:
        style = STATE_STYLES[task.state]
        parts: list[RenderableType] = [_instruction(task, self._width), Text(), _progress(task)]
        if self._events:
            parts += [Text(), _happenings(tuple(self._events))]
        if self._note:
            parts += [Text(), Text(self._note, style="bold")]
        return Panel(
            Padding(Group(*parts), (1, 2)),
            title=Text.assemble("Northstar · ", (str(task.state).replace("_", " "), f"bold {style}")),
            title_align="left",
            subtitle=Text(
                task.task_id if task.state.ended else f"{task.task_id} · Ctrl-C to stop or detach", style="dim"
            ),
            subtitle_align="left",
            border_style=style,
            width=self._width,
        )

    @property
    def _width(self) -> int:
        return min(self._console.width, _WIDEST)


def _instruction(task: Task, width: int) -> Text:
    most = max(20, (width - 8) * _INSTRUCTION_LINES)
    return Text(shortened(one_line(task.request.instruction[: most * 4]), most), style="bold")


def _progress(task: Task) -> Table:
    row = Table.grid(padding=(0, 2))
    most = task.request.max_steps
    # The bar shows how much of the allowance is used: nobody knows how many steps a task needs.
    row.add_row(
        ProgressBar(
            total=most,
            completed=min(task.steps, most),
            width=_BAR_WIDTH,
            complete_style=STATE_STYLES[task.state],
            finished_style=STATE_STYLES[task.state],
        ),
        Text(f"step {task.steps} of at most {most}"),
        Text(duration(seconds_spent(task)), style="dim"),
    )
    return row


def _happenings(events: tuple[Event, ...]) -> Table:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", justify="right", no_wrap=True)
    rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    rows.expand = True
    for event in events:
        style = EVENT_STYLES.get(event.type, "")
        kind = Text(str(event.type).replace("_", " "), style=style or "dim")
        rows.add_row(str(event.seq), kind, Text(one_line(event.text), style=style))
    return rows

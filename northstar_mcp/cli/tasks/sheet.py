"""`tasks show` as a page: what was asked, how it stands, what happened, what came of it."""

from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from northstar_mcp.cli.facts import seconds_spent
from northstar_mcp.cli.failures import remedy_of
from northstar_mcp.cli.palette import EVENT_STYLES, STATE_STYLES
from northstar_mcp.cli.words import ago, duration, moment, one_line, printable
from northstar_mcp.tasks.model import Event, Task
from northstar_mcp.tasks.watching import View

_WIDE: Final = 10_000  # where nobody looks at it on a screen, nothing is wrapped


def print_sheet(view: View) -> None:
    """The page, on stdout."""
    console = Console(highlight=False)
    if console.is_terminal:
        _draw(console, view)
        return
    console = Console(highlight=False, width=_WIDE)
    with console.capture() as page:
        _draw(console, view)
    print("\n".join(line.rstrip() for line in page.get().splitlines()))


def _draw(console: Console, view: View) -> None:
    console.print(_facts(view.task))
    if view.events:
        console.print()
        if view.omitted:
            console.print(f"{view.omitted} earlier events are not shown: --events shows more.", style="dim")
        console.print(_happenings(view.events))
    for receipt in view.receipts:
        console.print(Text.assemble(("message ", "dim"), one_line(receipt.message), (f"  {receipt.state}", "magenta")))
    if view.task.result:
        console.print()
        console.print(Text(printable(view.task.result)))


def _facts(task: Task) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in _rows(task):
        if value is not None:
            grid.add_row(name, value)
    return grid


def _rows(task: Task) -> list[tuple[str, RenderableType | None]]:
    state = Text(str(task.state).replace("_", " "), style=f"bold {STATE_STYLES[task.state]}")
    return [
        ("task", task.task_id),
        ("state", state),
        ("instruction", Text(printable(task.request.instruction))),
        ("steps", f"{task.steps} of at most {task.request.max_steps}"),
        ("started", f"{moment(task.created_at)} ({_how_long(task)})"),
        ("computer", task.computer_id),
        ("live view", task.live_view_url),
        ("at Lightcone", task.northstar_task_id),
        ("limits", Text("\n".join(task.clamped)) if task.clamped else None),
        ("error", _error(task)),
    ]


def _how_long(task: Task) -> str:
    seconds = seconds_spent(task)
    return ago(seconds) if task.ended_at is None else f"took {duration(seconds)}"


def _error(task: Task) -> Text | None:
    if task.error is None:
        return None
    return Text(printable(f"{task.error.message} {remedy_of(task.error)}".strip()), style="red")


def _happenings(events: tuple[Event, ...]) -> Table:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", justify="right", no_wrap=True)
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for event in events:
        style = EVENT_STYLES.get(event.type, "")
        at = event.at.astimezone().strftime("%H:%M:%S")
        kind = Text(str(event.type).replace("_", " "), style=style or "dim")
        rows.add_row(str(event.seq), at, kind, Text(one_line(event.text), style=style))
    return rows

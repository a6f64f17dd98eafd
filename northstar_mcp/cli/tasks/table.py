"""`tasks list` as a table: on a terminal as wide as it is, elsewhere with nothing cut."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from northstar_mcp.cli.palette import STATE_STYLES
from northstar_mcp.cli.words import ago, one_line, short_ids, shortened
from northstar_mcp.tasks.model import Task

_OTHER_COLUMNS: Final = 2 + 12 + 2 + 5 + 2 + 10 + 2 + 2
"""What state, steps and start take at most, with the space between."""

_LEAST_ROOM: Final = 12


def print_table(tasks: Sequence[Task], *, more: bool) -> None:
    """The tasks, newest first, on stdout."""
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        _print_plain(tasks)
        return
    if not tasks:
        console.print("No tasks yet.", style="dim")
        return
    names = short_ids(task.task_id for task in tasks)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("task", "state", "steps", "started"):
        table.add_column(name, no_wrap=True, justify="right" if name == "steps" else "left")
    table.add_column("instruction", no_wrap=True)
    room = console.width - _OTHER_COLUMNS - max(map(len, names.values()))
    for task in tasks:
        state = Text(str(task.state).replace("_", " "), style=STATE_STYLES[task.state])
        # Cut here: rich would cut the other columns as well.
        words = Text(shortened(one_line(task.request.instruction[:500]), max(room, _LEAST_ROOM)))
        table.add_row(names[task.task_id], state, str(task.steps), _ago(task), words)
    console.print(table)
    if more:
        console.print("There are older ones: --limit shows more.", style="dim")


def _print_plain(tasks: Sequence[Task]) -> None:
    for task in tasks:
        print(
            f"{task.task_id}  {task.state:<12}  {task.steps:>4}  {task.created_at:%Y-%m-%dT%H:%M:%SZ}  "
            f"{one_line(task.request.instruction)}"
        )


def _ago(task: Task) -> str:
    return ago((datetime.now(UTC) - task.created_at).total_seconds())

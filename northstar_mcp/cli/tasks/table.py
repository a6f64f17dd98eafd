"""`tasks list` as a table: on a terminal as wide as it is, elsewhere with nothing cut."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from northstar_mcp.cli.palette import STATE_STYLES
from northstar_mcp.cli.words import ago, one_line, short_ids
from northstar_mcp.tasks.model import Task


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
    # Least widths, because a long instruction would else make rich squeeze the others.
    table.add_column("task", no_wrap=True, min_width=max(map(len, names.values())))
    table.add_column("state", no_wrap=True, min_width=max(len(task.state) for task in tasks))
    table.add_column("steps", no_wrap=True, min_width=len("steps"), justify="right")
    table.add_column("started", no_wrap=True, min_width=max(len(_ago(task)) for task in tasks))
    table.add_column("instruction", no_wrap=True, overflow="ellipsis")
    for task in tasks:
        state = Text(str(task.state).replace("_", " "), style=STATE_STYLES[task.state])
        words = Text(one_line(task.request.instruction[:500]))
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

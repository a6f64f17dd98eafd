"""What stands there at the end: the result on stdout, everything else on stderr."""

import sys

from northstar_mcp.cli import facts
from northstar_mcp.cli.failures import remedy_of
from northstar_mcp.cli.running.attending import Left
from northstar_mcp.cli.words import duration, printable
from northstar_mcp.tasks.states import State


def report(left: Left, *, as_json: bool) -> int:
    """Say how it ended; answers the exit code."""
    task = left.task
    if task.state.ended:
        _talk(
            f"{_ended(task.state)} after {duration(facts.seconds_spent(task))} and {_steps(task.steps)}: {task.task_id}"
        )
    if task.error is not None:
        _talk(f"{task.error.message}\n{remedy_of(task.error)}".rstrip())
    for line in left.words:
        _talk(line)
    if as_json:
        facts.write(facts.facts_of(task))
    elif task.result:
        print(printable(task.result) if sys.stdout.isatty() else task.result, flush=True)
    return left.code


def _talk(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def _ended(state: State) -> str:
    return str(state).replace("_", " ").capitalize()

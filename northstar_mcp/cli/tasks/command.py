"""`northstar-mcp tasks list|show|watch|resume|stop`."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from northstar_mcp.cli.endings import EXPLAINED
from northstar_mcp.cli.options import common_options, flags_of

if TYPE_CHECKING:
    from northstar_mcp.cli.running.attending import Left
    from northstar_mcp.tasks.engine import Engine
    from northstar_mcp.tasks.model import Json, Task
    from northstar_mcp.tasks.steering import Steered
    from northstar_mcp.tasks.stopping import Stopped
    from northstar_mcp.tasks.watching import View

_STATES: Final = (
    *("starting", "running", "paused", "needs_input", "completed", "failed", "stopped"),
    *("out_of_steps", "out_of_time", "unknown"),
)
_RECENT_EVENTS: Final = 20

_task_id = click.argument("task_id", metavar="ID")
_as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


@click.group(short_help="List, show, watch, resume and stop tasks.")
@common_options(listed=False)
def tasks() -> None:
    """Look at tasks, and act on them. An ID may be shortened as long as only one task begins so."""


@tasks.command("list")
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True, help="Only these (repeatable).")
@click.option(
    "--limit", type=click.IntRange(1, 1000), metavar="N", default=20, show_default=True, help="How many at most."
)
@click.option("--before", metavar="ID", help="Only older ones than this task: `next_cursor` of --json.")
@_as_json
@common_options(listed=False)
@click.pass_context
def list_tasks(
    context: click.Context, states: tuple[str, ...], limit: int, before: str | None, *, as_json: bool
) -> None:
    """List tasks, newest first."""
    from northstar_mcp.cli import facts
    from northstar_mcp.cli.session import with_engine
    from northstar_mcp.tasks import watching
    from northstar_mcp.tasks.model import LOCAL
    from northstar_mcp.tasks.states import State

    async def page(engine: "Engine") -> "tuple[Sequence[Task], str | None]":
        wanted = frozenset(map(State, states)) or None
        return await watching.page(engine, principal=LOCAL, states=wanted, limit=limit, before=before)

    found, cursor = with_engine(flags_of(context), page)
    if as_json:
        facts.write({"tasks": [facts.facts_of(task) for task in found], "next_cursor": cursor})
        return
    from northstar_mcp.cli.tasks.table import print_table

    print_table(found, more=cursor is not None)
    if not found:
        print("There are no such tasks." if states else "No tasks yet.", file=sys.stderr)


@tasks.command()
@_task_id
@click.option(
    "--events", type=click.IntRange(0, 1000), metavar="N", default=50, show_default=True, help="How many at most."
)
@_as_json
@common_options(listed=False)
@click.pass_context
def show(context: click.Context, task_id: str, events: int, *, as_json: bool) -> None:
    """Show one task: how it stands, what happened, what came of it.

    Where it goes on at Lightcone, this first fetches what was missed.
    """
    from northstar_mcp.cli import facts
    from northstar_mcp.cli.session import with_engine
    from northstar_mcp.tasks import watching
    from northstar_mcp.tasks.model import LOCAL

    async def look(engine: "Engine") -> "View":
        from northstar_mcp.cli.tasks.catching_up import catch_up
        from northstar_mcp.cli.tasks.finding import find_by_prefix

        task = await catch_up(engine, await find_by_prefix(engine, task_id))
        return await watching.look(engine, task.task_id, principal=LOCAL, most=events)

    view = with_engine(flags_of(context), look)
    if as_json:
        happened: dict[str, Json] = {
            "events": facts.event_facts(view.events),
            "events_omitted": view.omitted,
            "receipts": facts.receipt_facts(view.receipts),
        }
        facts.write({**facts.facts_of(view.task), **happened})
        return
    from northstar_mcp.cli.tasks.sheet import print_sheet

    print_sheet(view)


@tasks.command(epilog=EXPLAINED)
@_task_id
@_as_json
@common_options(listed=False)
@click.pass_context
def watch(context: click.Context, task_id: str, *, as_json: bool) -> int:
    """Watch a task until it ends, as `run` does."""
    from northstar_mcp.cli.running.report import report
    from northstar_mcp.cli.session import with_engine

    async def attend_to_it(engine: "Engine") -> "Left":
        from northstar_mcp.cli.running.command import attend
        from northstar_mcp.cli.tasks.finding import find_by_prefix

        task = await find_by_prefix(engine, task_id)
        return await attend(engine, task, since_seq=max(0, task.seq - _RECENT_EVENTS))

    return report(with_engine(flags_of(context), attend_to_it), as_json=as_json)


@tasks.command()
@_task_id
@_as_json
@common_options(listed=False)
@click.pass_context
def resume(context: click.Context, task_id: str, *, as_json: bool) -> None:
    """Let a task go on that is paused or waited for a person."""
    from northstar_mcp.cli import facts
    from northstar_mcp.cli.session import with_engine
    from northstar_mcp.tasks.model import LOCAL

    async def go_on(engine: "Engine") -> "Steered":
        from northstar_mcp.cli.tasks.finding import find_by_prefix
        from northstar_mcp.tasks import steering

        task = await find_by_prefix(engine, task_id)
        return await steering.resume(engine, task.task_id, principal=LOCAL)

    resumed = with_engine(flags_of(context), go_on)
    if as_json:
        facts.write({**facts.facts_of(resumed.task), "changed": resumed.changed})
    else:
        print(resumed.words)


@tasks.command()
@_task_id
@_as_json
@common_options(listed=False)
@click.pass_context
def stop(context: click.Context, task_id: str, *, as_json: bool) -> int:
    """Stop a task, and say what was confirmed.

    Lightcone has no call that ends a task. This asks Northstar to stop and, where the computer is the task's own, ends that.
    Exit code 1 where it could not be confirmed that nothing runs any more.
    """
    from northstar_mcp.cli import facts
    from northstar_mcp.cli.running.attending import words_of
    from northstar_mcp.cli.session import with_engine
    from northstar_mcp.tasks.model import LOCAL

    async def end_it(engine: "Engine") -> "Stopped":
        from northstar_mcp.cli.tasks.finding import find_by_prefix
        from northstar_mcp.tasks import stopping

        task = await find_by_prefix(engine, task_id)
        return await stopping.stop(engine, task.task_id, principal=LOCAL)

    stopped = with_engine(flags_of(context), end_it)
    if as_json:
        done: list[Json] = list(stopped.done)
        facts.write({**facts.facts_of(stopped.task), "confirmed": stopped.confirmed, "done": done})
    else:
        print("\n".join(words_of(stopped)), file=sys.stdout if stopped.confirmed else sys.stderr)
    return 0 if stopped.confirmed else 1

"""`northstar-mcp run`: hand over one task and watch it."""

import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from northstar_mcp.cli.endings import EXPLAINED
from northstar_mcp.cli.options import common_options, flags_of

if TYPE_CHECKING:
    from northstar_mcp.cli.running.attending import Left
    from northstar_mcp.tasks.engine import Engine
    from northstar_mcp.tasks.model import Task, TaskRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The command line, as far as it describes the work."""

    instruction: str
    kind: Literal["desktop", "browser"] | None
    start_url: str | None
    max_steps: int | None
    max_seconds: int | None
    model: str | None
    temperature: float | None
    persistent: bool | None
    environment_id: str | None


@click.command(epilog=EXPLAINED)
@click.argument("instruction")
@click.option("--kind", type=click.Choice(["browser", "desktop"]), help="Which computer Northstar gets.")
@click.option("--start-url", metavar="URL", help="The page to begin on.")
@click.option("--max-steps", type=int, metavar="N", help="Steps it may take.")
@click.option("--max-seconds", type=int, metavar="N", help="Time it may take.")
@click.option("--model", help="Which Northstar model.")
@click.option("--temperature", type=float, metavar="X", help="0 to 2.")
@click.option("--persistent", is_flag=True, default=None, help="Keep the computer's state for later tasks.")
@click.option("--environment-id", metavar="ID", help="Begin with a state that was kept.")
@click.option("--new", is_flag=True, help="Start it even where the same task is unfinished; else that one is shown.")
@click.option("--json", "as_json", is_flag=True, help="Write all facts as JSON instead of the result alone.")
@common_options(listed=False)
@click.pass_context
def run(context: click.Context, /, *, new: bool, as_json: bool, **asked: object) -> int:
    """Hand one task to Northstar and watch it until it ends.

    INSTRUCTION says what to do; - reads it from stdin. The result goes to stdout, everything else to stderr. Ctrl-C asks whether to
    stop the task or to leave it running; where there is no terminal to ask at, it stops it.
    """
    from northstar_mcp.cli.running.report import report
    from northstar_mcp.cli.session import with_engine

    asked["instruction"] = sys.stdin.read() if asked["instruction"] == "-" else asked["instruction"]
    work = Asked(**asked)  # type: ignore[arg-type]  # click made each value of the type that its option names
    left = with_engine(flags_of(context), lambda engine: _run(engine, work, new=new))
    return report(left, as_json=as_json)


async def _run(engine: "Engine", asked: Asked, *, new: bool) -> "Left":
    import secrets

    from northstar_mcp.tasks import starting
    from northstar_mcp.tasks.model import LOCAL

    request = request_of(asked, engine)
    started = await starting.start(
        engine,
        request,
        principal=LOCAL,
        caller_key=f"run-{secrets.token_urlsafe(12)}" if new else None,
        confirmed=await _is_confirmed(engine, request),
    )
    if started.reused:
        print("The same task is unfinished: here it is. (--new starts another.)", file=sys.stderr)
    for sentence in started.task.clamped:
        print(sentence, file=sys.stderr)
    return await attend(engine, started.task)


async def _is_confirmed(engine: "Engine", request: "TaskRequest") -> bool:
    """The word of whoever sits at this terminal, where the operator demands one. A script cannot give it."""
    import anyio.to_thread

    why = engine.policy.to_confirm(engine.policy.admit(request).request)
    if why is None or not sys.stdin.isatty():
        return False
    limits = f"at most {request.max_steps} steps and {request.max_duration_seconds} seconds"
    question = f"{request.instruction}\n\n({limits}) {why} Start it?"
    return await anyio.to_thread.run_sync(lambda: click.confirm(question, err=True))


async def attend(engine: "Engine", task: "Task", *, since_seq: int = 0) -> "Left":
    """Watch a task until it ends or is left."""
    from northstar_mcp.cli.running.attending import Attendant
    from northstar_mcp.cli.running.view import view_for_here

    with _signals() as signals, view_for_here() as view:
        return await Attendant(engine, task, view, signals=signals, since_seq=since_seq).attend()


@contextmanager
def _signals() -> Iterator[AsyncIterator[signal.Signals]]:
    import anyio

    if (
        sys.platform == "win32"
    ):  # has no such signals: Ctrl-C cancels the main task there, and the task goes on at Lightcone
        yield _none()
    else:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            yield signals


async def _none() -> AsyncIterator[signal.Signals]:
    import anyio

    await anyio.sleep_forever()
    yield signal.SIGTERM


def request_of(asked: Asked, engine: "Engine") -> "TaskRequest":
    """The request that the command line stands for.

    Raises:
        click.UsageError: If Lightcone would not take it.
    """
    from northstar_mcp.errors import InvalidRequest
    from northstar_mcp.lightcone.params import StartParams
    from northstar_mcp.tasks.model import TaskRequest

    usual = engine.policy
    request = TaskRequest(
        instruction=asked.instruction,
        kind=asked.kind,
        start_url=asked.start_url,
        max_steps=usual.usual_steps if asked.max_steps is None else asked.max_steps,
        max_duration_seconds=usual.usual_duration_seconds if asked.max_seconds is None else asked.max_seconds,
        model=asked.model,
        temperature=asked.temperature,
        persistent=asked.persistent,
        environment_id=asked.environment_id,
    )
    try:
        StartParams.of(request, idempotency_key="checked-before-anything-is-written")
    except InvalidRequest as error:
        raise click.UsageError(error.message, click.get_current_context()) from error
    return request

"""The console script: the fast way from a host to its keeper, and what every failure looks like.

Without arguments this serves the host that started it and imports nothing that only the other commands need, click included: a host
starts it for every conversation and waits for its first answer.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended, as shells count it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    sys.exit(guarded(lambda: _run(given)))


def _run(given: Sequence[str]) -> int:
    if given:
        from northstar_mcp.cli.commands import run_commands

        return run_commands(given)
    if sys.stdin is not None and sys.stdin.isatty():
        from northstar_mcp.cli.welcome import greet

        greet()
        return 0
    return serve_host({})


def serve_host(flags: Mapping[str, str]) -> int:
    """Serve the host that started this process: through its keeper or, where there is none, in this process. The exit code.

    Args:
        flags: The settings of the command line, by name.
    """
    from northstar_mcp.keeper import front, place

    try:
        return front.serve_host(environment(flags))
    except place.NoKeeper as reason:
        if reason.is_news:
            front.say(f"working without a keeper ({reason}). Tasks are followed only while a server runs.")
    from northstar_mcp.cli.serve import serve_over_stdio

    serve_over_stdio(flags)
    return 0


def environment(flags: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a keeper has the same settings as this command line."""
    if not flags:
        return dict(os.environ)
    from northstar_mcp.settings import CONFIG_VARIABLE, environment_name

    variables = {
        CONFIG_VARIABLE if name == "config" else environment_name(name): value for name, value in flags.items()
    }
    return {**os.environ, **variables}


def guarded(work: Callable[[], int]) -> int:
    """The exit code of `work`: a failure that was foreseen is told in a sentence, everything else keeps its traceback."""
    try:
        code = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _leave_stdout()
        return 1
    except Exception as error:
        from northstar_mcp.cli.failures import tell

        if not tell(error):
            raise
        return 1
    return code


def _leave_stdout() -> None:
    """Whoever read the output has gone: let the interpreter's last flush go nowhere, without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""The tree of commands, and how click's own complaints are told.

Importing this imports click and the commands' own declarations; what a command needs to do its work it imports when it runs.
"""

import sys
from collections.abc import Sequence

import click

from northstar_mcp import __version__
from northstar_mcp.cli.demo.command import demo
from northstar_mcp.cli.keeper import keeper
from northstar_mcp.cli.main import INTERRUPTED, serve_host
from northstar_mcp.cli.options import common_options, flags_of
from northstar_mcp.cli.running.command import run
from northstar_mcp.cli.simulate import simulator
from northstar_mcp.cli.tasks.command import tasks

_LOWEST_PORT, _HIGHEST_PORT = 0, 65535


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The key is read from TZAFON_API_KEY. `northstar-mcp demo` needs none.",
)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
@common_options(listed=True)
@click.pass_context
def northstar_mcp(context: click.Context) -> None:
    """Hand computer-use tasks to Northstar from any MCP host.

    Without a command, serves MCP on stdin and stdout, for a host that starts it: through the keeper, a process that works on when the
    host has ended.
    """
    if context.invoked_subcommand is None:
        context.exit(serve_host(flags_of(context)))


@northstar_mcp.command()
@click.option(
    "--stdio",
    "transport",
    flag_value="stdio",
    default="stdio",
    help="On stdin and stdout, in this process (the default).",
)
@click.option("--http", "transport", flag_value="http", help="Over streamable HTTP, at /mcp.")
@click.option(
    "--host", metavar="ADDRESS", default=None, help="Address to listen on, with --http.  [default: 127.0.0.1]"
)
@click.option(
    "--port",
    type=click.IntRange(_LOWEST_PORT, _HIGHEST_PORT),
    metavar="PORT",
    default=None,
    help="Port to listen on, with --http; 0 takes a free one.  [default: 8000]",
)
@click.option(
    "--stateless", is_flag=True, help="Keep no sessions, with --http: for several servers behind one address."
)
@common_options(listed=False)
@click.pass_context
def serve(context: click.Context, transport: str, host: str | None, port: int | None, stateless: bool) -> None:
    """Serve MCP over stdio or HTTP."""
    if transport == "stdio":
        if host is not None or port is not None or stateless:
            raise click.UsageError("--host, --port and --stateless go with --http.", context)
        _serve_stdio(context)
    else:
        if stateless:
            flags_of(context)["http_stateless"] = "on"
        _serve_http(context, host or "127.0.0.1", 8000 if port is None else port)


def _serve_stdio(context: click.Context) -> None:
    from northstar_mcp.cli.serve import serve_over_stdio

    serve_over_stdio(flags_of(context))


def _serve_http(context: click.Context, host: str, port: int) -> None:
    from northstar_mcp.cli.serve import serve_over_http

    try:
        serve_over_http(flags_of(context), host=host, port=port)
    except OSError as error:
        raise click.ClickException(f"Cannot listen on {host} port {port}: {error.strerror or error}.") from error


northstar_mcp.add_command(run)
northstar_mcp.add_command(tasks)
northstar_mcp.add_command(keeper)
northstar_mcp.add_command(demo)
northstar_mcp.add_command(simulator)


def run_commands(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Wrong usage is 2."""
    try:
        code = northstar_mcp.main(list(arguments), prog_name="northstar-mcp", standalone_mode=False)
    except click.exceptions.Abort:
        print(file=sys.stderr)
        return INTERRUPTED
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        print(f"northstar-mcp: {error.format_message()}", file=sys.stderr)
        return error.exit_code
    return code if isinstance(code, int) else 0

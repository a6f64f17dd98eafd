"""`northstar-mcp serve`: the MCP server over stdio or HTTP.

A host's start passes through `serve_over_stdio`, so this module imports nothing at its head that is not needed then; the click
command lies in commands.py.
"""

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial


def serve_over_stdio(flags: Mapping[str, str]) -> None:
    """Serve one host on stdin and stdout until it closes them.

    Raises:
        SettingsInvalid: If the configuration cannot be used.
    """
    with _quick_imports():
        import anyio

        from northstar_mcp.app import serve_stdio
        from northstar_mcp.server import surface  # noqa: F401 - the app asks for it a moment later
        from northstar_mcp.settings import Settings

    anyio.run(serve_stdio, Settings.load(flags=flags, env=os.environ))


@contextmanager
def _quick_imports() -> Iterator[None]:
    """Import without collecting garbage: there is none, and looking for it takes a tenth of the start (docs/benchmarks.md)."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def serve_over_http(flags: Mapping[str, str], *, host: str, port: int) -> None:
    """Serve MCP on a socket until a signal comes.

    Raises:
        SettingsInvalid: If the configuration, or the address, cannot be used.
    """
    import anyio

    from northstar_mcp.app import serve_http
    from northstar_mcp.settings import Settings

    settings = Settings.load(flags=flags, env=os.environ)
    anyio.run(partial(serve_http, settings, host=host, port=port, on_ready=_say_where))


def _say_where(url: str) -> None:
    print(f"Serving MCP at {url}\nCtrl-C ends the server; tasks at Lightcone go on.", file=sys.stderr, flush=True)

"""The entry points of app.py in a process of their own, set from the environment: `python -m tests.app.serving stdio|http`.

Over HTTP, the endpoint's URL is the first line on standard error.
"""

import sys
from functools import partial

import anyio

from northstar_mcp.app import serve_http, serve_stdio
from northstar_mcp.settings import Settings


def ready(url: str) -> None:
    sys.stderr.write(f"{url}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        anyio.run(serve_stdio, Settings.load())
    else:
        anyio.run(partial(serve_http, Settings.load(), port=0, on_ready=ready))

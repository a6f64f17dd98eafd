"""`python -m tests.conformance.everything`: serves until SIGTERM; the endpoint's URL is the first line on standard error.

It reads the same settings as `northstar-mcp serve --http`, and is joined as app.py joins that one.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from northstar_mcp.app import configure_logging, open_app
from northstar_mcp.server import http
from northstar_mcp.server.surface import make_server
from northstar_mcp.settings import Settings
from northstar_mcp.tasks.engine import Engine
from tests.conformance.everything import contents, conversation, jobs, prompts, questions, resources
from tests.conformance.everything.handles import JobHandles


async def main(settings: Settings) -> None:
    """Serve on a free port."""
    configure_logging(settings)
    async with open_app(settings) as engine, JobHandles(jobs.MODES) as handles:

        @asynccontextmanager
        async def as_it_is() -> AsyncIterator[Engine]:
            yield engine

        server = make_server(as_it_is, version="1.2.3", handles=handles)
        for fixtures in (contents, conversation, questions, jobs, resources, prompts):
            fixtures.add_to(server)
        await http.serve(server, port=0, stateless=settings.http_stateless == "on", on_ready=_say_where)


def _say_where(url: str) -> None:
    print(f"Serving the fixtures at {url}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    anyio.run(main, Settings.load())

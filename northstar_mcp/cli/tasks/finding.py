"""Finds a task by its id or by the beginning of it."""

from typing import Final

import click

from northstar_mcp.errors import NotFound
from northstar_mcp.tasks import watching
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import LOCAL, Task

_PAGE: Final = 200
_PAGES: Final = 50  # newest ten thousand tasks; older ones are found by their whole id
_LISTED: Final = 5


class Ambiguous(click.ClickException):
    """A shortened id that fits several tasks."""

    exit_code = 2


async def find_by_prefix(engine: Engine, given: str) -> Task:
    """The task with this id, or the only one whose id begins so.

    Raises:
        NotFound: If there is none.
        Ambiguous: If several begin so.
    """
    try:
        return await watching.find(engine, given, principal=LOCAL)
    except NotFound:
        found = await _beginning_with(engine, given) if given else []
    if not found:
        raise NotFound(f"There is no task {given[:80]!r}.")
    if len(found) > 1:
        listed = "".join(f"\n  {task.task_id}" for task in found[:_LISTED])
        raise Ambiguous(f"{len(found)} tasks begin with {given[:80]!r}; give more of the id:{listed}")
    return found[0]


async def _beginning_with(engine: Engine, given: str) -> list[Task]:
    found: list[Task] = []
    before: str | None = None
    for _ in range(_PAGES):
        tasks, before = await watching.page(engine, principal=LOCAL, limit=_PAGE, before=before)
        found += [task for task in tasks if task.task_id.startswith(given)]
        if before is None:
            break
    return found

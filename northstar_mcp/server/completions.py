"""Completions while a user fills in a prompt or a resource's address: the ids of their tasks, and the kinds of computer.

An id is random, so a task is also found by words of what was asked. Somebody else's tasks never appear.
"""

from collections.abc import Callable
from typing import Any, Final, get_args

from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from northstar_mcp.errors import NorthstarError
from northstar_mcp.server.principals import principal
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import Kind
from northstar_mcp.tasks.watching import page

MOST_VALUES: Final = 100
"""In one answer; the protocol allows no more."""

_LOOKED_AT: Final = 500  # the newest tasks


def add_completions(server: MCPServer[Engine], engine: Callable[[], Engine]) -> None:
    """Answer `completion/complete`. `engine`: the one that is open when it is asked."""

    async def complete(
        ref: PromptReference | ResourceTemplateReference,  # noqa: ARG001 - an argument means the same wherever it is filled in
        argument: CompletionArgument,
        context: CompletionContext | None,  # noqa: ARG001 - nor does it hang on the others
    ) -> Completion | None:
        match argument.name:
            case "task_id":
                return _first(await _task_ids(engine(), argument.value))
            case "kind":
                return _first([kind for kind in get_args(Kind) if kind.startswith(argument.value.lower())])
        return None

    register: Callable[[Any], object] = server.completion()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
    register(complete)


async def _task_ids(engine: Engine, typed: str) -> list[str]:
    try:
        tasks, _ = await page(engine, principal=principal(), limit=_LOOKED_AT)
    except NorthstarError as error:
        raise MCPError(INTERNAL_ERROR, f"{error.message} {error.remedy}".strip()) from None
    words = typed.casefold().split()
    return [
        task.task_id
        for task in tasks
        if task.task_id.startswith(typed) or all(word in task.request.instruction.casefold() for word in words)
    ]


def _first(values: list[str]) -> Completion:
    return Completion(values=values[:MOST_VALUES], total=len(values), has_more=len(values) > MOST_VALUES)

"""Completions while a user fills in a prompt or a resource's address: the ids of their tasks, and the kinds of computer.

An id is random, so a task is also found by words of what was asked. Somebody else's tasks never appear.
"""

import re
from collections.abc import Callable
from typing import Any, Final, get_args

from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from northstar_mcp.errors import NorthstarError
from northstar_mcp.server.fence import clean_line
from northstar_mcp.server.principals import principal
from northstar_mcp.tasks.engine import Engine
from northstar_mcp.tasks.model import Kind
from northstar_mcp.tasks.watching import page

MOST_VALUES: Final = 100
"""In one answer; the protocol allows no more."""

_LOOKED_AT: Final = 500  # the newest tasks
_MAX_TYPED: Final = 200  # characters
_IN_BRACES: Final = re.compile(r"\{(\w+)\}")


def add_completions(server: MCPServer[Engine], engine: Callable[[], Engine]) -> None:
    """Answer `completion/complete`. `engine`: the one that is open when it is asked."""

    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,  # noqa: ARG001 - no argument hangs on the others
    ) -> Completion | None:
        if argument.name not in await _to_fill_in(server, ref):
            return None
        typed = argument.value[:_MAX_TYPED].strip()
        match argument.name:
            case "task_id":
                return await _task_ids(engine(), typed)
            case "kind":
                return _first([kind for kind in get_args(Kind) if kind.startswith(typed.lower())])
        return None

    register: Callable[[Any], object] = server.completion()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
    register(complete)


async def _to_fill_in(server: MCPServer[Engine], ref: PromptReference | ResourceTemplateReference) -> set[str]:
    """The names of what is to be filled in there."""
    if isinstance(ref, PromptReference):
        for prompt in await server.list_prompts():
            if prompt.name == ref.name:
                return {argument.name for argument in prompt.arguments or ()}
        raise MCPError(INVALID_PARAMS, f"There is no prompt {clean_line(ref.name, limit=100)!r}.")
    if ref.uri in [template.uri_template for template in await server.list_resource_templates()]:
        return set(_IN_BRACES.findall(ref.uri))
    raise MCPError(INVALID_PARAMS, f"There is no resource template {clean_line(ref.uri, limit=100)!r}.")


async def _task_ids(engine: Engine, typed: str) -> Completion:
    try:
        tasks, older = await page(engine, principal=principal(), limit=_LOOKED_AT)
    except NorthstarError as error:
        raise MCPError(INTERNAL_ERROR, f"{error.message} {error.remedy}".strip()) from None
    words = typed.casefold().split()
    found = [
        task.task_id
        for task in tasks
        if task.task_id.startswith(typed) or all(word in task.request.instruction.casefold() for word in words)
    ]
    return _first(found, all_seen=older is None)


def _first(values: list[str], *, all_seen: bool = True) -> Completion:
    return Completion(
        values=values[:MOST_VALUES],
        total=len(values) if all_seen else None,
        has_more=len(values) > MOST_VALUES or not all_seen,
    )

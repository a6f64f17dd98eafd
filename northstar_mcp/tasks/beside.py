"""Work that lasts exactly as long as a block."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio


@asynccontextmanager
async def beside(work: Callable[[anyio.CancelScope], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run `work` beside the block, in a task group of this context manager's own; it ends with the block.

    `work` is given the block's cancel scope: cancelling it leaves the block. An error of either ends both and comes out as it is,
    where a task group would wrap it.
    """
    failures: list[Exception] = []

    async def guarded() -> None:
        try:
            await work(group.cancel_scope)
        except Exception as error:  # noqa: BLE001 - raised below, outside the group that would wrap it
            failures.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(guarded)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - as above
            failures.append(error)
        group.cancel_scope.cancel()
    if failures:
        raise failures[0]

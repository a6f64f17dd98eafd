"""The record of one task, in the hand of whoever holds its lease."""

import logging
from collections.abc import Callable, Mapping

import anyio

from northstar_mcp.errors import LedgerUnavailable
from northstar_mcp.tasks.draft import Draft
from northstar_mcp.tasks.model import EventType, Json, Lease, Task, TaskError
from northstar_mcp.tasks.parts import Parts
from northstar_mcp.tasks.ports import LeaseLost, Moved
from northstar_mcp.tasks.states import Happening

_log = logging.getLogger(__name__)


class Record:
    """Reads and writes one task, however long the ledger takes: nothing that arrived is given up while the lease stands."""

    def __init__(self, parts: Parts, task_id: str, lease: Lease) -> None:
        self._parts = parts
        self._task_id = task_id
        self._lease = lease

    async def task(self) -> Task:
        """The task as it stands."""
        while True:
            try:
                task = await self._parts.ledger.get(self._task_id)
            except LedgerUnavailable as error:
                await self._wait(error)
            else:
                if task is None:
                    raise LeaseLost
                return task

    async def write(self, decide: Callable[[Draft], None]) -> Task:
        """Let `decide` change the task, and answer it as it stands then. `decide` may run several times, on newer tasks.

        Raises:
            LeaseLost: If another follows the task now.
        """
        while True:
            task = await self.task()
            try:
                receipts = tuple(await self._parts.ledger.receipts(self._task_id))
                draft = Draft(task, at=self._parts.clock.now(), receipts=receipts, lease=self._lease)
                decide(draft)
                if not draft.changed:
                    return task
                change = draft.change()
                await self._parts.ledger.record(change)
            except Moved:
                continue
            except LedgerUnavailable as error:
                await self._wait(error)
            else:
                return change.task

    async def tell(
        self,
        type: EventType,  # noqa: A002 - the event's own word for it
        text: str,
        *,
        happening: Happening | None = None,
        error: TaskError | None = None,
        payload: Mapping[str, Json] | None = None,
    ) -> Task:
        """Write down one thing that this server found out itself."""

        def decide(draft: Draft) -> None:
            draft.tell(type, text, happening=happening, error=error, payload=payload)

        return await self.write(decide)

    async def _wait(self, error: LedgerUnavailable) -> None:
        _log.warning("task %s waits for the ledger: %s", self._task_id, error)
        await anyio.sleep(self._parts.timing.first_retry_seconds)

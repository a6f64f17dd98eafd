"""Pictures that lie elsewhere are fetched and kept while their addresses are good: they are signed, and expire.

It runs beside the following of a task and is nobody's concern: it reads from the record which pictures there are, so that neither
the stream nor the record waits for it, and a picture that cannot be had is a line in the log. The newest goes first; where pictures
come faster than they can be fetched, those that are no longer among the newest are left out. Behind the task's end there is a little
time for the last one: it shows how the task ended.

Bounds: one picture of a task at a time, `Parts.fetches` of all; NEWEST are looked at; each is tried once, the last one more often.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from northstar_mcp.errors import LedgerUnavailable, NorthstarError, TimedOut
from northstar_mcp.tasks.beside import beside
from northstar_mcp.tasks.model import Screen
from northstar_mcp.tasks.parts import Parts

NEWEST: Final = 8
"""Pictures of a task that are still worth fetching."""

FETCH_SECONDS: Final = 10.0
"""How long one may take, before a newer one has its turn."""

LAST_SECONDS: Final = 10.0
"""How long the last picture is waited for when the task has ended."""

CLOSING_SECONDS: Final = 2.0
"""The same for a process that ends with its task, and waits for this."""

_PAUSE_SECONDS: Final = 0.1  # between looks: what comes in one burst is looked at once

_log = logging.getLogger(__name__)


@asynccontextmanager
async def capturing(parts: Parts, task_id: str) -> AsyncIterator[None]:
    """Keep the task's pictures beside the block, and then, where the task has ended, the last of them.

    In a task group of this context manager's own.
    """
    if not parts.keep_screens:
        yield
        return
    capture = _Capture(parts, task_id)
    async with beside(capture.keep_up):
        try:
            yield
            with anyio.move_on_after(LAST_SECONDS):
                await capture.keep_last()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(CLOSING_SECONDS, shield=True):
                await capture.keep_last()
            raise


async def keep(parts: Parts, task_id: str, seq: int, screen: Screen) -> None:
    """Keep a picture that was fetched for another reason. Where that fails, it is a line in the log."""
    if not parts.keep_screens:
        return
    try:
        await parts.ledger.keep_screen(task_id, seq, screen)
    except LedgerUnavailable as error:
        _log.info("picture %d of task %s was not kept: %s", seq, task_id, error)


class _Capture:
    """Of one task, for as long as it is followed."""

    def __init__(self, parts: Parts, task_id: str) -> None:
        self._parts = parts
        self._task_id = task_id
        self._tried: dict[int, bool] = {}  # which of the newest were, and whether trying again may help
        self._at_work = anyio.Lock()

    async def keep_up(self, _: anyio.CancelScope) -> None:
        """Keep the pictures as they come, the newest first."""
        with self._parts.feed.watch(self._task_id) as watch:
            while True:
                while await self._keep_one():
                    pass
                await watch.changed()
                await anyio.sleep(_PAUSE_SECONDS)

    async def keep_last(self) -> None:
        """Keep the last picture, if the task has ended and it is not kept yet, trying for as long as that may help."""
        try:
            task = await self._parts.ledger.get(self._task_id)
        except LedgerUnavailable as error:
            _log.info("the last picture of task %s was not looked for: %s", self._task_id, error)
            return
        if task is None or not task.state.ended:
            return
        while await self._keep_one(last=True):
            if await self._wanted(last=True) is not None:
                await anyio.sleep(self._parts.timing.first_retry_seconds)

    async def _keep_one(self, *, last: bool = False) -> bool:
        """Try the newest that is worth it; False where there is none."""
        async with self._at_work:
            if await self._wanted(last=last) is None:
                return False
            async with self._parts.fetches:
                # Asked again: a newer one may have come while this one waited for its turn.
                wanted = await self._wanted(last=last)
                if wanted is not None:
                    await self._try(*wanted)
        return True

    async def _wanted(self, *, last: bool) -> tuple[int, str] | None:
        try:
            unkept = await self._parts.ledger.unkept_screens(self._task_id, newest=1 if last else NEWEST)
        except LedgerUnavailable as error:
            _log.info("pictures of task %s were not looked for: %s", self._task_id, error)
            return None
        if not last:
            # What falls out of the newest never comes back, and need not be remembered.
            numbers = {seq for seq, _ in unkept}
            self._tried = {seq: again for seq, again in self._tried.items() if seq in numbers}
        for seq, url in unkept:
            if seq not in self._tried or (last and self._tried[seq]):
                return seq, url
        return None

    async def _try(self, seq: int, url: str) -> None:
        self._tried[seq] = True  # also where it is cancelled
        try:
            await self._parts.ledger.keep_screen(self._task_id, seq, await self._fetch(url))
            self._tried[seq] = False
        except NorthstarError as error:
            self._tried[seq] = error.retryable
            _log.info("picture %d of task %s was not kept: %s", seq, self._task_id, error)
        except Exception as error:  # noqa: BLE001 - a picture must not end the following of its task
            self._tried[seq] = False
            # Without its text, which may quote the address: that is a secret.
            _log.warning("picture %d of task %s was not kept: %s", seq, self._task_id, type(error).__name__)

    async def _fetch(self, url: str) -> Screen:
        with anyio.move_on_after(FETCH_SECONDS):
            return await (await self._parts.agent()).fetch(url)
        raise TimedOut("The picture did not arrive in time.")

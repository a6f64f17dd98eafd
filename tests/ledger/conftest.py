"""Every ledger under one suite: `store` is where one can be opened, again and again and several times at once."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import pytest

from northstar_mcp.ledger import open_ledger
from northstar_mcp.tasks.ports import Feed, Ledger


class AnyLedger(Ledger, Feed, Protocol):
    """What every implementation is."""


class Store(Protocol):
    """A place that holds a ledger."""

    def open(self) -> AbstractAsyncContextManager[AnyLedger]: ...


class SqliteStore:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> AbstractAsyncContextManager[AnyLedger]:
        return open_ledger(self._folder)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a SQLite ledger is to lie; not there yet."""
    return tmp_path / "data"


@pytest.fixture(params=["sqlite"])
def store(request: pytest.FixtureRequest, folder: Path) -> Store:
    return {"sqlite": SqliteStore}[request.param](folder)


@pytest.fixture
async def ledger(store: Store) -> AsyncIterator[AnyLedger]:
    async with store.open() as opened:
        yield opened

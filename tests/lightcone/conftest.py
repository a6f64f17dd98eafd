"""What the tests here share: a server that answers by script, and a client that neither sleeps nor rolls dice."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
import pytest

from northstar_mcp.lightcone.client import LightconeClient

from .scripted import Scripted, scripted

KEY = "sk_test_key"

Pair: TypeAlias = tuple[LightconeClient, Scripted]
Play: TypeAlias = Callable[..., AbstractAsyncContextManager[Pair]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def pauses() -> list[float]:
    """How long the client would have slept between attempts."""
    return []


@pytest.fixture
def play(pauses: list[float]) -> Play:
    """A client, open on a server that answers with these steps; everything bounded by ten seconds."""

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await anyio.lowlevel.checkpoint()

    @asynccontextmanager
    async def playing(*steps: Mapping[str, Any], **options: Any) -> AsyncIterator[Pair]:
        with anyio.fail_after(10):
            async with scripted(steps) as server:
                given: dict[str, Any] = {
                    "api_key": KEY,
                    "base_url": server.url,
                    "sleep": sleep,
                    "random": lambda: 0.0,
                    **options,
                }
                async with LightconeClient(**given) as client:
                    yield client, server

    return playing

"""Settings and engine for one command."""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import anyio

from northstar_mcp.settings import Settings

if TYPE_CHECKING:
    from northstar_mcp.tasks.engine import Engine

T = TypeVar("T")


def settings_of(flags: Mapping[str, str]) -> Settings:
    """The settings as this command sees them: its flags, by name, above the environment and the file.

    Raises:
        SettingsInvalid: If they cannot be used.
    """
    return Settings.load(flags=flags, env=os.environ)


def with_engine(flags: Mapping[str, str], work: "Callable[[Engine], Awaitable[T]]") -> T:
    """Do it with an open engine, in an event loop of its own."""
    return anyio.run(_with_engine, settings_of(flags), work)


async def _with_engine(settings: Settings, work: "Callable[[Engine], Awaitable[T]]") -> T:
    from northstar_mcp.app import configure_logging, open_app

    configure_logging(settings)
    async with open_app(settings) as engine:
        return await work(engine)

"""The options that every command takes: which settings, where from, how talkative.

They stand before the command or behind it; behind it they are not listed again, to keep each help short.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_LEVELS: Final = ("debug", "info", "warning", "error")


def flags_of(context: click.Context) -> dict[str, str]:
    """The settings given on this command line, by name; filled while the command line is read."""
    flags: dict[str, str] = context.find_root().ensure_object(dict)
    return flags


def common_options(*, listed: bool) -> Callable[[Command], Command]:
    """Add them to a command."""
    path = click.Path(path_type=Path)
    options = (
        click.option("--data-dir", type=path, help="Where tasks are recorded.", **_quiet(listed=listed)),
        click.option("--config", type=path, help="The configuration file.", **_quiet(listed=listed)),
        click.option(
            "--log-level", type=click.Choice(_LEVELS), help="How much is logged, on stderr.", **_quiet(listed=listed)
        ),
    )

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _quiet(*, listed: bool) -> dict[str, Any]:
    return {"callback": _keep, "expose_value": False, "hidden": not listed}


def _keep(context: click.Context, parameter: click.Parameter, value: Path | str | None) -> None:
    if value is not None and parameter.name is not None:
        flags_of(context)[parameter.name] = str(value)

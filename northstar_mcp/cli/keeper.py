"""`northstar-mcp keeper status|stop|logs`: the processes that work for this user's hosts in the background."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from northstar_mcp.cli.options import common_options, flags_of

if TYPE_CHECKING:
    from northstar_mcp.keeper.asking import Keeper
    from northstar_mcp.keeper.place import Place

_every = click.option(
    "--all", "every", is_flag=True, help="Every keeper of this user, not only that of these settings."
)


@click.group(short_help="Look at the background process that hosts share, stop it, read its log.")
@common_options(listed=False)
def keeper() -> None:
    """Look at the process that works for the hosts in the background, and act on it.

    A host's `northstar-mcp` starts it where none runs; it ends by itself when no host is connected and no task is unfinished.
    """


@keeper.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@common_options(listed=False)
@click.pass_context
def status(context: click.Context, *, as_json: bool) -> None:
    """Show this user's keepers. The one of these settings is marked with a star."""
    place = _place(context)
    found = _found(place)
    if as_json:
        keepers = [
            {**(one.facts or {"name": one.place.name}), "is_ours": one.place.name == place.name} for one in found
        ]
        print(json.dumps({"keepers": keepers}, indent=2))
        return
    for one in found:
        print(("* " if one.place.name == place.name else "  ") + _line(one))
    if all(one.place.name != place.name for one in found):
        print(
            "The keepers above have other settings than this terminal (a key of their own, perhaps): stop and logs take --all."
            if found
            else "No keeper runs; a host's next start of northstar-mcp starts one."
        )


@keeper.command()
@_every
@common_options(listed=False)
@click.pass_context
def stop(context: click.Context, *, every: bool) -> None:
    """Ask the keeper to end.

    Tasks go on at Lightcone. A connected host gets a new keeper with the next thing it asks for.
    """
    from northstar_mcp.keeper import asking

    place = _place(context)
    found = _found(place)
    stopping = [one for one in found if every or one.place.name == place.name]
    if not stopping:
        print("No keeper runs." if not found else f"No keeper runs with these settings{_others(len(found))}.")
    unmoved = [one for one in stopping if not _stopped(one, asking.stop(one))]
    if unmoved:
        names = ", ".join(str((one.facts or {}).get("pid", one.place.name)) for one in unmoved)
        raise click.ClickException(f"It did not end: {names}. Its log: northstar-mcp keeper logs.")


@keeper.command()
@_every
@common_options(listed=False)
@click.pass_context
def logs(context: click.Context, *, every: bool) -> None:
    """Print what the keeper has logged. NORTHSTAR_MCP_LOG_LEVEL sets how much that is."""
    from northstar_mcp.keeper.asking import log_of, logs_in

    place = _place(context)
    kept = logs_in(place.folder)
    for one in kept if every else [place]:
        print(log_of(one), end="")
    if not every and kept and all(one.name != place.name for one in kept):
        print(f"The keeper of these settings has logged nothing{_others(len(kept))}.", file=sys.stderr)


def _others(count: int) -> str:
    """What else there is: a host's settings are seldom those of a terminal, which has no key."""
    return f", {count} with other settings (--all)"


def _place(context: click.Context) -> "Place":
    from northstar_mcp.cli.main import environment
    from northstar_mcp.keeper.place import NoKeeper, place_of

    try:
        return place_of({**environment(flags_of(context)), "NORTHSTAR_MCP_KEEPER": "on"})
    except NoKeeper as reason:
        raise click.ClickException(f"There is no keeper here: {reason}.") from None


def _found(place: "Place") -> "Sequence[Keeper]":
    from northstar_mcp.keeper.asking import keepers_in

    return keepers_in(place.folder)


def _line(one: "Keeper") -> str:
    if one.facts is None:
        return f"{one.place.name}  does not answer"
    from northstar_mcp.cli.words import ago

    facts = one.facts
    since = ago((datetime.now(UTC) - datetime.fromisoformat(facts["since"])).total_seconds())
    unfinished = "?" if facts["unfinished"] is None else facts["unfinished"]
    return (
        f"pid {facts['pid']}  version {facts['version']}  started {since}  hosts {facts['hosts']}  "
        f"unfinished tasks {unfinished}  {facts['data_dir']}"
    )


def _stopped(one: "Keeper", facts: dict[str, Any] | None) -> bool:
    """Wait for its end and say what that means."""
    from northstar_mcp.keeper.asking import has_ended

    if facts is None or not has_ended(one):
        return False
    print(f"Stopped the keeper with pid {facts['pid']}.")
    if facts["unfinished"]:
        print(
            f"Unfinished tasks ({facts['unfinished']}) go on at Lightcone and are followed again by the next server that starts."
        )
    return True

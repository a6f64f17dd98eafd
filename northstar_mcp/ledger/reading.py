"""What is asked outside a transaction: each function is one question to a read-only connection."""

import json
import logging
import sqlite3
from collections.abc import Sequence

from northstar_mcp.ledger import queries, rows
from northstar_mcp.ledger.rows import column
from northstar_mcp.ledger.screens import ScreenFolder
from northstar_mcp.tasks.model import Event, Receipt, Screen, Task
from northstar_mcp.tasks.states import State

_log = logging.getLogger(__name__)


def task(connection: sqlite3.Connection, task_id: str) -> Task | None:
    """The task with this id."""
    found = connection.execute(queries.TASK, (column(task_id),)).fetchone()
    return None if found is None else rows.task_of(found)


def secret(connection: sqlite3.Connection, name: str) -> bytes | None:
    """The key of this name."""
    found = connection.execute(queries.SHARED_KEY, (name,)).fetchone()
    return None if found is None else bytes(found[0])


def page(
    connection: sqlite3.Connection, principal: str, *, states: frozenset[State] | None, limit: int, before: str | None
) -> Sequence[Task]:
    """A principal's tasks, newest first."""
    wanted = json.dumps(sorted(State if states is None else states))
    if before is None:
        found = connection.execute(queries.PAGE, (column(principal), wanted, limit))
    else:
        owner = column(principal)
        found = connection.execute(queries.PAGE_BEFORE, (owner, wanted, column(before), owner, limit))
    return [task for row in found if (task := _readable(row)) is not None]


def _readable(row: rows.Row) -> Task | None:
    """The task of a row; None where it cannot be read: a newer version may have written it. The others are not its fault."""
    try:
        return rows.task_of(row)
    except (ValueError, KeyError, TypeError):
        _log.warning("the record of task %s cannot be read and is left out", rows.text_of(row[0]))
        return None


def unfinished(connection: sqlite3.Connection) -> Sequence[str]:
    """The ids of all tasks that have not ended."""
    return [rows.text_of(task_id) for (task_id,) in connection.execute(queries.UNFINISHED)]


def events(connection: sqlite3.Connection, task_id: str, *, after: int, limit: int) -> Sequence[Event]:
    """A task's events after a number."""
    return [rows.event_of(row) for row in connection.execute(queries.EVENTS, (column(task_id), after, limit))]


def upstream_ids(connection: sqlite3.Connection, task_id: str) -> frozenset[str]:
    """Lightcone's frame ids that are recorded."""
    return frozenset(rows.text_of(found) for (found,) in connection.execute(queries.UPSTREAM_IDS, (column(task_id),)))


def receipts(connection: sqlite3.Connection, task_id: str) -> Sequence[Receipt]:
    """A task's receipts."""
    return [rows.receipt_of(row) for row in connection.execute(queries.RECEIPTS, (column(task_id),))]


def last_screen(
    connection: sqlite3.Connection, folder: ScreenFolder, task_id: str, seq: int | None, kept: bool
) -> tuple[Event, Screen] | None:
    """The newest picture, the newest whose bytes are kept, or that of one event."""
    if seq is None:
        query = queries.LAST_KEPT_SCREEN if kept else queries.LAST_SCREEN
        found = connection.execute(query, (column(task_id),)).fetchone()
    else:
        found = connection.execute(queries.SCREEN, (column(task_id), seq)).fetchone()
    if found is None:
        return None
    *event_row, url, media_type, name = found
    data = None if name is None else folder.read(task_id, name)
    screen = rows.screen_of(data, url, media_type)
    return None if screen is None else (rows.event_of(tuple(event_row)), screen)


def unkept_screens(connection: sqlite3.Connection, task_id: str, newest: int) -> Sequence[tuple[int, str]]:
    """Of a task's newest pictures those that are at a URL only, newest first."""
    found = connection.execute(queries.NEWEST_SCREENS, (column(task_id), newest))
    return [(seq, rows.text_of(url)) for seq, url, was_kept in found if url is not None and not was_kept]


def kept_files(connection: sqlite3.Connection, task_id: str) -> frozenset[str]:
    """The names of a task's picture files."""
    return frozenset(name for _, name, _ in connection.execute(queries.KEPT_SCREENS, (column(task_id),)))


def ping(connection: sqlite3.Connection) -> None:
    """Nothing, if the database answers."""
    connection.execute(queries.PING).fetchone()

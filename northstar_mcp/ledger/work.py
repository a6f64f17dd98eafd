"""What is done inside a transaction: adding a task, recording a change, leasing.

Each function is one piece of work for the writer: it looks, refuses or writes, and knows nothing of threads or commits.
The write lock is held from its first line, so what it has looked at stays true until it is committed.
"""

import sqlite3
from datetime import datetime

from northstar_mcp.ledger import queries, rows
from northstar_mcp.ledger.checks import ChangeInvalid, RepeatedFrame, check_change
from northstar_mcp.ledger.rows import column, micros, optional_column
from northstar_mcp.ledger.screens import Pictures
from northstar_mcp.ledger.writer import Transaction
from northstar_mcp.tasks.model import Change, Lease, Task
from northstar_mcp.tasks.ports import Leased, LeaseLost, Moved, TooMany


def add_task(
    transaction: Transaction,
    task: Task,
    *,
    repeats_since: datetime,
    most: int | None,
    leased: Leased | None,
    now: int,
) -> Task:
    """Write the task, or answer the one that it repeats."""
    standing = _repeated(transaction.connection, task, repeats_since)
    if standing is not None:
        return standing
    if most is not None:
        _check_count(transaction.connection, task, most)
    if task.seq != 0:
        raise ChangeInvalid(f"{task.task_id} is new and has no events yet, so its seq must be 0, not {task.seq}")
    number = transaction.count_change(task.task_id)
    row = (*rows.task_identity(task), *rows.task_standing(task), number, transaction.origin)
    try:
        transaction.connection.execute(queries.ADD_TASK, row)
    except sqlite3.IntegrityError as error:
        raise ChangeInvalid(f"a task {task.task_id} stands already") from error
    transaction.connection.execute(queries.ADD_REQUEST, (column(task.task_id), rows.request_body(task.request)))
    if leased is not None:
        acquire_lease(transaction, task.task_id, holder=leased.holder, seconds=leased.seconds, now=now)
    return task


def _check_count(connection: sqlite3.Connection, task: Task, most: int) -> None:
    (unfinished,) = connection.execute(queries.COUNT_UNFINISHED, (column(task.principal), task.account)).fetchone()
    if unfinished >= most:
        raise TooMany(unfinished)


def _repeated(connection: sqlite3.Connection, task: Task, repeats_since: datetime) -> Task | None:
    principal = column(task.principal)
    if task.caller_key is not None:
        found = connection.execute(queries.TASK_BY_CALLER_KEY, (principal, column(task.caller_key))).fetchone()
    else:
        since = micros(repeats_since)
        found = connection.execute(queries.TASK_REPEATED, (principal, column(task.fingerprint), since)).fetchone()
    return None if found is None else rows.task_of(found)


def record_change(transaction: Transaction, change: Change, pictures: Pictures) -> None:
    """Write the change, if it was decided on what stands, by someone who may."""
    connection = transaction.connection
    _check_standing(connection, change)
    task = change.task
    number = transaction.count_change(task.task_id)
    connection.execute(
        queries.CHANGE_TASK,
        (optional_column(task.caller_key), *rows.task_standing(task), number, transaction.origin, column(task.task_id)),
    )
    _add_events(connection, change)
    connection.executemany(queries.PUT_RECEIPT, [rows.receipt_row(receipt) for receipt in change.receipts])
    # Last: nothing may refuse any more when files get their names.
    pictures.write(connection, change.events)
    pictures.sync()


def keep_screen(transaction: Transaction, task_id: str, seq: int, pictures: Pictures) -> None:
    """Keep the bytes of a picture whose event is on record, unless they came before. The task is not changed by it."""
    connection = transaction.connection
    if connection.execute(queries.IS_ELSEWHERE, (column(task_id), seq)).fetchone() is not None:
        pictures.write(connection, ())


def _check_standing(connection: sqlite3.Connection, change: Change) -> None:
    """The lease first: who lost it must stop, not read again and decide again."""
    if change.lease is not None:
        _check_lease(connection, change.lease)
    found = connection.execute(queries.TASK, (column(change.task.task_id),)).fetchone()
    if found is None:
        raise Moved(f"there is no task {change.task.task_id}")
    stored = rows.task_of(found)
    if stored.revision != change.task.revision - 1:
        raise Moved(f"{stored.task_id} is at revision {stored.revision}, not {change.task.revision - 1}")
    check_change(stored, change)


def _add_events(connection: sqlite3.Connection, change: Change) -> None:
    try:
        connection.executemany(queries.ADD_EVENT, [rows.event_row(event) for event in change.events])
    except sqlite3.IntegrityError as error:
        if "events.upstream_id" not in str(error):
            raise
        raise RepeatedFrame(f"an upstream_id among the events is recorded already for {change.task.task_id}") from error


def acquire_lease(transaction: Transaction, task_id: str, *, holder: str, seconds: float, now: int) -> Lease | None:
    """Take the lease, if nobody holds it. Whoever holds it already keeps it, with the same token."""
    found = transaction.connection.execute(queries.LEASE, (column(task_id),)).fetchone()
    owner, token, renewed_at, expires_at = found or (None, 0, 0, 0)
    if owner != column(holder):
        if owner is not None and _stands(now, renewed_at, expires_at):
            return None
        token += 1
    lease = Lease(task_id=task_id, holder=holder, token=token)
    _put_lease(transaction.connection, lease, seconds=seconds, now=now)
    return lease


def renew_lease(transaction: Transaction, lease: Lease, *, seconds: float, now: int) -> None:
    """Hold it longer. One that ran out, and that nobody took, is still its holder's."""
    _check_lease(transaction.connection, lease)
    _put_lease(transaction.connection, lease, seconds=seconds, now=now)


def release_lease(transaction: Transaction, lease: Lease) -> None:
    """Give it back, where it is still held."""
    transaction.connection.execute(queries.RELEASE, (column(lease.task_id), column(lease.holder), lease.token))


def secret(transaction: Transaction, name: str, fresh: bytes) -> bytes:
    """The key of this name; `fresh` becomes it where there is none."""
    transaction.connection.execute(queries.ADD_SHARED_KEY, (name, fresh))
    (value,) = transaction.connection.execute(queries.SHARED_KEY, (name,)).fetchone()
    return bytes(value)


def _check_lease(connection: sqlite3.Connection, lease: Lease) -> None:
    found = connection.execute(queries.LEASE, (column(lease.task_id),)).fetchone()
    if found is None or found[:2] != (column(lease.holder), lease.token):
        raise LeaseLost(f"the lease of {lease.task_id} with token {lease.token} no longer stands")


def _put_lease(connection: sqlite3.Connection, lease: Lease, *, seconds: float, now: int) -> None:
    row = (column(lease.task_id), column(lease.holder), lease.token, now, now + round(seconds * 1_000_000))
    try:
        connection.execute(queries.PUT_LEASE, row)
    except sqlite3.IntegrityError as error:
        raise ChangeInvalid(f"there is no task {lease.task_id} to hold a lease of") from error


def _stands(now: int, renewed_at: int, expires_at: int) -> bool:
    # A clock that was set back would leave a dead holder's lease standing for as long as it jumped. A living holder
    # renews and so repairs its lease; what lies further ahead than two lease times was written under another clock.
    # Should this judge wrongly, the token still keeps the old holder from writing.
    return now < expires_at <= now + 2 * (expires_at - renewed_at)

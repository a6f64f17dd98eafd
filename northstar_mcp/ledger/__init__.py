"""The durable record of tasks and events, and the feed that tells of changes: `Ledger` and `Feed` of tasks/ports.py.

A ledger answers, the core decides: nothing here knows which move follows which.

    sqlite.py    the ledger over SQLite: its public methods, and how it is opened and closed
    work.py      what is done inside a transaction: adding, recording, leasing
    reading.py   what is asked outside one
    writer.py    group commit
    readers.py   the connections that only read
    feed.py      watches, and the look at what other processes wrote
    screens.py   pictures, kept as files
    rows.py      values to columns and back
    queries.py   every statement, one line of purpose each
    schema.py    opening a database file, and its migrations
    checks.py    what every change must keep, whichever database holds it
    failures.py  SQLite's errors in the words of errors.py
"""

from northstar_mcp.ledger.checks import ChangeInvalid, RepeatedFrame
from northstar_mcp.ledger.sqlite import SqliteLedger, open_ledger

__all__ = ["ChangeInvalid", "RepeatedFrame", "SqliteLedger", "open_ledger"]

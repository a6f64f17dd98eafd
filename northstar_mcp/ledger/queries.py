"""Every statement of the SQLite ledger, with its purpose. Values are bound, never pasted."""

# ruff: noqa: S608 - the f-strings here join constants of this file

from typing import Final

# What rows.task_of reads.
TASK_COLUMNS: Final = (
    "t.task_id, t.principal, t.fingerprint, t.caller_key, t.created_at, t.state, t.revision, t.seq, t.body, r.body"
)
_TASKS: Final = f"SELECT {TASK_COLUMNS} FROM tasks t JOIN requests r USING (task_id)"

# ---- tasks

# The task with this id.
TASK: Final = f"{_TASKS} WHERE t.task_id = ?"

# The task that carries a caller's own key.
TASK_BY_CALLER_KEY: Final = f"{_TASKS} WHERE t.principal = ? AND t.caller_key = ?"

# The newest unfinished task made by the same arguments, no older than a moment.
TASK_REPEATED: Final = (
    f"{_TASKS} WHERE t.principal = ? AND t.fingerprint = ? AND t.caller_key IS NULL AND t.ended = 0"
    " AND t.created_at >= ? ORDER BY t.created_at DESC LIMIT 1"
)

# How many tasks of a principal and an account have not ended.
COUNT_UNFINISHED: Final = (
    "SELECT count(*) FROM tasks t WHERE t.principal = ? AND t.ended = 0 AND json_extract(t.body, '$.account') = ?"
)

# A principal's tasks in some states, newest first, from the beginning.
PAGE: Final = (
    f"{_TASKS} WHERE t.principal = ? AND t.state IN (SELECT value FROM json_each(?))"
    " ORDER BY t.created_at DESC, t.task_id DESC LIMIT ?"
)

# The same, from behind a task of that principal; nothing where there is no such task.
PAGE_BEFORE: Final = (
    f"{_TASKS} WHERE t.principal = ? AND t.state IN (SELECT value FROM json_each(?))"
    " AND (t.created_at, t.task_id) <"
    " (SELECT b.created_at, b.task_id FROM tasks b WHERE b.task_id = ? AND b.principal = ?)"
    " ORDER BY t.created_at DESC, t.task_id DESC LIMIT ?"
)

# The ids of all tasks that have not ended, oldest first.
UNFINISHED: Final = "SELECT task_id FROM tasks WHERE ended = 0 ORDER BY created_at, task_id"

# A new task.
ADD_TASK: Final = (
    "INSERT INTO tasks (task_id, principal, fingerprint, caller_key, created_at,"
    " state, ended, revision, seq, body, change, changed_by)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

# What the new task was asked to do.
ADD_REQUEST: Final = "INSERT INTO requests (task_id, body) VALUES (?, ?)"

# The task as it stands after a change.
CHANGE_TASK: Final = (
    "UPDATE tasks SET caller_key = ?, state = ?, ended = ?, revision = ?, seq = ?, body = ?, change = ?, changed_by = ?"
    " WHERE task_id = ?"
)

# ---- what belongs to a task

# New events.
ADD_EVENT: Final = "INSERT INTO events (task_id, seq, upstream_id, body) VALUES (?, ?, ?, ?)"

# Events after a number, in order.
EVENTS: Final = "SELECT task_id, seq, upstream_id, body FROM events WHERE task_id = ? AND seq > ? ORDER BY seq LIMIT ?"

# Lightcone's frame ids that are recorded.
UPSTREAM_IDS: Final = "SELECT upstream_id FROM events WHERE task_id = ? AND upstream_id IS NOT NULL"

# A receipt, new or changed.
PUT_RECEIPT: Final = (
    "INSERT INTO receipts (task_id, message_id, seq, body) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (task_id, message_id) DO UPDATE SET seq = excluded.seq, body = excluded.body"
)

# Receipts, oldest first.
RECEIPTS: Final = "SELECT task_id, message_id, seq, body FROM receipts WHERE task_id = ? ORDER BY seq, rowid"

# An event's picture: new, or its bytes that were fetched later.
PUT_SCREEN: Final = (
    "INSERT INTO screens (task_id, seq, url, media_type, file, size, kept) VALUES (?1, ?2, ?3, ?4, ?5, ?6,"
    " CASE WHEN ?5 IS NOT NULL THEN (SELECT coalesce(max(kept), 0) + 1 FROM screens WHERE file IS NOT NULL) END)"
    " ON CONFLICT (task_id, seq) DO UPDATE SET url = coalesce(excluded.url, url), media_type = excluded.media_type,"
    " file = excluded.file, size = excluded.size, kept = coalesce(excluded.kept, kept)"
)

# The newest event with a picture.
LAST_SCREEN: Final = (
    "SELECT e.task_id, e.seq, e.upstream_id, e.body, s.url, s.media_type, s.file"
    " FROM screens s JOIN events e USING (task_id, seq) WHERE s.task_id = ? ORDER BY s.seq DESC LIMIT 1"
)

# The newest event whose picture's bytes are kept.
LAST_KEPT_SCREEN: Final = (
    "SELECT e.task_id, e.seq, e.upstream_id, e.body, s.url, s.media_type, s.file"
    " FROM screens s JOIN events e USING (task_id, seq)"
    " WHERE s.task_id = ? AND s.file IS NOT NULL ORDER BY s.seq DESC LIMIT 1"
)

# The picture of one event.
SCREEN: Final = (
    "SELECT e.task_id, e.seq, e.upstream_id, e.body, s.url, s.media_type, s.file"
    " FROM screens s JOIN events e USING (task_id, seq) WHERE s.task_id = ? AND s.seq = ?"
)

# Where a task's newest pictures lie, and whether their bytes ever came, newest first.
NEWEST_SCREENS: Final = (
    "SELECT seq, url, kept IS NOT NULL OR file IS NOT NULL FROM screens WHERE task_id = ? ORDER BY seq DESC LIMIT ?"
)

# Whether an event's picture is at a URL and its bytes never came.
IS_ELSEWHERE: Final = (
    "SELECT 1 FROM screens WHERE task_id = ? AND seq = ? AND url IS NOT NULL AND file IS NULL AND kept IS NULL"
)

# Picture files of a task, newest first.
KEPT_SCREENS: Final = "SELECT seq, file, size FROM screens WHERE task_id = ? AND file IS NOT NULL ORDER BY seq DESC"

# How many bytes all kept pictures have.
KEPT_BYTES: Final = "SELECT bytes FROM kept_screens"

_OLDEST_KEPT: Final = (
    "SELECT s.task_id, s.seq, s.file, s.size FROM screens s CROSS JOIN tasks t USING (task_id) WHERE s.file IS NOT NULL"
)

# The pictures of ended tasks that were kept first. (CROSS JOIN: in the order of their index, without sorting.)
OLDEST_OF_ENDED: Final = f"{_OLDEST_KEPT} AND t.ended = 1 ORDER BY s.kept LIMIT ?"

# The pictures of unfinished tasks that were kept first, without the last of each.
OLDEST_OF_UNFINISHED: Final = (
    f"{_OLDEST_KEPT} AND t.ended = 0 AND s.seq <"
    " (SELECT max(l.seq) FROM screens l WHERE l.task_id = s.task_id AND l.file IS NOT NULL) ORDER BY s.kept LIMIT ?"
)

# Forget a picture's bytes; its URL stays, and that they were there.
DROP_SCREEN: Final = "UPDATE screens SET file = NULL, size = 0 WHERE task_id = ? AND seq = ?"

# ---- leases

# A task's lease as it stands.
LEASE: Final = "SELECT holder, token, renewed_at, expires_at FROM leases WHERE task_id = ?"

# Take or renew it.
PUT_LEASE: Final = (
    "INSERT INTO leases (task_id, holder, token, renewed_at, expires_at) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (task_id) DO UPDATE SET holder = excluded.holder, token = excluded.token,"
    " renewed_at = excluded.renewed_at, expires_at = excluded.expires_at"
)

# Give it back, if it is still held.
RELEASE: Final = "UPDATE leases SET holder = NULL WHERE task_id = ? AND holder = ? AND token = ?"

# ---- keys

# A key, unless there is one of this name.
ADD_SHARED_KEY: Final = "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"

# The key of this name.
SHARED_KEY: Final = "SELECT value FROM secrets WHERE name = ?"

# ---- the feed

# The next change has the next number; the write lock keeps it from being given twice.
COUNT_CHANGE: Final = "UPDATE changes SET last = last + 1"

# The number of the last change.
LAST_CHANGE: Final = "SELECT last FROM changes"

# What changed after a number, in order.
CHANGED_AFTER: Final = "SELECT task_id, change, changed_by FROM tasks WHERE change > ? ORDER BY change LIMIT ?"

# Differs from last time if another connection has committed since.
DATA_VERSION: Final = "PRAGMA data_version"

# Answers if the database does.
PING: Final = "SELECT 1"

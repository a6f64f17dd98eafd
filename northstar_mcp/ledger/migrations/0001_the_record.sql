-- The record: tasks, their events, receipts and pictures, and who follows them.
--
-- Columns are what is searched, compared or enforced; `body` holds the rest as JSON (ASCII, so that lone surrogates and other odd
-- text from a screen survive). Moments are integer microseconds since 1970 UTC: they compare as numbers, lose nothing, and have one
-- spelling, where ISO text has several for the same moment.
--
-- A later migration must only add: a process of the older version may have this file open.

CREATE TABLE tasks (
    task_id     TEXT PRIMARY KEY,
    principal   TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    caller_key  TEXT,
    created_at  INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    ended       INTEGER NOT NULL, -- what the core's table says of `state`: the rule itself stays there
    revision    INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    change      INTEGER NOT NULL, -- number of the last change, across all tasks: what the feed goes by
    changed_by  TEXT    NOT NULL  -- which opening of this ledger made it: that one knows already
);
CREATE UNIQUE INDEX tasks_caller_key ON tasks (principal, caller_key) WHERE caller_key IS NOT NULL;
CREATE INDEX tasks_repeats ON tasks (principal, fingerprint, created_at) WHERE caller_key IS NULL AND ended = 0;
CREATE INDEX tasks_page ON tasks (principal, created_at, task_id, state);
CREATE INDEX tasks_unfinished ON tasks (created_at, task_id) WHERE ended = 0;
CREATE INDEX tasks_change ON tasks (change);

-- Apart from tasks, because it is written once and may be long (an instruction), while a task's row is rewritten with every event.
CREATE TABLE requests (
    task_id TEXT PRIMARY KEY REFERENCES tasks (task_id) ON DELETE CASCADE,
    body    TEXT NOT NULL
);

CREATE TABLE events (
    task_id     TEXT    NOT NULL REFERENCES tasks (task_id) ON DELETE CASCADE,
    seq         INTEGER NOT NULL,
    upstream_id TEXT,
    body        TEXT    NOT NULL,
    PRIMARY KEY (task_id, seq)
);
CREATE UNIQUE INDEX events_upstream_id ON events (task_id, upstream_id) WHERE upstream_id IS NOT NULL;

CREATE TABLE receipts (
    task_id    TEXT    NOT NULL REFERENCES tasks (task_id) ON DELETE CASCADE,
    message_id TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    PRIMARY KEY (task_id, message_id)
);

-- Every event that has a picture. `file` is its name below screens/<task_id>/, NULL where the bytes are not, or no longer, kept.
CREATE TABLE screens (
    task_id    TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    url        TEXT,
    media_type TEXT,
    file       TEXT,
    size       INTEGER NOT NULL,
    PRIMARY KEY (task_id, seq),
    FOREIGN KEY (task_id, seq) REFERENCES events (task_id, seq) ON DELETE CASCADE
);

-- A row stays when its lease is given back (holder NULL), so that `token` only ever grows.
CREATE TABLE leases (
    task_id    TEXT PRIMARY KEY REFERENCES tasks (task_id) ON DELETE CASCADE,
    holder     TEXT,
    token      INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);

-- One row. Not max(tasks.change), which could fall when a task is deleted.
CREATE TABLE changes (last INTEGER NOT NULL);
INSERT INTO changes (last) VALUES (0);

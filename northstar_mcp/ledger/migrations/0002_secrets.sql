-- Keys that every process on this record shares. The folder and its files are readable by their owner only.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

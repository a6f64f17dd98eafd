-- Which pictures were kept first, and how large all kept pictures are together.

-- In which order the bytes came; NULL where they never did. It stays when they are removed: they are not fetched again.
ALTER TABLE screens ADD COLUMN kept INTEGER;
UPDATE screens SET kept = rowid WHERE file IS NOT NULL;
CREATE INDEX screens_kept ON screens (kept) WHERE file IS NOT NULL;

-- One row. By triggers, so that it is right whichever version writes, and so that no picture has to be counted to know it.
CREATE TABLE kept_screens (bytes INTEGER NOT NULL);
INSERT INTO kept_screens (bytes) SELECT coalesce(sum(size), 0) FROM screens;

CREATE TRIGGER screens_added AFTER INSERT ON screens WHEN new.size > 0 BEGIN
    UPDATE kept_screens SET bytes = bytes + new.size;
END;

CREATE TRIGGER screens_changed AFTER UPDATE OF size ON screens WHEN new.size <> old.size BEGIN
    UPDATE kept_screens SET bytes = bytes + new.size - old.size;
END;

CREATE TRIGGER screens_deleted AFTER DELETE ON screens WHEN old.size > 0 BEGIN
    UPDATE kept_screens SET bytes = bytes - old.size;
END;

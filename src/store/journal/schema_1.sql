-- Journal, schema 1. An entry's text is exact: its digest, and those of all after it, are made of it. What a run's row says
-- beside its name is taken from its entries, in the transaction that adds them.
CREATE TABLE run (
    id TEXT PRIMARY KEY,
    plan TEXT NOT NULL,
    kind TEXT NOT NULL,
    wall INTEGER NOT NULL,
    who TEXT NOT NULL,
    open INTEGER NOT NULL DEFAULT 1,
    closing TEXT,
    closed INTEGER,
    acknowledged INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX one_open_run ON run (plan) WHERE open;
CREATE INDEX run_by_plan ON run (plan, wall);
CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL REFERENCES run (id),
    seq INTEGER NOT NULL,
    wall INTEGER NOT NULL,
    hash TEXT NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (run, seq)
) STRICT;
CREATE TRIGGER entry_stays_as_it_is BEFORE UPDATE ON entry BEGIN
    SELECT RAISE(ABORT, 'a journal is only added to');
END;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry BEGIN
    SELECT RAISE(ABORT, 'a journal is only added to');
END;
CREATE TRIGGER run_stays BEFORE DELETE ON run BEGIN
    SELECT RAISE(ABORT, 'a journal is only added to');
END;
CREATE TRIGGER run_stays_closed BEFORE UPDATE ON run WHEN new.open AND NOT old.open BEGIN
    SELECT RAISE(ABORT, 'a run is not opened twice');
END;

-- History, schema 1. Times are microseconds since the epoch (wall) and nanoseconds since boot (boot_ns).
CREATE TABLE boot (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- One primary as one boot of this machine saw it.
CREATE TABLE cluster (
    id INTEGER PRIMARY KEY,
    plan TEXT NOT NULL,
    probe TEXT NOT NULL,
    system TEXT NOT NULL,
    timeline INTEGER NOT NULL,
    boot INTEGER NOT NULL REFERENCES boot (id),
    UNIQUE (plan, probe, system, timeline, boot)
) STRICT;

-- Where it was. grade: 2 first of its ten minutes, 1 first of its minute, 0 any other; old ones are thinned by it.
CREATE TABLE sample (
    id INTEGER PRIMARY KEY,
    cluster INTEGER NOT NULL REFERENCES cluster (id),
    asked_wall INTEGER NOT NULL,
    asked_boot_ns INTEGER NOT NULL,
    answered_wall INTEGER NOT NULL,
    answered_boot_ns INTEGER NOT NULL,
    lsn INTEGER NOT NULL,
    grade INTEGER NOT NULL
) STRICT;
CREATE INDEX sample_by_cluster ON sample (cluster);
CREATE INDEX sample_by_age ON sample (grade, asked_wall);

-- The site that takes writes, as last seen.
CREATE TABLE active (
    plan TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    wall INTEGER NOT NULL,
    boot_ns INTEGER NOT NULL,
    boot INTEGER NOT NULL REFERENCES boot (id)
) STRICT;

-- Verdicts and situations that changed.
CREATE TABLE change (
    id INTEGER PRIMARY KEY,
    plan TEXT NOT NULL,
    wall INTEGER NOT NULL,
    boot_ns INTEGER NOT NULL,
    boot INTEGER NOT NULL REFERENCES boot (id),
    was TEXT,
    verdict TEXT NOT NULL,
    situation TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;
CREATE INDEX change_by_plan ON change (plan);
CREATE INDEX change_by_age ON change (wall);

-- What charts show.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    plan TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX series_by_plan ON series (plan);
CREATE TABLE point (
    id INTEGER PRIMARY KEY,
    series INTEGER NOT NULL REFERENCES series (id),
    wall INTEGER NOT NULL,
    boot_ns INTEGER NOT NULL,
    boot INTEGER NOT NULL REFERENCES boot (id),
    value REAL NOT NULL,
    grade INTEGER NOT NULL
) STRICT;
CREATE INDEX point_by_series ON point (series);
CREATE INDEX point_by_age ON point (grade, wall);

-- What the last check of a plan found; scope is empty, or the areas that were asked for.
CREATE TABLE last_check (
    plan TEXT NOT NULL,
    scope TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (plan, scope)
) STRICT;

-- History, schema 2: what checks found, a row for each time that it was something else; last is when it was last found so.
CREATE TABLE checked (
    id INTEGER PRIMARY KEY,
    plan TEXT NOT NULL,
    scope TEXT NOT NULL,
    wall INTEGER NOT NULL,
    last INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX checked_by_plan ON checked (plan, scope, wall);
INSERT INTO checked (plan, scope, wall, last, body)
SELECT plan, scope, at, at, body
FROM (SELECT plan, scope, body, unixepoch(json_extract(body, '$.at')) * 1000000 AS at FROM last_check)
WHERE at IS NOT NULL;
DROP TABLE last_check;

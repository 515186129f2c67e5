-- Version 4: dead letters. A projection of events, kept in the same transaction; what is purged has no row any more.
CREATE TABLE letter (
    run INTEGER NOT NULL,
    step TEXT NOT NULL,
    agent TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    redriven_run TEXT NOT NULL DEFAULT '',
    redriven_us INTEGER NOT NULL DEFAULT 0,
    redriven_by TEXT NOT NULL DEFAULT '',
    redriven_reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE INDEX letter_at ON letter (at_us);

-- Those that were given up before there was a list. Their events don't say whose step it was; its first call does.
WITH
    dead AS (
        SELECT run, CAST(data AS TEXT) AS told FROM event
        WHERE substr(CAST(data AS TEXT), 1, 18) = '{"t":"step_buried"' AND json_valid(CAST(data AS TEXT))
    ),
    call AS (
        SELECT run, seq, CAST(data AS TEXT) AS told FROM event
        WHERE run IN (SELECT run FROM dead)
            AND substr(CAST(data AS TEXT), 1, 22) = '{"t":"attempt_started"' AND json_valid(CAST(data AS TEXT))
    ),
    tried AS (
        SELECT run, told ->> 'step' AS step, min(seq) AS first, count(DISTINCT told ->> 'attempt') AS attempts, told ->> 'agent' AS agent
        FROM call GROUP BY run, step
    )
INSERT OR REPLACE INTO letter (run, step, agent, reason, attempts, at_us)
SELECT
    dead.run,
    dead.told ->> 'step',
    coalesce(dead.told ->> 'agent', tried.agent, ''),
    coalesce(substr(dead.told ->> 'reason', 1, 1000), ''),
    coalesce(dead.told ->> 'attempts', tried.attempts, 0),
    coalesce(dead.told ->> 'at_us', 0)
FROM dead LEFT JOIN tried ON tried.run = dead.run AND tried.step = dead.told ->> 'step'
WHERE dead.told ->> 'step' IS NOT NULL;

-- Version 2: people can answer. Names and meanings are compatibility data.

-- What a request carries beside its kind, as JSON.
ALTER TABLE request ADD COLUMN body BLOB NOT NULL DEFAULT x'';

-- The steps that wait for a person: a projection of each run's events, kept in the same transaction.
CREATE TABLE question (
    run INTEGER NOT NULL,
    step TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    question TEXT NOT NULL,
    asked_us INTEGER NOT NULL,
    due_us INTEGER NOT NULL,
    PRIMARY KEY (run, step)
) WITHOUT ROWID;

-- In version 1 nobody could answer, so what was asked in a run that is not over still waits.
INSERT OR IGNORE INTO question (run, step, attempt, question, asked_us, due_us)
SELECT run, told ->> 'step', told ->> 'attempt', told ->> '$.question.text', told ->> 'at_us', 0
FROM (
    SELECT run, CASE WHEN json_valid(CAST(data AS TEXT)) THEN CAST(data AS TEXT) ELSE '{}' END AS told FROM event
    WHERE run IN (SELECT number FROM run WHERE status IN ('running', 'parked'))
    AND instr(data, CAST('question_asked' AS BLOB)) ORDER BY position
)
WHERE told ->> 't' = 'question_asked';

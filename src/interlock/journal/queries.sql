-- name: append
INSERT INTO event (run, seq, data) VALUES (?, ?, ?);

-- name: place: where a run's stream ends, and who owns it
SELECT number, owner, (SELECT max(seq) FROM event WHERE run = number) FROM run WHERE run_id = ?;

-- name: open_run
INSERT INTO run (run_id, status, reason, team, plan, source, batch, batch_row, owner, started_us, ended_us)
VALUES (?, 'running', '', ?, ?, ?, ?, ?, ?, ?, 0);

-- name: is_over
-- No step of a run that has ended is done any more.
SELECT 1 FROM run WHERE run_id = ? AND status NOT IN ('running', 'parked');

-- name: set_parent
UPDATE run SET parent = ? WHERE number = ?;

-- name: take_batch_row
-- Only from the owner's own batch, and only once: what is taken is returned.
DELETE FROM batch_row
WHERE batch = ?1 AND batch_row = ?2 AND EXISTS (SELECT 1 FROM batch WHERE batch_id = ?1 AND owner = ?3)
RETURNING batch_row;

-- name: set_status
UPDATE run SET status = ?, reason = ?, ended_us = ? WHERE number = ?;

-- name: load
SELECT seq, CAST(data AS BLOB) FROM event WHERE run = (SELECT number FROM run WHERE run_id = ?) ORDER BY seq;

-- name: run
SELECT run_id, status, reason, team, plan, source, batch, batch_row, started_us, ended_us,
    coalesce((SELECT faults_in(CAST(data AS BLOB)) FROM event WHERE run = number AND seq = 0), ''), parent
FROM run WHERE run_id = ?;

-- name: runs
SELECT run_id, status, reason, team, plan, source, batch, batch_row, started_us, ended_us,
    coalesce((SELECT faults_in(CAST(data AS BLOB)) FROM event WHERE run = number AND seq = 0), ''), parent
FROM run WHERE (?1 = '' OR status = ?1) AND (?2 = '' OR batch = ?2)
    AND number < iif(?4 = '', 9223372036854775807, (SELECT number FROM run WHERE run_id = ?4))
    AND (NOT ?5 OR parent = '')
ORDER BY number DESC LIMIT ?3;

-- name: owners: whoever owns something that is not finished
SELECT DISTINCT owner FROM run WHERE status = 'running' AND typeof(owner) = 'integer'
UNION SELECT owner FROM batch WHERE typeof(owner) = 'integer' AND EXISTS (SELECT 1 FROM batch_row WHERE batch = batch_id);

-- name: owned_by_nothing: what is damaged so that nobody can take it over
SELECT run_id, owner FROM run WHERE status = 'running' AND typeof(owner) != 'integer';

-- name: owner_of
SELECT owner, status FROM run WHERE run_id = ?;

-- name: take_runs
UPDATE run SET owner = ?2 WHERE owner = ?1 AND status = 'running' AND (?3 = '' OR team = ?3) AND (?4 IS NULL OR source = ?4);

-- name: owned
SELECT run_id, status, reason, team, plan, source, batch, batch_row, started_us, ended_us,
    coalesce((SELECT faults_in(CAST(data AS BLOB)) FROM event WHERE run = number AND seq = 0), ''), parent
FROM run WHERE owner = ?1 AND status = 'running' AND (?2 = '' OR team = ?2) AND (?3 IS NULL OR source = ?3);

-- name: take_run
UPDATE run SET owner = ?2 WHERE run_id = ?1;

-- name: take_batches
UPDATE batch SET owner = ?2 WHERE owner = ?1 AND (?3 = '' OR team = ?3) AND (?4 IS NULL OR source = ?4);

-- name: put_blob
INSERT OR IGNORE INTO blob (hash, data) VALUES (?, ?);

-- name: blob
SELECT CAST(data AS BLOB) FROM blob WHERE hash = ?;

-- name: open_batch
INSERT INTO batch (batch_id, team, source, origin, started_us, row_count, owner) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: add_batch_row
INSERT INTO batch_row (batch, batch_row, request) VALUES (?, ?, ?);

-- name: batch
SELECT batch_id, team, source, origin, started_us, row_count FROM batch WHERE batch_id = ?;

-- name: batches: of one owner, with rows left
SELECT batch_id, team, source, origin, started_us, row_count FROM batch
WHERE owner = ? AND EXISTS (SELECT 1 FROM batch_row WHERE batch = batch_id) ORDER BY started_us;

-- name: pending
SELECT batch_row, CAST(request AS BLOB) FROM batch_row WHERE batch = ? AND batch_row > ? ORDER BY batch_row LIMIT ?;

-- name: ask
INSERT OR IGNORE INTO request (request_id, run_id, kind, by, reason, body)
SELECT ?1, run_id, ?3, ?4, ?5, ?6 FROM run WHERE run_id = ?2;

-- name: ask_beside: in an append of another run; of a run that is over, nothing is asked
INSERT OR IGNORE INTO request (request_id, run_id, kind, by, reason, body)
SELECT ?1, run_id, ?3, ?4, ?5, ?6 FROM run WHERE run_id = ?2 AND status IN ('running', 'parked');

-- name: asked: parked runs of which something is asked
SELECT run_id FROM run WHERE status = 'parked' AND run_id IN (SELECT run_id FROM request) ORDER BY run_id;

-- name: requests_for: anybody may have written them, and of any size
SELECT request_id, run_id, substr(kind, 1, 20), substr(by, 1, ?2), substr(reason, 1, ?2), coalesce(CAST(substr(body, 1, ?3) AS BLOB), x'')
FROM request WHERE run_id = ?1 AND length(request_id) <= ?2;

-- name: requests_to: an owner
SELECT request_id, request.run_id, substr(kind, 1, 20), substr(by, 1, ?2), substr(request.reason, 1, ?2), coalesce(CAST(substr(body, 1, ?3) AS BLOB), x'')
FROM request JOIN run USING (run_id) WHERE owner = ?1 AND length(request_id) <= ?2;

-- name: ask_person
INSERT OR REPLACE INTO question (run, step, attempt, question, asked_us, due_us) VALUES (?, ?, ?, ?, ?, ?);

-- name: question_over: of a step; of all of this run where none is named
DELETE FROM question WHERE run = ?1 AND ?2 IN (step, '');

-- name: questions: of one run, or of all
SELECT run_id, step, attempt, question, asked_us, due_us, team, source FROM question JOIN run ON run = number
WHERE ?1 = '' OR run_id = ?1 ORDER BY asked_us, run_id, step;

-- name: begin_wait
INSERT OR REPLACE INTO wait (run, step, event, since_us, due_us) VALUES (?, ?, ?, ?, ?);

-- name: wait_over: as question_over
DELETE FROM wait WHERE run = ?1 AND ?2 IN (step, '');

-- name: waits: of one run, or of all
SELECT run_id, step, event, since_us, due_us, team, source FROM wait JOIN run ON run = number
WHERE ?1 = '' OR run_id = ?1 ORDER BY since_us, run_id, step;

-- name: settle
DELETE FROM request WHERE request_id = ?;

-- name: register
INSERT INTO driver (process, started_us) VALUES (?, CAST(unixepoch('subsec') * 1000000 AS INTEGER)) RETURNING epoch;

-- name: tell
INSERT INTO told (gate, data) VALUES (?, ?);

-- name: gate
SELECT CAST(state AS BLOB) FROM gate WHERE name = ?;

-- name: told: what a gate has not folded yet
SELECT CAST(data AS BLOB) FROM told WHERE gate = ? ORDER BY number;

-- name: fold: nobody else writes in this transaction, so what was read is all there is
DELETE FROM told WHERE gate = ?;

-- name: keep_gate
INSERT INTO gate (name, state) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET state = ?2;

-- name: move
INSERT INTO moved (gate, data) VALUES (?, ?);

-- name: forget_moves: all but the newest
DELETE FROM moved WHERE gate = ?1 AND number <=
    (SELECT number FROM moved WHERE gate = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2);

-- name: gates: by name, those that were only told something among them
SELECT name FROM gate UNION SELECT gate FROM told ORDER BY 1;

-- name: moves: the newest first
SELECT CAST(data AS BLOB) FROM moved WHERE gate = ? ORDER BY number DESC LIMIT ?;

-- name: add_letter: one that was redriven and died again begins anew
INSERT OR REPLACE INTO letter (run, step, agent, reason, attempts, at_us)
SELECT number, ?2, ?3, ?4, ?5, ?6 FROM run WHERE run_id = ?1;

-- name: is_redriven
SELECT 1 FROM letter WHERE run = (SELECT number FROM run WHERE run_id = ?) AND step = ? AND redriven_run != '';

-- name: redrive_letter
UPDATE letter SET redriven_run = ?3, redriven_us = ?4, redriven_by = ?5, redriven_reason = ?6
WHERE run = (SELECT number FROM run WHERE run_id = ?1) AND step = ?2 AND redriven_run = '';

-- name: letters: the newest first; their last column names the letter of the step that the run does for another, if any
SELECT run.run_id, step, letter.agent, letter.reason, attempts, letter.at_us, run.source, run.batch,
    redriven_run, redriven_us, redriven_by, redriven_reason, coalesce(later.status, ''), iif(run.parent = '', '', coalesce((
        SELECT above.run_id || '/' || of_step.step FROM run AS above JOIN letter AS of_step ON of_step.run = above.number
        WHERE above.run_id = run.parent AND of_step.step = (
            SELECT step_above_in(CAST(data AS BLOB)) FROM event WHERE event.run = letter.run AND seq = 0
        )
    ), ''))
FROM letter JOIN run ON run.number = letter.run LEFT JOIN run AS later ON later.run_id = redriven_run
WHERE (?1 = '' OR run.run_id = ?1) AND (?2 = '' OR step = ?2) AND (?3 = '' OR letter.agent = ?3)
    AND (?4 = '' OR run.source = ?4) AND (?5 = '' OR run.batch = ?5)
    AND (?6 = '' OR instr(letter.reason, ?6)) AND letter.at_us >= ?7 AND (NOT ?8 OR redriven_run = '')
ORDER BY letter.at_us DESC, letter.run DESC, step LIMIT ?9;

-- name: add_notice
INSERT INTO notice (team, recipient, kind, run_id, step, at_us, data) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: drop_past_notices: of questions that are answered, and letters that are redriven or gone
DELETE FROM notice WHERE team = ? AND recipient = ? AND (
    kind = 'question' AND NOT EXISTS (
        SELECT 1 FROM question JOIN run ON run.number = question.run
        WHERE run.run_id = notice.run_id AND question.step = notice.step AND asked_us = notice.at_us
    ) OR kind = 'dead' AND NOT EXISTS (
        SELECT 1 FROM letter JOIN run ON run.number = letter.run
        WHERE run.run_id = notice.run_id AND letter.step = notice.step AND letter.at_us = notice.at_us
            AND redriven_run = ''
    )
);

-- name: take_notices: so many that are due, the oldest first; one put off for longer than anybody does is due as well
UPDATE notice SET due_us = ?4 WHERE number IN (
    SELECT number FROM notice WHERE team = ?1 AND recipient = ?2 AND (due_us <= ?3 OR due_us > ?5) ORDER BY number LIMIT ?6
) RETURNING number, recipient, CAST(data AS BLOB);

-- name: put_off_notice
UPDATE notice SET due_us = ? WHERE number = ?;

-- name: drop_notice
DELETE FROM notice WHERE number = ?;

-- name: forget_notices: of a team, those from before
DELETE FROM notice WHERE team = ? AND at_us < ? RETURNING number;

-- name: purge: a dead letter of a run; one that was redriven says so, lest it be done again
DELETE FROM letter WHERE run = (SELECT number FROM run WHERE run_id = ?) AND step = ? AND redriven_run = '' RETURNING step;

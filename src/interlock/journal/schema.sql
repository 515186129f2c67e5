-- Version 1. Names and meanings are compatibility data.

-- A projection of each run's events, kept in the same transaction.
CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    team TEXT NOT NULL,
    plan TEXT NOT NULL,
    source TEXT NOT NULL,
    batch TEXT NOT NULL,
    batch_row INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    ended_us INTEGER NOT NULL
);
CREATE INDEX run_open ON run (owner) WHERE status = 'running';
CREATE INDEX run_batch ON run (batch, batch_row) WHERE batch != '';

-- The events. `position` is the order of all events of the journal: the cursor of whoever tails it.
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX event_of_run ON event (run, seq);

-- Big or shared content, by hash: teams, plans.
CREATE TABLE blob (
    hash TEXT PRIMARY KEY,
    data BLOB NOT NULL
) WITHOUT ROWID;

-- Who drives runs: one row per journal handle that ever did. Its lock file says whether it still lives.
CREATE TABLE driver (
    epoch INTEGER PRIMARY KEY AUTOINCREMENT,
    process TEXT NOT NULL,
    started_us INTEGER NOT NULL
);

CREATE TABLE batch (
    batch_id TEXT PRIMARY KEY,
    team TEXT NOT NULL,
    source TEXT NOT NULL,
    origin TEXT NOT NULL,
    started_us INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    owner INTEGER NOT NULL
) WITHOUT ROWID;

-- The rows of batches that have no run yet; a row leaves in the transaction that opens its run.
CREATE TABLE batch_row (
    batch TEXT NOT NULL,
    batch_row INTEGER NOT NULL,
    request BLOB NOT NULL,
    PRIMARY KEY (batch, batch_row)
) WITHOUT ROWID;

-- What other processes ask of a run's driver; a row leaves in the transaction that answers it.
CREATE TABLE request (
    request_id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    by TEXT NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;

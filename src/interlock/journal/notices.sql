-- Version 5: notices. Each is written in the transaction that makes its cause a fact, and leaves when it is delivered.
CREATE TABLE notice (
    number INTEGER PRIMARY KEY,
    team TEXT NOT NULL,
    recipient TEXT NOT NULL,
    kind TEXT NOT NULL,
    run_id TEXT NOT NULL,
    step TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    -- Nobody takes it before; whoever takes it puts this off for as long as delivering it may take.
    due_us INTEGER NOT NULL DEFAULT 0,
    data BLOB NOT NULL
);
CREATE INDEX notice_of_team ON notice (team, recipient);

-- Version 3. What the calls of agents must pass: one row per gate, of all runs on this journal.
CREATE TABLE gate (
    name TEXT PRIMARY KEY,
    state BLOB NOT NULL
) WITHOUT ROWID;

-- What calls came to, written in the transaction that makes it a fact; a row leaves when the gate has folded it.
CREATE TABLE told (
    number INTEGER PRIMARY KEY,
    gate TEXT NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX told_to ON told (gate);

-- What breakers did, for people.
CREATE TABLE moved (
    number INTEGER PRIMARY KEY,
    gate TEXT NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX moved_of ON moved (gate);

-- Version 6: steps wait for a time or an event. Names and meanings are compatibility data.

-- A projection of each run's events, kept in the same transaction.
CREATE TABLE wait (
    run INTEGER NOT NULL,
    step TEXT NOT NULL,
    event TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    due_us INTEGER NOT NULL,
    PRIMARY KEY (run, step)
) WITHOUT ROWID;

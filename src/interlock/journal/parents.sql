-- Version 7: a run may do a step of another. Names and meanings are compatibility data.

ALTER TABLE run ADD COLUMN parent TEXT NOT NULL DEFAULT '';
CREATE INDEX run_parent ON run (parent) WHERE parent != '';

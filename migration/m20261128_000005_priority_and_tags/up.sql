-- 0 is none, 3 is high. A constant default costs no rewrite of the table, and instances of an older version go on inserting.
ALTER TABLE tasks ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
-- A JSON array of strings.
ALTER TABLE tasks ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';

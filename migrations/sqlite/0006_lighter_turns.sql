-- What a turn writes, less what nobody reads: each index that a statement touches is a page more for the disk.

-- A session is used until its answers end; while one is open the session counts as used anyway.
DROP TRIGGER node_opened;

-- Only answers that were cut are looked for by what they were to answer.
DROP INDEX nodes_by_asked;
CREATE INDEX nodes_by_asked ON nodes (asked_key) WHERE asked_key IS NOT NULL AND state <> 'open';

-- Sessions that were not used for long are looked for among those that began before that, an order that stays.
DROP INDEX sessions_by_use;
CREATE INDEX sessions_by_start ON sessions (created_at) WHERE state = 'live';

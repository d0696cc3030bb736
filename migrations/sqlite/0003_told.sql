-- What a chat was told beside the texts, up to each node: its tool calls and their results, as digests, and the id of the
-- last call. Conversations of equal texts are told apart by them (docs/sessions.md, Equal texts).
ALTER TABLE nodes ADD COLUMN told_key TEXT;
ALTER TABLE nodes ADD COLUMN told_calls TEXT;
ALTER TABLE nodes ADD COLUMN told_results TEXT;
ALTER TABLE nodes ADD COLUMN told_call TEXT;

-- What the site's copy of the message is known by, also where no texts are kept.
ALTER TABLE nodes ADD COLUMN sent_digest TEXT;

-- A pull brings in answers of the past; they do not make a session look unused.
DROP TRIGGER node_opened;
CREATE TRIGGER node_opened AFTER INSERT ON nodes BEGIN
    UPDATE sessions SET last_used_at = max(last_used_at, NEW.created_at) WHERE id = NEW.session_id;
END;

DROP TRIGGER node_ended;
CREATE TRIGGER node_ended AFTER UPDATE OF finished_at ON nodes WHEN NEW.finished_at IS NOT NULL BEGIN
    UPDATE sessions SET last_used_at = max(last_used_at, NEW.finished_at) WHERE id = NEW.session_id;
END;

-- What a chat was told beside the texts, up to each node: its tool calls and their results, as digests, and the id of the
-- last call. Conversations of equal texts are told apart by them (docs/sessions.md, Equal texts).
ALTER TABLE nodes ADD COLUMN told_key TEXT;
ALTER TABLE nodes ADD COLUMN told_loop TEXT;
ALTER TABLE nodes ADD COLUMN told_call TEXT;

-- What the site's copy of the message is known by, also where no texts are kept.
ALTER TABLE nodes ADD COLUMN sent_digest TEXT;

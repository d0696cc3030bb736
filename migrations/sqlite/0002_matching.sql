-- What a request's place is found by when its history comes back altered. docs/sessions.md says how.

-- Where in the conversation a node stands: what came before its turn, the turn's user text, and what was answered and
-- told in that turn before it. asked_key is there while the answer may be known to the client in another length.
ALTER TABLE nodes ADD COLUMN before_key TEXT;
ALTER TABLE nodes ADD COLUMN user_key TEXT;
ALTER TABLE nodes ADD COLUMN answer_key TEXT;
ALTER TABLE nodes ADD COLUMN asked_key TEXT;
ALTER TABLE nodes ADD COLUMN answered_text TEXT;
ALTER TABLE nodes ADD COLUMN results INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN turn_start INTEGER REFERENCES nodes (number);
ALTER TABLE nodes ADD COLUMN recovered INTEGER NOT NULL DEFAULT 0 CHECK (recovered IN (0, 1));

CREATE INDEX nodes_by_asked ON nodes (asked_key) WHERE asked_key IS NOT NULL;
CREATE INDEX nodes_by_turn_start ON nodes (turn_start) WHERE turn_start IS NOT NULL;

-- Chats made in the browser and brought in by hand are never deleted upstream.
ALTER TABLE sessions ADD COLUMN origin TEXT NOT NULL DEFAULT 'made' CHECK (origin IN ('made', 'pulled'));

-- How new the site's copy of the chat was when a pull last read it.
ALTER TABLE sessions ADD COLUMN seen_at TEXT CHECK (seen_at GLOB '????-??-??T??:??:??.???Z');

-- The turns of all conversations, each after the one before it; the same words in the same place are one row.
CREATE TABLE turns (
    number         INTEGER PRIMARY KEY,
    key            TEXT NOT NULL UNIQUE,
    before_key     TEXT NOT NULL,
    user_key       TEXT NOT NULL,
    answer_key     TEXT NOT NULL,
    turn_start     INTEGER REFERENCES nodes (number) ON DELETE SET NULL
) STRICT;

CREATE INDEX turns_by_answer ON turns (answer_key);
CREATE INDEX turns_by_answer_and_user ON turns (answer_key, user_key);
CREATE INDEX turns_by_before ON turns (before_key);
CREATE INDEX turns_by_start ON turns (turn_start) WHERE turn_start IS NOT NULL;

CREATE TRIGGER node_ends_turn AFTER UPDATE OF turn_key ON nodes WHEN NEW.turn_key IS NOT NULL BEGIN
    INSERT INTO turns (key, before_key, user_key, answer_key, turn_start)
    VALUES (NEW.turn_key, NEW.before_key, NEW.user_key, NEW.answer_key, NEW.turn_start)
    ON CONFLICT DO NOTHING;
END;

-- The ids that we gave to tool calls, and the answer that holds each.
CREATE TABLE tool_calls (
    id             TEXT PRIMARY KEY,
    node_id        TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    scope          TEXT NOT NULL
) STRICT;

CREATE INDEX tool_calls_by_node ON tool_calls (node_id);

DROP VIEW v_sessions;
CREATE VIEW v_sessions AS
SELECT
    s.id AS session,
    s.title,
    s.owner,
    s.model,
    s.state,
    s.origin,
    (SELECT count(*) FROM nodes n WHERE n.session_id = s.id) AS nodes,
    (SELECT max(n.depth) FROM nodes n WHERE n.session_id = s.id) AS turns,
    (SELECT count(*) FROM nodes n WHERE n.session_id = s.id
        AND NOT EXISTS (SELECT 1 FROM nodes c WHERE c.parent_id = n.id)) AS branches,
    (SELECT count(*) FROM nodes n WHERE n.session_id = s.id AND n.state = 'aborted') AS aborted,
    (SELECT count(*) FROM nodes n WHERE n.session_id = s.id AND n.recovered) AS recovered,
    s.created_at,
    s.last_used_at,
    round((julianday('now') - julianday(s.last_used_at)) * 24, 1) AS idle_hours,
    s.chat_id
FROM sessions s
ORDER BY s.last_used_at DESC;

DROP VIEW v_history;
CREATE VIEW v_history AS
WITH RECURSIVE path (session_id, branch, node, parent_id) AS (
    SELECT n.session_id, n.number, n.number, n.parent_id
    FROM nodes n
    WHERE NOT EXISTS (SELECT 1 FROM nodes c WHERE c.parent_id = n.id)
    UNION ALL
    SELECT p.session_id, p.branch, n.number, n.parent_id
    FROM path p JOIN nodes n ON n.id = p.parent_id
),
said (session_id, branch, turn, node, part, at, role, text, state) AS (
    SELECT p.session_id, p.branch, n.depth, n.number, 1, n.created_at, 'user', n.user_text,
           CASE WHEN n.recovered THEN 'recovered' ELSE n.state END
    FROM path p JOIN nodes n ON n.number = p.node
    UNION ALL
    SELECT p.session_id, p.branch, n.depth, n.number, 2, coalesce(n.finished_at, n.created_at), 'assistant',
           n.answer_text, CASE WHEN n.recovered THEN 'recovered' ELSE n.state END
    FROM path p JOIN nodes n ON n.number = p.node
)
SELECT session_id AS session, branch, turn, at, role, text, state
FROM said
ORDER BY session_id, branch, turn, part;

-- Sessions, their nodes, and the chats to delete. docs/history.md describes them for people.
-- All times are UTC text such as 2026-11-22T09:00:00.000Z; they sort as they compare.

CREATE TABLE migrations (
    number         INTEGER PRIMARY KEY,
    name           TEXT NOT NULL,
    applied_at     TEXT NOT NULL CHECK (applied_at GLOB '????-??-??T??:??:??.???Z'),
    sha256         TEXT NOT NULL
) STRICT;

-- A session is a chat that this program made upstream.
CREATE TABLE sessions (
    id             TEXT PRIMARY KEY,
    owner          TEXT NOT NULL,
    account        TEXT NOT NULL,
    chat_id        TEXT NOT NULL UNIQUE CHECK (length(chat_id) >= 8),
    model          TEXT NOT NULL,
    title          TEXT,
    state          TEXT NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'gone', 'doomed', 'deleted')),
    state_reason   TEXT,
    state_since    TEXT NOT NULL CHECK (state_since GLOB '????-??-??T??:??:??.???Z'),
    created_at     TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.???Z'),
    last_used_at   TEXT NOT NULL CHECK (last_used_at GLOB '????-??-??T??:??:??.???Z')
) STRICT;

CREATE INDEX sessions_by_use ON sessions (last_used_at) WHERE state = 'live';

-- A node is one message and its answer. Nothing continues from a node without keys.
CREATE TABLE nodes (
    number         INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    session_id     TEXT NOT NULL REFERENCES sessions (id),
    parent_id      TEXT REFERENCES nodes (id),
    depth          INTEGER NOT NULL CHECK (depth >= 1),
    match          TEXT NOT NULL CHECK (match IN ('new', 'exact', 'window', 'tool-call', 'branch')),
    model          TEXT NOT NULL,
    state          TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'complete', 'aborted', 'failed')),
    error          TEXT,
    user_text      TEXT,
    sent_text      TEXT,
    reasoning_text TEXT,
    answer_text    TEXT,
    user_chars     INTEGER NOT NULL,
    answer_chars   INTEGER,
    finish_reason  TEXT,
    input_tokens   INTEGER,
    output_tokens  INTEGER,
    response_id    TEXT,
    system_digest  TEXT NOT NULL,
    turn_key       TEXT,
    step_key       TEXT,
    created_at     TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.???Z'),
    finished_at    TEXT CHECK (finished_at GLOB '????-??-??T??:??:??.???Z')
) STRICT;

CREATE INDEX nodes_by_turn ON nodes (turn_key) WHERE turn_key IS NOT NULL;
CREATE INDEX nodes_by_step ON nodes (step_key) WHERE step_key IS NOT NULL;
CREATE INDEX nodes_by_parent ON nodes (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX nodes_by_session ON nodes (session_id, number);
CREATE INDEX nodes_open ON nodes (session_id) WHERE state = 'open';

CREATE TRIGGER node_opened AFTER INSERT ON nodes BEGIN
    UPDATE sessions SET last_used_at = NEW.created_at WHERE id = NEW.session_id;
END;

CREATE TRIGGER node_ended AFTER UPDATE OF finished_at ON nodes WHEN NEW.finished_at IS NOT NULL BEGIN
    UPDATE sessions SET last_used_at = NEW.finished_at WHERE id = NEW.session_id;
END;

-- A chat that is to be deleted upstream; only a session's chat can be. due_at is NULL while its answer still runs.
CREATE TABLE deletions (
    chat_id        TEXT PRIMARY KEY REFERENCES sessions (chat_id),
    reason         TEXT NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    last_error     TEXT,
    due_at         TEXT CHECK (due_at GLOB '????-??-??T??:??:??.???Z'),
    created_at     TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.???Z')
) STRICT;

CREATE INDEX deletions_by_due ON deletions (due_at) WHERE due_at IS NOT NULL;

-- What a person wants to see: one line a session.
CREATE VIEW v_sessions AS
SELECT
    s.id AS session,
    s.title,
    s.owner,
    s.model,
    s.state,
    (SELECT count(*) FROM nodes n WHERE n.session_id = s.id) AS nodes,
    (SELECT max(n.depth) FROM nodes n WHERE n.session_id = s.id) AS turns,
    (SELECT count(*) FROM nodes n WHERE n.session_id = s.id
        AND NOT EXISTS (SELECT 1 FROM nodes c WHERE c.parent_id = n.id)) AS branches,
    s.created_at,
    s.last_used_at,
    round((julianday('now') - julianday(s.last_used_at)) * 24, 1) AS idle_hours,
    s.chat_id
FROM sessions s
ORDER BY s.last_used_at DESC;

-- Who said what, in order, along each branch: a branch is the way from the first message to one that has no successor.
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
    SELECT p.session_id, p.branch, n.depth, n.number, 1, n.created_at, 'user', n.user_text, n.state
    FROM path p JOIN nodes n ON n.number = p.node
    UNION ALL
    SELECT p.session_id, p.branch, n.depth, n.number, 2, coalesce(n.finished_at, n.created_at), 'assistant', n.answer_text, n.state
    FROM path p JOIN nodes n ON n.number = p.node
)
SELECT session_id AS session, branch, turn, at, role, text, state
FROM said
ORDER BY session_id, branch, turn, part;

-- Chats that still have to be deleted.
CREATE VIEW v_deletions AS
SELECT d.chat_id, s.title, d.reason, d.attempts, d.due_at AS next_try, d.last_error, d.created_at AS since
FROM deletions d JOIN sessions s ON s.chat_id = d.chat_id
ORDER BY d.due_at;

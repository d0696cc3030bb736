-- Files: what clients stored here, what the site has of them, and what came with which message.
-- docs/files-and-media.md tells of them.

-- Stored by POST /v1/files; the content is beside the database, in files/ under its sha256.
CREATE TABLE files (
    number         INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    owner          TEXT NOT NULL,
    name           TEXT NOT NULL,
    purpose        TEXT NOT NULL,
    bytes          INTEGER NOT NULL CHECK (bytes >= 0),
    sha256         TEXT NOT NULL CHECK (length(sha256) = 64),
    created_at     TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.???Z')
) STRICT;

CREATE INDEX files_by_owner ON files (owner, number);
CREATE INDEX files_by_content ON files (sha256, bytes);

-- What the site has, so that the same bytes go there once; reference is the adapter's own text.
CREATE TABLE uploads (
    account        TEXT NOT NULL,
    sha256         TEXT NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('image', 'audio', 'video', 'document')),
    file_id        TEXT NOT NULL,
    name           TEXT NOT NULL,
    bytes          INTEGER NOT NULL,
    reference      TEXT NOT NULL,
    expires_at     TEXT NOT NULL CHECK (expires_at GLOB '????-??-??T??:??:??.???Z'),
    PRIMARY KEY (account, sha256, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX uploads_by_end ON uploads (expires_at);

-- What came with a message; digest is part of the key of its turn (docs/sessions.md).
CREATE TABLE node_files (
    node_id        TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    position       INTEGER NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('image', 'audio', 'video', 'document')),
    name           TEXT,
    digest         TEXT NOT NULL,
    PRIMARY KEY (node_id, position)
) STRICT, WITHOUT ROWID;

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
said (session_id, branch, turn, node, part, at, role, text, files, state) AS (
    SELECT p.session_id, p.branch, n.depth, n.number, 1, n.created_at, 'user', n.user_text,
           (SELECT group_concat(coalesce(name, kind), ', ') FROM (
               SELECT name, kind FROM node_files f WHERE f.node_id = n.id ORDER BY position
           )),
           CASE WHEN n.recovered THEN 'recovered' ELSE n.state END
    FROM path p JOIN nodes n ON n.number = p.node
    UNION ALL
    SELECT p.session_id, p.branch, n.depth, n.number, 2, coalesce(n.finished_at, n.created_at), 'assistant',
           n.answer_text, NULL, CASE WHEN n.recovered THEN 'recovered' ELSE n.state END
    FROM path p JOIN nodes n ON n.number = p.node
)
SELECT session_id AS session, branch, turn, at, role, text, files, state
FROM said
ORDER BY session_id, branch, turn, part;

-- Videos that clients asked for by /v1/videos. A row goes with its session, whose chat on the site holds the video.
CREATE TABLE videos (
    number         INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    session_id     TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    task_id        TEXT NOT NULL,
    size           TEXT,
    state          TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'succeeded', 'failed')),
    url            TEXT,
    error          TEXT,
    created_at     TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.???Z'),
    finished_at    TEXT CHECK (finished_at GLOB '????-??-??T??:??:??.???Z')
) STRICT;

CREATE INDEX videos_by_session ON videos (session_id);

-- The pictures that a chat's answers held up to each node, as digests (docs/sessions.md, Equal texts).
ALTER TABLE nodes ADD COLUMN told_pictures TEXT NOT NULL DEFAULT '';

-- What a turn writes costs less to check and to read; nothing that is stored changes.
--
-- SQLite builds a table in memory for `x IN (three values or more)` in a CHECK, for each statement anew, which took
-- longer than to insert a row; `x = a OR x = b` says the same without one. Texts come last, since what stands behind a
-- long text is found only by reading through it. Checks and the order of columns are those of a new table.
PRAGMA legacy_alter_table = ON;  -- views and other tables go on naming the old tables, whose place the new ones take

CREATE TABLE new_sessions (
    id             TEXT PRIMARY KEY,
    owner          TEXT NOT NULL,
    account        TEXT NOT NULL,
    chat_id        TEXT NOT NULL UNIQUE CHECK (length(chat_id) >= 8),
    model          TEXT NOT NULL,
    title          TEXT,
    state          TEXT NOT NULL DEFAULT 'live'
                   CHECK (state = 'live' OR state = 'gone' OR state = 'doomed' OR state = 'deleted'),
    state_reason   TEXT,
    origin         TEXT NOT NULL DEFAULT 'made' CHECK (origin = 'made' OR origin = 'pulled'),
    state_since    TEXT NOT NULL CHECK (state_since GLOB '????-??-??T??:??:??.???Z'),
    created_at     TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.???Z'),
    last_used_at   TEXT NOT NULL CHECK (last_used_at GLOB '????-??-??T??:??:??.???Z'),
    seen_at        TEXT CHECK (seen_at GLOB '????-??-??T??:??:??.???Z')
) STRICT;

INSERT INTO new_sessions (id, owner, account, chat_id, model, title, state, state_reason, origin, state_since,
                          created_at, last_used_at, seen_at)
SELECT id, owner, account, chat_id, model, title, state, state_reason, origin, state_since, created_at, last_used_at,
       seen_at
FROM sessions ORDER BY rowid;

DROP TABLE sessions;
ALTER TABLE new_sessions RENAME TO sessions;
CREATE INDEX sessions_by_start ON sessions (created_at) WHERE state = 'live';

CREATE TABLE new_nodes (
    number         INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    session_id     TEXT NOT NULL REFERENCES sessions (id),
    parent_id      TEXT REFERENCES nodes (id),
    depth          INTEGER NOT NULL CHECK (depth >= 1),
    match          TEXT NOT NULL CHECK (
        match = 'new' OR match = 'exact' OR match = 'window' OR match = 'tool-call' OR match = 'branch'
    ),
    model          TEXT NOT NULL,
    state          TEXT NOT NULL DEFAULT 'open'
                   CHECK (state = 'open' OR state = 'complete' OR state = 'aborted' OR state = 'failed'),
    recovered      INTEGER NOT NULL DEFAULT 0 CHECK (recovered = 0 OR recovered = 1),
    error          TEXT,
    user_chars     INTEGER NOT NULL,
    answer_chars   INTEGER,
    finish_reason  TEXT,
    input_tokens   INTEGER,
    output_tokens  INTEGER,
    created_at     TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.???Z'),
    finished_at    TEXT CHECK (finished_at GLOB '????-??-??T??:??:??.???Z'),
    response_id    TEXT,
    system_digest  TEXT NOT NULL,
    sent_digest    TEXT,
    before_key     TEXT,
    user_key       TEXT,
    answer_key     TEXT,
    asked_key      TEXT,
    turn_key       TEXT,
    step_key       TEXT,
    results        INTEGER NOT NULL DEFAULT 0,
    turn_start     INTEGER REFERENCES nodes (number),
    told_key       TEXT,
    told_calls     TEXT,
    told_results   TEXT,
    told_call      TEXT,
    told_pictures  TEXT NOT NULL DEFAULT '',
    user_text      TEXT,
    sent_text      TEXT,
    answered_text  TEXT,
    reasoning_text TEXT,
    answer_text    TEXT
) STRICT;

INSERT INTO new_nodes (
    number, id, session_id, parent_id, depth, match, model, state, recovered, error, user_chars, answer_chars,
    finish_reason, input_tokens, output_tokens, created_at, finished_at, response_id, system_digest, sent_digest,
    before_key, user_key, answer_key, asked_key, turn_key, step_key, results, turn_start, told_key, told_calls,
    told_results, told_call, told_pictures, user_text, sent_text, answered_text, reasoning_text, answer_text
)
SELECT
    number, id, session_id, parent_id, depth, match, model, state, recovered, error, user_chars, answer_chars,
    finish_reason, input_tokens, output_tokens, created_at, finished_at, response_id, system_digest, sent_digest,
    before_key, user_key, answer_key, asked_key, turn_key, step_key, results, turn_start, told_key, told_calls,
    told_results, told_call, told_pictures, user_text, sent_text, answered_text, reasoning_text, answer_text
FROM nodes ORDER BY number;

DROP TABLE nodes;
ALTER TABLE new_nodes RENAME TO nodes;
CREATE INDEX nodes_by_turn ON nodes (turn_key) WHERE turn_key IS NOT NULL;
CREATE INDEX nodes_by_step ON nodes (step_key) WHERE step_key IS NOT NULL;
CREATE INDEX nodes_by_parent ON nodes (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX nodes_by_session ON nodes (session_id, number);
CREATE INDEX nodes_open ON nodes (session_id) WHERE state = 'open';
CREATE INDEX nodes_by_asked ON nodes (asked_key) WHERE asked_key IS NOT NULL AND state <> 'open';
CREATE INDEX nodes_by_turn_start ON nodes (turn_start) WHERE turn_start IS NOT NULL;

CREATE TRIGGER node_ended AFTER UPDATE OF finished_at ON nodes WHEN NEW.finished_at IS NOT NULL BEGIN
    UPDATE sessions SET last_used_at = max(last_used_at, NEW.finished_at) WHERE id = NEW.session_id;
END;

CREATE TRIGGER node_ends_turn AFTER UPDATE OF turn_key ON nodes WHEN NEW.turn_key IS NOT NULL BEGIN
    INSERT INTO turns (key, before_key, user_key, answer_key, turn_start)
    VALUES (NEW.turn_key, NEW.before_key, NEW.user_key, NEW.answer_key, NEW.turn_start)
    ON CONFLICT DO NOTHING;
END;

PRAGMA legacy_alter_table = OFF;

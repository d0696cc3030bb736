-- A turn touches fewer pages, each of which is written to the disk; nothing that is stored changes.
--
-- What only erasing asked indexes for is read through instead: the turns that follow another, and those that a node
-- began. turn_start refers to nodes without a constraint, whose check would read all nodes for each that is erased.
PRAGMA legacy_alter_table = ON;  -- views and other tables go on naming the old tables, whose place the new ones take

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
    turn_start     INTEGER,
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

CREATE TRIGGER node_ended AFTER UPDATE OF finished_at ON nodes WHEN NEW.finished_at IS NOT NULL BEGIN
    UPDATE sessions SET last_used_at = max(last_used_at, NEW.finished_at) WHERE id = NEW.session_id;
END;

CREATE TABLE new_turns (
    number         INTEGER PRIMARY KEY,
    key            TEXT NOT NULL UNIQUE,
    before_key     TEXT NOT NULL,
    user_key       TEXT NOT NULL,
    answer_key     TEXT NOT NULL,
    turn_start     INTEGER
) STRICT;

INSERT INTO new_turns (number, key, before_key, user_key, answer_key, turn_start)
SELECT number, key, before_key, user_key, answer_key, turn_start FROM turns ORDER BY number;

DROP TABLE turns;
ALTER TABLE new_turns RENAME TO turns;
CREATE INDEX turns_by_answer ON turns (answer_key);
CREATE INDEX turns_by_answer_and_user ON turns (answer_key, user_key);

CREATE TRIGGER node_ends_turn AFTER UPDATE OF turn_key ON nodes WHEN NEW.turn_key IS NOT NULL BEGIN
    INSERT INTO turns (key, before_key, user_key, answer_key, turn_start)
    VALUES (NEW.turn_key, NEW.before_key, NEW.user_key, NEW.answer_key, NEW.turn_start)
    ON CONFLICT DO NOTHING;
END;

PRAGMA legacy_alter_table = OFF;

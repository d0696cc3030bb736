"""Every SQL statement of the SQLite store; the tables are in migrations/sqlite/ (docs/history.md describes them)."""

# INDEXED BY and CROSS JOIN, which keeps the order as written: statistics of a file that holds no key of one kind would
# otherwise lead the planner through all live sessions.
_FIND = """
    SELECT n.id AS node_id, n.session_id, s.chat_id, n.response_id, n.system_digest, n.depth,
           EXISTS (SELECT 1 FROM nodes c WHERE c.parent_id = n.id) AS has_children
    FROM nodes n INDEXED BY {index} CROSS JOIN sessions s ON s.id = n.session_id
    WHERE n.{key} = ? AND n.response_id IS NOT NULL AND s.state = 'live'
    ORDER BY n.number DESC LIMIT 1
"""
FIND_TURN = _FIND.format(key="turn_key", index="nodes_by_turn")
FIND_STEP = _FIND.format(key="step_key", index="nodes_by_step")

ADD_SESSION = """
    INSERT INTO sessions (id, owner, account, chat_id, model, title, state, state_reason,
                          state_since, created_at, last_used_at)
    VALUES (:id, :owner, :account, :chat_id, :model, :title, :state, :reason, :at, :at, :at)
"""
ADD_NODE = """
    INSERT INTO nodes (id, session_id, parent_id, depth, match, model, user_text, sent_text, user_chars,
                       system_digest, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
HOLD_DELETION = "INSERT INTO deletions (chat_id, reason, created_at) VALUES (?, ?, ?)"

# Keys only where something may continue: the chat is live and upstream gave the answer an id.
END_NODE = """
    UPDATE nodes
    SET state = :state, response_id = :response_id, answer_text = :answer, answer_chars = :answer_chars,
        reasoning_text = :reasoning, finish_reason = :finish_reason, error = :error,
        input_tokens = :input_tokens, output_tokens = :output_tokens, finished_at = :at,
        turn_key = CASE WHEN findable THEN :turn_key END, step_key = CASE WHEN findable THEN :step_key END
    FROM (SELECT s.state = 'live' AND :response_id IS NOT NULL AS findable
          FROM sessions s JOIN nodes n ON n.session_id = s.id WHERE n.id = :id)
    WHERE id = :id AND state = 'open'
"""

FAIL_OPEN_NODES = """
    UPDATE nodes SET state = 'failed', error = 'interrupted by a restart', finished_at = ? WHERE state = 'open'
"""
RELEASE_ALL = "UPDATE deletions SET due_at = ? WHERE due_at IS NULL"
RELEASE_ONE = """
    UPDATE deletions SET due_at = ?
    WHERE due_at IS NULL AND chat_id = (SELECT chat_id FROM sessions WHERE id = ?)
"""

FORGET_KEYS = "UPDATE nodes SET turn_key = NULL, step_key = NULL WHERE session_id = ?"
FORGET_SESSION = """
    UPDATE sessions SET state = 'gone', state_reason = ?, state_since = ? WHERE id = ? AND state = 'live'
"""

DOOM_ONE = """
    INSERT INTO deletions (chat_id, reason, due_at, created_at)
    SELECT chat_id, :reason, :due, :at FROM sessions WHERE id = :id AND state = 'live'
"""

# The three steps of dooming; a live session has a deletion only between the first and the last.
DOOM_IDLE = """
    INSERT INTO deletions (chat_id, reason, due_at, created_at)
    SELECT chat_id, 'retention', :at, :at FROM sessions
    WHERE state = 'live' AND last_used_at < :before
      AND NOT EXISTS (SELECT 1 FROM nodes WHERE session_id = sessions.id AND state = 'open')
    ORDER BY last_used_at LIMIT :limit
"""
DOOM_KEYS = """
    UPDATE nodes SET turn_key = NULL, step_key = NULL
    WHERE session_id IN (SELECT s.id FROM deletions d JOIN sessions s USING (chat_id) WHERE s.state = 'live')
"""
DOOM_SESSIONS = """
    UPDATE sessions SET state = 'doomed', state_reason = ?, state_since = ?
    WHERE state = 'live' AND chat_id IN (SELECT chat_id FROM deletions)
"""

DUE_DELETIONS = """
    SELECT d.chat_id, d.attempts FROM deletions d JOIN sessions s USING (chat_id)
    WHERE d.due_at <= ? AND s.account = ? ORDER BY d.due_at LIMIT ?
"""
NEXT_DELETION = """
    SELECT min(d.due_at) AS due FROM deletions d JOIN sessions s USING (chat_id) WHERE s.account = ?
"""
DROP_DELETION = "DELETE FROM deletions WHERE chat_id = ?"
END_SESSION = "UPDATE sessions SET state = 'deleted', state_since = ? WHERE chat_id = ?"
PUT_OFF_DELETION = """
    UPDATE deletions SET attempts = attempts + 1, last_error = ?, due_at = ? WHERE chat_id = ?
"""

# Nodes are never deleted, so the highest number is their count, which would otherwise be a walk through all of them.
OVERVIEW = """
    SELECT (SELECT count(*) FROM sessions) AS sessions,
           (SELECT coalesce(max(number), 0) FROM nodes) AS nodes,
           (SELECT count(*) FROM deletions) AS deletions
"""

"""The SQL statements of the owner's commands: what they show, and what an erasing removes."""

LIST_SESSIONS = """
    SELECT * FROM v_sessions WHERE :owner IS NULL OR owner = :owner ORDER BY last_used_at DESC LIMIT :limit
"""
NAMED_SESSIONS = """
    SELECT * FROM v_sessions
    WHERE substr(session, 1, length(:name)) = :name OR substr(session, 1, length(:long_name)) = :long_name
       OR substr(chat_id, 1, length(:name)) = :name
    ORDER BY last_used_at DESC LIMIT :limit
"""
HISTORY = """
    WITH RECURSIVE path (branch, node, parent_id) AS (
        SELECT n.number, n.number, n.parent_id FROM nodes n
        WHERE n.session_id = ? AND NOT EXISTS (SELECT 1 FROM nodes c WHERE c.parent_id = n.id)
        UNION ALL
        SELECT p.branch, n.number, n.parent_id FROM path p JOIN nodes n ON n.id = p.parent_id
    )
    SELECT p.branch, r.role, n.model, CASE WHEN n.recovered THEN 'recovered' ELSE n.state END AS state,
           CASE r.role WHEN 'user' THEN n.user_text ELSE n.answer_text END AS text,
           CASE r.role WHEN 'user' THEN NULL ELSE n.error END AS error,
           CASE r.role WHEN 'user' THEN (
               SELECT json_group_array(coalesce(name, kind)) FROM (
                   SELECT name, kind FROM node_files WHERE node_id = n.id ORDER BY position
               )
           ) ELSE '[]' END AS files,
           CASE r.role WHEN 'user' THEN n.created_at ELSE coalesce(n.finished_at, n.created_at) END AS at
    FROM path p JOIN nodes n ON n.number = p.node
    CROSS JOIN (SELECT 'user' AS role, 1 AS part UNION ALL SELECT 'assistant', 2) r
    ORDER BY p.branch, n.depth, r.part
"""
IS_OPEN = "SELECT 1 FROM nodes WHERE session_id = ? AND state = 'open'"
# By what a turn consists of: a session that the site lost has no turn keys any more. The latest come first.
LAST_TURNS = """
    SELECT turn_key FROM (
        SELECT t.key AS turn_key, 2 * n.depth + 1 AS place
        FROM nodes n CROSS JOIN turns t INDEXED BY turns_by_answer_and_user
            ON t.answer_key = n.answer_key AND t.user_key = n.user_key AND t.before_key = n.before_key
        WHERE n.session_id = :id
        UNION
        SELECT before_key, 2 * depth FROM nodes WHERE session_id = :id AND before_key IS NOT NULL
    ) ORDER BY place DESC
"""
READ_TURNS = "SELECT count(before_key), count(turn_start) FROM turns"
# Of turns and all those before them: what comes before each, how many turns follow, and whether an answer ends it.
# This reads all turns, once.
FOLLOWED_TURNS = """
    WITH RECURSIVE past (key) AS MATERIALIZED (
        SELECT value FROM json_each(:keys)
        UNION
        SELECT t.before_key FROM past p CROSS JOIN turns t ON t.key = p.key
    ),
    followed (key, turns) AS MATERIALIZED (
        SELECT before_key, count(*) FROM turns WHERE before_key IN (SELECT key FROM past) GROUP BY before_key
    )
    SELECT t.key, t.before_key, coalesce(f.turns, 0) AS followers,
           EXISTS (SELECT 1 FROM nodes n WHERE n.turn_key = t.key) AS is_answered
    FROM past p CROSS JOIN turns t ON t.key = p.key LEFT JOIN followed f ON f.key = p.key
"""
ERASE_TURN = "DELETE FROM turns WHERE key = ?"
# A number is given again when the newest nodes were erased; this reads all turns, once.
FORGET_STARTS = """
    UPDATE turns SET turn_start = NULL
    WHERE turn_start IN (
        SELECT n.number FROM json_each(?) k CROSS JOIN nodes n ON n.session_id = k.value
    )
"""
FILES_OF_NODES = "SELECT DISTINCT digest, name FROM node_files WHERE name IS NOT NULL"
FORGET_UPLOADS = "DELETE FROM uploads WHERE sha256 NOT IN (SELECT value FROM json_each(?))"
ERASE_NODES = "DELETE FROM nodes WHERE session_id = ?"
ERASE_UPSTREAM = """
    INSERT INTO deletions (chat_id, reason, due_at, created_at)
    SELECT chat_id, 'erased', :at, :at FROM sessions WHERE id = :id AND origin = 'made' AND state = 'live'
    ON CONFLICT DO NOTHING
"""
ERASE_TITLE = """
    UPDATE sessions SET title = NULL, state = CASE state WHEN 'live' THEN 'doomed' ELSE state END,
                        state_reason = 'erased', state_since = :at
    WHERE id = :id
"""
# The row of a session goes with its chat; until then it says which chat is to be deleted.
ERASE_SESSION = """
    DELETE FROM sessions WHERE id = ? AND NOT EXISTS (SELECT 1 FROM deletions d WHERE d.chat_id = sessions.chat_id)
"""

"""The SQL statements of the running server, but those of turns (turns.py), files and videos.

The tables are in migrations/sqlite/; docs/history.md describes them.
"""

from app.core.ports import ASKED_AGAIN

# After the key that it was found by, as rows.read_place takes them. A node has the response id of its parent where the
# model was asked again below that and its answer failed: on the site the message that asked is a child.
_PLACE = """
           n.id, n.session_id, s.chat_id, n.response_id, n.before_key, n.system_digest, n.depth,
           EXISTS (SELECT 1 FROM nodes c WHERE c.parent_id = n.id)
           OR (n.turn_start IS NOT n.number AND EXISTS (
               SELECT 1 FROM nodes p WHERE p.id = n.parent_id AND p.response_id = n.response_id
           )) AS has_children,
           n.input_tokens,
           n.told_key, n.told_calls, n.told_results, n.told_call, n.told_pictures,
           n.state = 'aborted' OR n.finish_reason IS 'length' AS is_cut
"""

# The 16 newest live nodes of each key. INDEXED BY and CROSS JOIN keep the order as written: statistics of a file
# that holds no key of one kind would otherwise lead the planner through all live sessions.
_FIND = """
    SELECT k.value AS key, {place}
    FROM json_each(?) k CROSS JOIN nodes n INDEXED BY {index} ON n.{key} = k.value AND n.number >= coalesce((
        SELECT m.number FROM nodes m INDEXED BY {index} WHERE m.{key} = k.value ORDER BY m.number DESC LIMIT 1 OFFSET 15
    ), 0)
    CROSS JOIN sessions s ON s.id = n.session_id
    WHERE n.response_id IS NOT NULL AND s.state = 'live'
    ORDER BY k.key, n.number DESC
"""
FIND_TURN = _FIND.format(place=_PLACE, key="turn_key", index="nodes_by_turn")
FIND_STEP = _FIND.format(place=_PLACE, key="step_key", index="nodes_by_step")

FIND_CALLS = f"""
    SELECT c.id AS key, {_PLACE},
           n.user_key, (SELECT b.user_text FROM nodes b WHERE b.number = n.turn_start) AS asked
    FROM json_each(:ids) k CROSS JOIN tool_calls c ON c.id = k.value AND c.scope = :scope
    CROSS JOIN nodes n ON n.id = c.node_id CROSS JOIN sessions s ON s.id = n.session_id
    WHERE n.response_id IS NOT NULL AND s.state = 'live'
"""  # noqa: S608 - put together from constants

# The name of an answer is that of the first node where the model was asked again, and what continues is the last.
_ASKED = f"""
    WITH RECURSIVE asked (number, id, error) AS (
        SELECT number, id, error FROM nodes WHERE id = :id
        UNION ALL
        SELECT n.number, n.id, n.error FROM asked a CROSS JOIN nodes n ON n.parent_id = a.id
        WHERE a.error = '{ASKED_AGAIN}'
    )
"""  # noqa: S608
_OF_NAME = """
    FROM nodes n CROSS JOIN sessions s ON s.id = n.session_id
    WHERE n.number = (SELECT max(number) FROM asked) AND s.owner = :owner
"""
_CALLS = "(SELECT json_group_array(id) FROM (SELECT id FROM tool_calls WHERE node_id = n.id ORDER BY rowid)) AS calls"
FIND_ANSWER = f"""
    {_ASKED} SELECT n.id AS key, {_PLACE},
           s.account, s.state = 'live' AS is_live, n.state, n.user_key, n.answer_key, n.results
    {_OF_NAME}
"""
KEPT_ANSWER = f"""
    {_ASKED} SELECT n.model, (SELECT created_at FROM nodes WHERE id = :id) AS created_at, n.state, n.error,
           n.finish_reason, n.answer_text,
           (SELECT group_concat(thought, '') FROM (
               SELECT m.reasoning_text AS thought FROM asked a CROSS JOIN nodes m ON m.number = a.number
               ORDER BY m.number
           )) AS reasoning_text,
           {_CALLS}
    {_OF_NAME}
"""  # noqa: S608
MADE_CALLS = f"""
    SELECT n.answer_text AS answer, {_CALLS}
    FROM nodes n CROSS JOIN sessions s ON s.id = n.session_id
    WHERE n.id IN (SELECT node_id FROM tool_calls WHERE id IN (SELECT value FROM json_each(:ids))) AND s.owner = :owner
    ORDER BY n.number
"""  # noqa: S608
PATH = f"""
    WITH RECURSIVE path (number, parent_id, turn_start) AS (
        SELECT number, parent_id, turn_start FROM nodes WHERE id = :id
        UNION ALL
        SELECT n.number, n.parent_id, n.turn_start FROM path p CROSS JOIN nodes n ON n.id = p.parent_id
        WHERE :whole OR n.turn_start = p.turn_start
    )
    SELECT n.user_text AS said, n.sent_text AS sent, n.answer_text AS answer,
           (SELECT json_group_array(coalesce(name, kind)) FROM (
               SELECT name, kind FROM node_files WHERE node_id = n.id ORDER BY position
           )) AS files,
           {_CALLS},
           EXISTS (SELECT 1 FROM node_files WHERE node_id = n.id AND kind = 'image') AS shows_image, n.system_digest,
           n.turn_start IS n.number AS opens_turn, n.error IS '{ASKED_AGAIN}' AS asked_again
    FROM path p CROSS JOIN nodes n ON n.number = p.number
    ORDER BY n.depth
"""  # noqa: S608

ANSWER_TEXT = "SELECT answer_text FROM nodes WHERE id = ?"

FIND_CUT = f"""
    SELECT n.asked_key AS key, {_PLACE}, n.answered_text, n.answer_text
    FROM json_each(:keys) k CROSS JOIN nodes n INDEXED BY nodes_by_asked ON n.asked_key = k.value
    CROSS JOIN sessions s ON s.id = n.session_id
    WHERE n.state <> 'open' AND n.response_id IS NOT NULL AND s.state = 'live' AND n.answer_text IS NOT NULL
    ORDER BY n.number DESC LIMIT :limit
"""  # noqa: S608

# From the newest conversations that end with the client's last turn, back through as many turns as the client sent,
# as long as the answers are equal.
_FIND_TAILS = """
    WITH RECURSIVE client (depth, user_key, answer_key) AS MATERIALIZED (
        SELECT key, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:turns)
    ),
    walk (tail, depth, number, before_key) AS (
        SELECT * FROM (
            SELECT t.number, 0, t.number, t.before_key
            FROM turns t INDEXED BY {index}
            WHERE t.answer_key = :answer_key {condition}
            ORDER BY t.number DESC LIMIT :limit
        )
        UNION ALL
        SELECT w.tail, w.depth + 1, t.number, t.before_key
        FROM walk w CROSS JOIN client c ON c.depth = w.depth + 1
        CROSS JOIN turns t ON t.key = w.before_key AND t.answer_key = c.answer_key
    )
    SELECT CASE w.depth WHEN 0 THEN t.key END AS tail_key, t.before_key,
           CASE WHEN t.user_key <> c.user_key THEN t.user_key END AS other,
           CASE WHEN t.user_key <> c.user_key THEN t.turn_start END AS place
    FROM walk w JOIN turns t ON t.number = w.number JOIN client c ON c.depth = w.depth
    ORDER BY w.tail DESC, w.depth
"""
FIND_TAILS = _FIND_TAILS.format(index="turns_by_answer", condition="")
FIND_TAILS_OF_USER = _FIND_TAILS.format(index="turns_by_answer_and_user", condition="AND t.user_key = :user_key")
TEXTS_OF_TURNS = """
    SELECT n.number, n.user_text, (SELECT group_concat(f.digest, ' ') FROM node_files f WHERE f.node_id = n.id) AS files
    FROM json_each(?) k CROSS JOIN nodes n ON n.number = k.value
"""

KNOWN_IDS = "SELECT id FROM nodes WHERE id IN (SELECT value FROM json_each(?))"
KNOWN_CHAT = """
    SELECT id, owner, state, seen_at AS known_until,
           EXISTS (SELECT 1 FROM nodes n WHERE n.session_id = s.id AND n.state = 'open') AS is_open
    FROM sessions s WHERE chat_id = ?
"""
SAW_CHAT = "UPDATE sessions SET seen_at = ? WHERE chat_id = ?"
# Of two with one response id the later one is what continues.
KNOWN_NODES = """
    SELECT id, response_id, turn_key, depth, system_digest, told_key, told_calls, told_results, told_call,
           told_pictures
    FROM nodes WHERE session_id = ? AND response_id IS NOT NULL
    ORDER BY number
"""

# An answer that was cut by the end of the process is looked for upstream, unless its chat is to be deleted anyway.
FAIL_OPEN_NODES = """
    UPDATE nodes INDEXED BY nodes_open SET state = 'failed', error = 'interrupted by a restart', finished_at = ?
    WHERE state = 'open' AND (SELECT s.state FROM sessions s WHERE s.id = nodes.session_id) <> 'live'
"""
OPEN_NODES = """
    SELECT n.id AS node_id, n.session_id, s.chat_id, s.owner, s.account, p.response_id AS parent_response_id,
           n.sent_digest, n.turn_start = n.number AS opens_turn, n.before_key, n.user_key, n.answered_text, n.results,
           n.told_key, n.told_calls, n.told_results, n.told_call, n.told_pictures, n.answer_text AS said
    FROM nodes n INDEXED BY nodes_open CROSS JOIN sessions s ON s.id = n.session_id
    LEFT JOIN nodes p ON p.id = n.parent_id
    WHERE n.state = 'open'
    ORDER BY n.number DESC
"""

RELEASE_ALL = "UPDATE deletions SET due_at = ? WHERE due_at IS NULL"
RELEASE_ONE = """
    UPDATE deletions SET due_at = ?
    WHERE due_at IS NULL AND chat_id = (SELECT chat_id FROM sessions WHERE id = ?)
"""

FORGET_KEYS = "UPDATE nodes SET turn_key = NULL, step_key = NULL, asked_key = NULL WHERE session_id = ?"
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
    WHERE state = 'live' AND origin = 'made' AND created_at < :before AND last_used_at < :before
      AND NOT EXISTS (SELECT 1 FROM nodes WHERE session_id = sessions.id AND state = 'open')
    ORDER BY created_at LIMIT :limit
"""
DOOM_KEYS = """
    UPDATE nodes SET turn_key = NULL, step_key = NULL, asked_key = NULL
    WHERE session_id IN (SELECT s.id FROM deletions d CROSS JOIN sessions s USING (chat_id) WHERE s.state = 'live')
"""
DOOM_SESSIONS = """
    UPDATE sessions SET state = 'doomed', state_reason = ?, state_since = ?
    WHERE state = 'live' AND chat_id IN (SELECT chat_id FROM deletions)
"""

# Nothing is put off for as long as an hour: a later time was written by a clock that was wrong.
DUE_DELETIONS = """
    SELECT d.chat_id, d.attempts FROM deletions d JOIN sessions s USING (chat_id)
    WHERE (d.due_at <= :now OR d.due_at > :in_an_hour) AND s.account = :account ORDER BY d.due_at LIMIT :limit
"""
DELETIONS_ELSEWHERE = """
    SELECT count(*) AS deletions FROM deletions d CROSS JOIN sessions s USING (chat_id) WHERE s.account <> ?
"""
NEXT_DELETION = """
    SELECT min(d.due_at) AS due FROM deletions d CROSS JOIN sessions s USING (chat_id) WHERE s.account = ?
"""
DROP_DELETION = "DELETE FROM deletions WHERE chat_id = ?"
END_SESSION = "UPDATE sessions SET state = 'deleted', state_since = ? WHERE chat_id = ?"
FORGET_ERASED = """
    DELETE FROM sessions
    WHERE chat_id = ? AND state_reason = 'erased'
      AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.session_id = sessions.id)
"""
PUT_OFF_DELETION = """
    UPDATE deletions SET attempts = attempts + 1, last_error = ?, due_at = ? WHERE chat_id = ?
"""

OVERVIEW = """
    SELECT (SELECT count(*) FROM sessions) AS sessions,
           (SELECT count(*) FROM nodes) AS nodes,
           (SELECT count(*) FROM deletions) AS deletions
"""

SIZE = "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size"

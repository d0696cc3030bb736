"""Write how turns begin and end, all those of one transaction by one statement.

A turn touches half a dozen tables. Python would give the interpreter up for the statement of each and have to win it
back from the event loop, which takes longer than the rows do. So turns are rows of a view, and triggers put what is in
them where it belongs.
"""

import sqlite3
from collections.abc import Sequence

from msgspec import Struct

from app.errors import StoreError
from app.store.many_rows import Insert, Row

_NODE = (
    "id, session_id, parent_id?, depth, match, model, user_text, sent_text?, user_chars, system_digest, before_key, "
    "user_key, results, sent_digest, created_at"
)
_ASKED = "asked_key?, answered_text"
_END = (
    "state, response_id?, answer_text, answer_chars, reasoning_text, finish_reason?, error?, input_tokens?, "
    "output_tokens?, finished_at?, answer_key?, recovered"
)
_KEYS = "turn_key?, step_key?"
_TOLD = "told_key, told_calls, told_results, told_call?, told_pictures"
_OF_NODE = f"{_NODE}, {_ASKED}, {_END}, {_KEYS}, {_TOLD}"
_SESSION = "owner, account, chat_id?, chat_model, title, session_state, state_reason?, origin, delete_because?"
_LISTS = "number, opens_turn, turns?, files?, calls?"
_COLUMNS = f"{_OF_NODE}, {_SESSION}, {_LISTS}"


def _item(number: int) -> str:
    return f"json_extract(value, '$[{number}]')"  # not ->>, which came with SQLite 3.38


def _names(columns: str) -> list[str]:
    return columns.replace("?", "").split(", ")


_WAS_CUT = "NEW.state = 'aborted' OR NEW.recovered"
_LIVE = "(SELECT state FROM sessions WHERE id = {session}) = 'live'"
_IS_NEW_LIVE = (
    f"CASE WHEN NEW.chat_id IS NULL THEN {_LIVE.format(session='NEW.session_id')} ELSE NEW.session_state = 'live' END"
)
# Keys only where something may continue: the chat is live and upstream gave the answer an id. A node that was open when
# the second migration came does not know its place.
_BEGUN = {name: f"NEW.{name}" for name in _names(_OF_NODE)} | {
    name: f"CASE WHEN NEW.{name} IS NOT NULL AND NEW.response_id IS NOT NULL AND {_IS_NEW_LIVE} THEN NEW.{name} END"
    for name in _names(_KEYS)
}
_TURN_START = """CASE WHEN NEW.opens_turn THEN NEW.number
                    ELSE (SELECT turn_start FROM nodes WHERE id = NEW.parent_id AND before_key = NEW.before_key) END"""
_BEGUN["answered_text"] = "CASE WHEN NEW.asked_key IS NOT NULL THEN NEW.answered_text END"
_ENDED = {name: f"NEW.{name}" for name in _names(f"{_END}, {_TOLD}")}
_ENDED |= {name: f"CASE WHEN {_WAS_CUT} THEN {name} END" for name in _names(_ASKED)}
_ENDED |= {
    name: f"CASE WHEN NEW.response_id IS NOT NULL AND before_key IS NOT NULL AND {_LIVE.format(session='session_id')} "
    f"THEN NEW.{name} END"
    for name in _names(_KEYS)
}

# What the connection that writes is told before it writes turns, and keeps to itself. A trigger's cursors are opened
# before its statements find that there is nothing to do, so what many turns do not have has triggers of its own. These
# are run in any order; what refers to another's row is checked at the end.
PREPARE = f"""
CREATE TEMP VIEW written AS SELECT {", ".join(f"NULL AS {name}" for name in _names(_COLUMNS))};

CREATE TEMP TRIGGER turn_begins INSTEAD OF INSERT ON written WHEN NEW.session_id <> '' BEGIN
    INSERT INTO nodes (number, turn_start, {", ".join(_BEGUN)})
    VALUES (NEW.number, {_TURN_START}, {", ".join(_BEGUN.values())});

    INSERT INTO turns (key, before_key, user_key, answer_key, turn_start)
    SELECT turn_key, before_key, user_key, answer_key, turn_start FROM nodes
    WHERE number = NEW.number AND turn_key IS NOT NULL
    ON CONFLICT DO NOTHING;
END;

CREATE TEMP TRIGGER session_begins INSTEAD OF INSERT ON written WHEN NEW.chat_id IS NOT NULL BEGIN
    INSERT INTO sessions (id, owner, account, chat_id, model, title, state, state_reason, origin, state_since,
                          created_at, last_used_at)
    VALUES (NEW.session_id, NEW.owner, NEW.account, NEW.chat_id, NEW.chat_model, NEW.title, NEW.session_state,
            NEW.state_reason, NEW.origin, NEW.created_at, NEW.created_at, coalesce(NEW.finished_at, NEW.created_at));
END;

CREATE TEMP TRIGGER session_is_used INSTEAD OF INSERT ON written
WHEN NEW.chat_id IS NULL AND NEW.session_id <> '' AND NEW.finished_at IS NOT NULL BEGIN
    UPDATE sessions SET last_used_at = max(last_used_at, NEW.finished_at) WHERE id = NEW.session_id;
END;

CREATE TEMP TRIGGER deletion_is_held INSTEAD OF INSERT ON written WHEN NEW.delete_because IS NOT NULL BEGIN
    INSERT INTO deletions (chat_id, reason, created_at) VALUES (NEW.chat_id, NEW.delete_because, NEW.created_at);
END;

CREATE TEMP TRIGGER turn_brings INSTEAD OF INSERT ON written
WHEN NEW.turns IS NOT NULL OR NEW.files IS NOT NULL BEGIN
    INSERT INTO turns (key, before_key, user_key, answer_key)
    SELECT {_item(0)}, {_item(1)}, {_item(2)}, {_item(3)} FROM json_each(NEW.turns) WHERE true
    ON CONFLICT DO NOTHING;

    INSERT INTO node_files (node_id, position, kind, name, digest)
    SELECT NEW.id, key, {_item(0)}, {_item(1)}, {_item(2)} FROM json_each(NEW.files);
END;

CREATE TEMP TRIGGER turn_calls INSTEAD OF INSERT ON written WHEN NEW.session_id <> '' AND NEW.calls IS NOT NULL BEGIN
    INSERT INTO tool_calls (id, node_id, scope)
    SELECT {_item(0)}, NEW.id, {_item(1)} FROM json_each(NEW.calls);
END;

-- Only a node's first end counts, and only with it are its calls kept.
CREATE TEMP TRIGGER turn_ends INSTEAD OF INSERT ON written WHEN NEW.session_id = '' BEGIN
    SELECT RAISE(ABORT, 'it was never begun') WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE id = NEW.id);

    INSERT INTO tool_calls (id, node_id, scope)
    SELECT {_item(0)}, NEW.id, {_item(1)} FROM json_each(NEW.calls)
    WHERE (SELECT state FROM nodes WHERE id = NEW.id) = 'open';

    UPDATE nodes SET {", ".join(f"{name} = {value}" for name, value in _ENDED.items())}
    WHERE id = NEW.id AND state = 'open';
END;
"""  # noqa: S608 - put together from constants
_ADD = Insert("written", _COLUMNS)
_LAST_NUMBER = "SELECT max(number) FROM nodes"
_NO_NODE = ("",) * (len(_names(_NODE)) - 1)
_NOT_ASKED = ("", "")
_NO_END = (None, None, "", "", "", "", "", "", 0)  # after the text so far
_NO_KEYS = ("", "")
_NO_LISTS: Row = (0, 0, "", "")
NO_SESSION: Row = ("",) * len(_names(_SESSION))
_REFUSED = {sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, sqlite3.SQLITE_CONSTRAINT_TRIGGER}


class Opening(Struct, frozen=True, gc=False, omit_defaults=True):
    """A node, and what is stored with it: the chat that it opens (else NO_SESSION), turns and files, as JSON.

    `asked` is what finds an answer that is cut, `told` what the chat was told so far; `opens_turn` is 1 or 0. `said` is
    the text of the answer so far.
    """

    node: Row
    asked: Row
    told: Row
    session: Row
    opens_turn: int
    turns: str
    files: str
    said: str | None = None

    @property
    def node_id(self) -> str:
        """The node's id."""
        return str(self.node[0])

    @property
    def parent_id(self) -> str:
        """The id of the node that it goes on from; "" for none."""
        return str(self.node[2])


class Ending(Struct, frozen=True, gc=False):
    """How a node ended, and the calls that it makes, as JSON.

    `keys` name what goes on from it, `told` is what the chat was told up to its end. `is_whole`: it was not cut.
    """

    node_id: str
    node: Row
    keys: Row
    told: Row
    is_whole: bool
    calls: str


class Written(Struct, frozen=True, gc=False):
    """What is written of a turn: its opening, its end, or both, of which never only one is written."""

    opening: Opening | None
    ending: Ending | None


class TurnWriter:
    """Writes turns by the one connection that adds nodes, and knows the number that the last of them was given."""

    def __init__(self) -> None:
        self._last: int | None = None

    def write(self, connection: sqlite3.Connection, turns: Sequence[Written]) -> None:
        """Write what begins and what ends, in the order in which it came; a turn that does both is one row.

        Raises StoreError for a turn without a session, and for an end without a turn.
        """
        if self._last is None:
            self._last = connection.execute(_LAST_NUMBER).fetchone()[0] or 0
        rows: list[Row] = []
        for turn in turns:
            self._last += turn.opening is not None
            rows.append(_row(turn, self._last))
        try:
            _ADD.run(connection, rows)
        except sqlite3.IntegrityError as problem:
            self._last = None
            if problem.sqlite_errorcode not in _REFUSED:
                raise
            raise StoreError("The turn cannot be recorded: its session was erased, or it was never begun.") from problem


def _row(turn: Written, number: int) -> Row:
    opening, ending = turn.opening, turn.ending
    if opening is None:
        assert ending is not None
        begun: Row = (ending.node_id, *_NO_NODE, *_NOT_ASKED)
        session, lists = NO_SESSION, _NO_LISTS
    else:
        begun = (*opening.node, *(_NOT_ASKED if ending is not None and ending.is_whole else opening.asked))
        session, lists = opening.session, (number, opening.opens_turn, opening.turns, opening.files)
    if ending is None:
        assert opening is not None
        return (*begun, "open", "", opening.said, *_NO_END, *_NO_KEYS, *opening.told, *session, *lists, "")
    return (*begun, *ending.node, *ending.keys, *ending.told, *session, *lists, ending.calls)

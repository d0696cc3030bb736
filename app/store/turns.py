"""Write how turns begin and end, all those of one transaction at once."""

import json
import sqlite3
from collections.abc import Mapping, Sequence

from msgspec import Struct

from app.errors import StoreError
from app.store import statements
from app.store.connection import NotTogether
from app.store.many_rows import Row

_NO_NODE = ("", 1, "new", "", 0, "")  # what END_NODES keeps of the node that is there
_NO_KEYS = (None, None)
_NOT_ASKED = (None, None)


class Opening(Struct, frozen=True, gc=False):
    """A node, and what is stored with it: the chat that it opens, that chat's deletion, turns, files.

    `node` lacks the numbers of the node and of the one that its turn began with. `asked` is what finds an answer that
    is cut, `told` what the chat was told so far.
    """

    node: Row
    asked: Row
    told: Row
    session_id: str
    opens_turn: bool
    parent_id: str | None
    before_key: str
    user_key: str
    session: Row | None
    deletion: Row | None
    turns: Sequence[Row]
    files: Sequence[Row]

    @property
    def node_id(self) -> str:
        """The node's id."""
        return str(self.node[0])


class Ending(Struct, frozen=True, gc=False):
    """How a node ended, and the calls that it makes; `at` is when.

    `keys` name what goes on from it, `told` is what the chat was told up to its end. `is_whole`: it was not cut.
    `has_place`: the site gave it an id.
    """

    node_id: str
    node: Row
    keys: Row
    answer_key: str | None
    told: Row
    is_whole: bool
    has_place: bool
    calls: Sequence[Row]
    at: str


class Written(Struct, frozen=True, gc=False):
    """What is written of a turn: its opening, its end, or both, of which never only one is written."""

    opening: Opening | None
    ending: Ending | None


def write_turns(connection: sqlite3.Connection, turns: Sequence[Written]) -> None:
    """Write what begins, then what ends, each in the order in which it came; a turn that does both is one row.

    Raises NotTogether where one of several nodes had ended before, StoreError for a turn without a session.
    """
    openings = [turn.opening for turn in turns if turn.opening is not None]
    whole = {turn.ending.node_id: turn.ending for turn in turns if turn.ending is not None and turn.opening is not None}
    endings = [turn.ending for turn in turns if turn.ending is not None and turn.opening is None]
    try:
        if openings:
            _begin(connection, openings, whole)
        if endings:
            _end(connection, endings)
    except sqlite3.IntegrityError as problem:
        if problem.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            raise
        raise StoreError("The turn cannot be recorded: its session was erased, or it was never begun.") from problem


def _begin(connection: sqlite3.Connection, openings: Sequence[Opening], endings: Mapping[str, Ending]) -> None:
    """Write nodes, those that have an end with it."""
    live = _use_sessions(connection, openings, endings)
    ended: list[Row] = []
    begun: list[Row] = []
    turns: list[Row] = []
    for opening, numbers in zip(openings, _numbers(connection, openings), strict=True):
        ending = endings.get(opening.node_id)
        if ending is None:
            begun.append((*numbers, *opening.node, *opening.asked, *opening.told))
            continue
        asked = _NOT_ASKED if ending.is_whole else opening.asked
        keys = ending.keys if ending.has_place and opening.session_id in live else _NO_KEYS
        ended.append((*numbers, *opening.node, *asked, *ending.node, *keys, *ending.told))
        if keys[0] is not None:
            turns.append((keys[0], opening.before_key, opening.user_key, ending.answer_key, numbers[1]))
    turns += [row for opening in openings for row in opening.turns]
    for insert, rows in (
        (statements.ADD_ENDED_NODES, ended),
        (statements.ADD_NODES, begun),
        (statements.ADD_TURNS, turns),
    ):
        if rows:
            insert.run(connection, rows)
    for statement, more in (
        (statements.ADD_NODE_FILE, [row for opening in openings for row in opening.files]),
        (statements.HOLD_DELETION, [opening.deletion for opening in openings if opening.deletion is not None]),
        (statements.ADD_CALL, [call for ending in endings.values() for call in ending.calls]),
    ):
        if more:
            connection.executemany(statement, more)


def _use_sessions(
    connection: sqlite3.Connection, openings: Sequence[Opening], endings: Mapping[str, Ending]
) -> set[str]:
    """Write new sessions and when the others were used; return those that something may continue in."""
    live: set[str] = set()
    new: list[Row] = []
    used: list[str] = []
    for opening in openings:
        ending = endings.get(opening.node_id)
        if opening.session is not None:
            new.append(opening.session if ending is None else (*opening.session[:-1], ending.at))  # used at its end
            if opening.deletion is None:
                live.add(opening.session_id)
        elif ending is not None:
            used.append(opening.session_id)
    if new:
        statements.ADD_SESSIONS.run(connection, new)
    if used:
        values = (max(ending.at for ending in endings.values()), json.dumps(used))
        for session_id, state in connection.execute(statements.USE_SESSIONS, values).fetchall():
            if state == "live":
                live.add(session_id)
    return live


def _numbers(connection: sqlite3.Connection, openings: Sequence[Opening]) -> list[Row]:
    """Return the numbers of nodes, and those of the nodes that their turns began with, if these are known."""
    number = connection.execute(statements.LAST_NUMBER).fetchone()[0] or 0
    starts: dict[tuple[str | None, str], int | None] = {}  # of the nodes of this transaction
    numbers: list[Row] = []
    for opening in openings:
        number += 1
        start: int | None = number
        if not opening.opens_turn:
            parent = (opening.parent_id, opening.before_key)
            start = starts[parent] if parent in starts else _turn_start(connection, parent)
        starts[opening.node_id, opening.before_key] = start
        numbers.append((number, start))
    return numbers


def _turn_start(connection: sqlite3.Connection, parent: Row) -> int | None:
    row = connection.execute(statements.TURN_START, parent).fetchone()
    return None if row is None else row[0]


def _end(connection: sqlite3.Connection, endings: Sequence[Ending]) -> None:
    """Only a node's first end counts, and only with it are its calls kept."""
    ended = statements.END_NODES.run(connection, [_end_row(ending) for ending in endings])
    if ended < len(endings):
        if len(endings) > 1:
            raise NotTogether
        return
    calls = [call for ending in endings for call in ending.calls]
    if calls:
        connection.executemany(statements.ADD_CALL, calls)


def _end_row(ending: Ending) -> Row:
    return (ending.node_id, *ending.node, *ending.keys, *ending.told, *_NO_NODE, ending.at)

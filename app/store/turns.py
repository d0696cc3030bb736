"""Write how turns begin and end, all those of one transaction at once."""

import sqlite3
from collections.abc import Sequence

from msgspec import Struct

from app.store import statements
from app.store.connection import NotTogether
from app.store.many_rows import Row


class Opening(Struct, frozen=True, gc=False):
    """A node, and what is stored with it: the chat that it opens, that chat's deletion, turns, files.

    `node` lacks the numbers of the node and of the one that its turn began with.
    """

    node: Row
    opens_turn: bool
    parent_id: str | None
    before_key: str
    session: Row | None
    deletion: Row | None
    turns: Sequence[Row]
    files: Sequence[Row]


class Ending(Struct, frozen=True, gc=False):
    """How a node ended, and the calls that it makes."""

    node: Row
    calls: Sequence[Row]


def write_turns(connection: sqlite3.Connection, turns: Sequence[Opening | Ending]) -> None:
    """Write what begins, then what ends, each in the order in which it came.

    Raises NotTogether where one of several nodes had ended before.
    """
    openings = [turn for turn in turns if isinstance(turn, Opening)]
    endings = [turn for turn in turns if isinstance(turn, Ending)]
    if openings:
        _open(connection, openings)
    if endings:
        _end(connection, endings)


def _open(connection: sqlite3.Connection, openings: Sequence[Opening]) -> None:
    sessions = [opening.session for opening in openings if opening.session is not None]
    if sessions:
        statements.ADD_SESSIONS.run(connection, sessions)
    statements.ADD_NODES.run(connection, _numbered(connection, openings))
    for statement, rows in (
        (statements.ADD_TURN, [row for opening in openings for row in opening.turns]),
        (statements.ADD_NODE_FILE, [row for opening in openings for row in opening.files]),
        (statements.HOLD_DELETION, [opening.deletion for opening in openings if opening.deletion is not None]),
    ):
        if rows:
            connection.executemany(statement, rows)


def _numbered(connection: sqlite3.Connection, openings: Sequence[Opening]) -> list[Row]:
    """Return the nodes with their numbers and those of the nodes that their turns began with, if these are known."""
    number = connection.execute(statements.LAST_NUMBER).fetchone()[0] or 0
    starts: dict[tuple[str | None, str], int | None] = {}  # of the nodes of this transaction
    nodes = []
    for opening in openings:
        number += 1
        start: int | None = number
        if not opening.opens_turn:
            parent = (opening.parent_id, opening.before_key)
            start = starts[parent] if parent in starts else _turn_start(connection, parent)
        starts[opening.node[0], opening.before_key] = start
        nodes.append((number, start, *opening.node))
    return nodes


def _turn_start(connection: sqlite3.Connection, parent: Row) -> int | None:
    row = connection.execute(statements.TURN_START, parent).fetchone()
    return None if row is None else row[0]


def _end(connection: sqlite3.Connection, endings: Sequence[Ending]) -> None:
    """Only a node's first end counts, and only with it are its calls kept."""
    ended = statements.END_NODES.run(connection, [ending.node for ending in endings])
    if ended < len(endings):
        if len(endings) > 1:
            raise NotTogether
        return
    calls = [call for ending in endings for call in ending.calls]
    if calls:
        connection.executemany(statements.ADD_CALL, calls)

"""Reads the conversations that end as a client's does (docs/sessions.md, Window).

Keys come first, texts only of the turns that differ, and each once: conversations that end alike are often one, looked
at from many of its turns.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.json import encode

from app.core.history import TurnRead
from app.core.window import Tail, TailTurn
from app.store import statements

_Text = tuple[str | None, frozenset[str]]
_UNKNOWN: _Text = (None, frozenset())


class TailQuery(Struct, frozen=True):
    """The turns of a client, newest first, and how many conversations that end with the newest are looked at.

    `scope` is the key before a first turn; `same_user`: only conversations with the same last user text count.
    """

    turns: Sequence[TurnRead]
    scope: str
    same_user: bool
    limit: int

    def read(self, connection: sqlite3.Connection) -> Sequence[Tail]:
        """Return the conversations; without any texts if there are as many as may be looked at."""
        walks = [walk for walk in self._walks(connection) if len(walk.others) == len(self.turns)]
        texts = _texts(connection, walks) if len(walks) < self.limit else {}
        return [self._tail(walk, texts) for walk in walks]

    def _walks(self, connection: sqlite3.Connection) -> list["_Walk"]:
        values = {
            "turns": encode([(turn.user_key, turn.answer_key) for turn in self.turns]).decode(),
            "answer_key": self.turns[0].answer_key,
            "user_key": self.turns[0].user_key,
            "limit": self.limit,
        }
        statement = statements.FIND_TAILS_OF_USER if self.same_user else statements.FIND_TAILS
        walks: list[_Walk] = []
        for key, before, other, place in connection.execute(statement, values):
            if key is not None:
                walks.append(_Walk(key))
            walks[-1].before = before
            walks[-1].others.append(None if other is None else (other, place))
        return walks

    def _tail(self, walk: "_Walk", texts: Mapping[int, _Text]) -> Tail:
        turns = [
            TailTurn(turn.user_key, None) if other is None else TailTurn(other[0], *texts.get(other[1] or 0, _UNKNOWN))
            for turn, other in zip(self.turns, walk.others, strict=True)
        ]
        return Tail(walk.key, tuple(turns), walk.before == self.scope)


class _Walk:
    """A conversation from its end back; `others` are the user's keys and nodes of turns that differ, else None."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.before = ""
        self.others: list[tuple[str, int | None] | None] = []


def _texts(connection: sqlite3.Connection, walks: Sequence[_Walk]) -> Mapping[int, _Text]:
    """Return what the users of the differing turns said, and the digests of their files, by the turns' first nodes."""
    places = {other[1] for walk in walks for other in walk.others if other and other[1]}
    if not places:
        return {}
    rows = connection.execute(statements.TEXTS_OF_TURNS, (encode(sorted(places)).decode(),))
    return {place: (text, frozenset((files or "").split())) for place, text, files in rows}

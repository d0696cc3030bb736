"""Recognise a conversation by its last turns, where the client has trimmed the first (docs/sessions.md, Window).

Pure: the store gives the stored conversations that end as the client's does, this chooses among them or refuses.
"""

from collections.abc import Sequence

from msgspec import Struct

from app.core.canonical import canonical_user
from app.core.history import History, TurnRead

ENOUGH_CHARS = 40  # canonical, of an answer that may decide alone; shorter ones come up in many conversations
_MOST_TAILS = 256  # conversations that are looked through; if that many end alike, the end says too little
_MOST_STEPS = 100_000  # from turn to turn, in all of them: half a second, in which nothing else is looked up


class TailTurn(Struct, frozen=True):
    """A stored turn. `user_text` is the raw text of its user, None where it is equal to the client's or not kept.

    `files` are the digests of what the user attached.
    """

    user_key: str
    user_text: str | None
    files: frozenset[str] = frozenset()


class Tail(Struct, frozen=True):
    """A stored conversation whose last answers are the client's; `turns` are newest first, as many as the client's.

    `is_whole` says that it has no earlier turn.
    """

    key: str
    turns: tuple[TailTurn, ...]
    is_whole: bool


class Doubt(Struct, frozen=True):
    """Why no stored conversation was chosen."""

    reason: str


def enough_said(history: History, turns: int) -> bool:
    """Say whether the first turns of a history are enough to know a conversation by."""
    if turns != 1:
        return turns >= 2
    first = history.turns[0]
    return first.has_user and len(history.answer_of(first)) >= ENOUGH_CHARS


def most_tails(turns: int) -> int:
    """Return how many conversations are looked through for the end that so many turns are."""
    return min(_MOST_TAILS, _MOST_STEPS // turns)


def choose_tail(history: History, newest_first: Sequence[TurnRead], tails: Sequence[Tail]) -> Tail | Doubt:
    """Choose the stored conversation that these turns of the client's history are the end of.

    A whole one before a trimmed one, then by the number of equal user texts. If two are alike, neither.
    """
    ranked: dict[tuple[bool, int], list[Tail]] = {}
    for tail in tails:
        exact = 0
        for asked, stored in zip(newest_first, tail.turns, strict=True):
            agreement = agrees(history, asked, stored)
            if agreement is None:
                break
            exact += agreement
        else:
            ranked.setdefault((tail.is_whole, exact), []).append(tail)
    if not ranked:
        return Doubt("no stored conversation ends with these turns")
    best = ranked[max(ranked)]
    if len(best) > 1:
        return Doubt(f"{len(best)} stored conversations end with these turns")
    return best[0]


def agrees(history: History, asked: TurnRead, stored: TailTurn) -> bool | None:
    """Say whether the user texts of a turn and a stored one are equal (True), the other holds it (False), or none.

    Clients put more around a text when they first send it (references, reminders, pictures) and leave that out later;
    a text that has grown since, or has other files, was edited, and the model has not seen it.
    """
    if asked.user_key == stored.user_key:
        return True
    if not asked.has_user:
        return False
    if stored.user_text is None or not stored.files.issuperset(asked.files):
        return None
    text = history.user_of(asked)
    return False if text and text in canonical_user(stored.user_text) else None

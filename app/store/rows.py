"""Rows of the database as values of the core, and the other way round."""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec.json import decode, encode

from app.core.ports import KeptAnswer, KnownNode, NamedAnswer, NewNode, NewSession, NodeEnd, OpenNode, PathNode, Place
from app.core.told import Told
from app.store.many_rows import Row
from app.store.turns import NO_SESSION, Ending, Opening

_TOLD = ("told_key", "told_calls", "told_results", "told_call", "told_pictures")


def utf8(text: str) -> str:
    """Make a text storable: half a surrogate pair, which JSON may carry, has no UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def read_place(row: Sequence[Any]) -> Place:
    """Return where an answer is, of the columns of statements._PLACE, which come first."""
    (
        key, node_id, session_id, chat_id, response_id, before_key, system_digest, depth, has_children, input_tokens,
        told_key, told_calls, told_results, told_ids, told_pictures, is_cut, *_,
    ) = row  # fmt: skip
    told = _read_told(told_key, told_calls, told_results, told_ids, told_pictures)
    return Place(
        key,
        node_id,
        session_id,
        chat_id,
        response_id,
        before_key or "",
        system_digest,
        depth,
        bool(has_children),
        told,
        input_tokens,
        bool(is_cut),
    )


def read_answer(row: sqlite3.Row, place: Place) -> NamedAnswer:
    """Return an answer that was named, of the columns of statements.FIND_ANSWER."""
    return NamedAnswer(
        place=place,
        account=row["account"],
        is_live=bool(row["is_live"]),
        state=row["state"],
        user_key=row["user_key"] or "",
        answer_key=row["answer_key"] or "",
        results=row["results"],
    )


def read_kept_answer(row: sqlite3.Row) -> KeptAnswer:
    """Return what is kept of an answer, of the columns of statements.KEPT_ANSWER."""
    return KeptAnswer(
        model=row["model"],
        created_at=datetime.fromisoformat(row["created_at"]),
        state=row["state"],
        error=row["error"] or "",
        finish_reason=row["finish_reason"],
        text=row["answer_text"],
        reasoning=row["reasoning_text"],
        calls=tuple(decode(row["calls"])),
    )


def read_path_node(row: sqlite3.Row) -> PathNode:
    """Return a node on the way to an answer, of the columns of statements.PATH."""
    return PathNode(
        said=row["said"],
        sent=row["sent"],
        answer=row["answer"],
        files=tuple(decode(row["files"])),
        calls=tuple(decode(row["calls"])),
        opens_turn=bool(row["opens_turn"]),
        asked_again=bool(row["asked_again"]),
        shows_image=bool(row["shows_image"]),
        system_digest=row["system_digest"],
    )


def _read_told(key: str | None, calls: str, results: str, ids: str | None, pictures: str) -> Told | None:
    """Return what a chat was told up to a node, None where that was not recorded."""
    if key is None:
        return None
    if not ids:
        return Told(key, calls, results, (), frozenset(pictures.split()))
    made, some, answered = ids.partition("/")
    call_ids = tuple(made.split())
    answered_ids = tuple(answered.split()) if some else tuple(sorted(call_ids))
    return Told(key, calls, results, call_ids, frozenset(pictures.split()), answered_ids)


def _told_of(row: sqlite3.Row) -> Told:
    return _read_told(*(row[column] for column in _TOLD)) or Told()


def read_known_node(row: sqlite3.Row) -> KnownNode:
    """Return what is stored of an answer that the site has."""
    return KnownNode(row["id"], row["turn_key"], row["depth"], row["system_digest"], _told_of(row))


def read_open_node(row: sqlite3.Row, known_responses: Iterable[str]) -> OpenNode:
    """Return an answer that a stop cut; `known_responses` are the site's answers that are stored of its session."""
    return OpenNode(
        node_id=row["node_id"],
        session_id=row["session_id"],
        chat_id=row["chat_id"],
        owner=row["owner"],
        account=row["account"],
        parent_response_id=row["parent_response_id"],
        sent_digest=row["sent_digest"],
        before_key=row["before_key"] or "",
        user_key=row["user_key"] or "",
        answered=row["answered_text"],
        results=row["results"],
        opens_turn=bool(row["opens_turn"]),
        told=_told_of(row),
        known_responses=frozenset(known_responses),
        said=row["said"] or "",
    )


_NOTHING_TOLD = (None, None, None, "", "")


def _told_columns(told: Told | None) -> tuple[str | None, ...]:
    """Return what turns.py writes of what a chat was told."""
    if told is None:
        return _NOTHING_TOLD
    ids = _ids_of(told) if told.call_ids or told.answered_ids else ""
    return told.key, told.calls, told.results, ids, " ".join(sorted(told.pictures))


def _ids_of(told: Told) -> str:
    """Write the ids of calls in one column; those that were answered behind a stroke, unless all were, and no other."""
    made = " ".join(told.call_ids)
    return made if {*told.answered_ids} == {*told.call_ids} else f"{made}/{' '.join(told.answered_ids)}"


def _json(rows: Sequence[Row]) -> str:
    """Write rows as turns.py takes them; SQLite would end their texts at a NUL."""
    return encode(rows).decode() if rows else ""


class Columns:
    """The rows that turns.py writes; without `store_text` they hold hashes and lengths in place of texts."""

    def __init__(self, *, store_text: bool) -> None:
        self._store_text = store_text

    def of_opening(self, node: NewNode, session: NewSession | None, at: str) -> Opening:
        """Return what the opening of a turn writes; `at` as in the database."""
        return Opening(
            node=self._of_node(node, at),
            asked=(node.asked_key, self._text(node.answered)),
            told=_told_columns(node.told),
            session=NO_SESSION if session is None else self._of_session(session),
            opens_turn=1 if node.opens_turn else 0,
            turns=_json([(row.key, row.before_key, row.user_key, row.answer_key) for row in node.rows]),
            files=_json([(file.kind, self._text(file.name), file.digest) for file in node.files]),
            said=self._text(node.said) if node.said else None,
        )

    def of_ending(self, end: NodeEnd, at: str) -> Ending:
        """Return what the end of an answer writes; `at` as in the database."""
        turn = end.turn
        node = (
            end.state,
            end.response_id,
            self._text(end.answer_text),
            len(end.answer_text),
            self._text(end.reasoning_text),
            end.finish_reason,
            utf8(end.error) if end.error else "",
            end.input_tokens,
            end.output_tokens,
            at,
            "" if turn is None else turn.answer_key,
            1 if end.recovered else 0,
        )
        return Ending(
            node_id=end.node_id,
            node=node,
            keys=("" if turn is None else turn.key, end.step_key or ""),
            told=_told_columns(end.told),
            is_whole=end.state != "aborted" and not end.recovered,
            calls=_json([(call, end.scope) for call in end.calls]),
        )

    def _of_session(self, session: NewSession) -> Row:
        """Return what turns.py writes of a chat that a turn opens."""
        because = utf8(session.delete_because) if session.delete_because else ""
        return (
            session.owner,
            session.account,
            session.chat_id,
            session.model,
            self._text(session.title),
            "doomed" if because else "live",
            because,
            "pulled" if session.pulled else "made",
            because,
        )

    def _of_node(self, node: NewNode, at: str) -> Row:
        """Return what turns.py writes of a node that begins."""
        return (
            node.id,
            node.session_id,
            node.parent_id or "",
            node.depth,
            node.match,
            node.model,
            self._text(node.user_text),
            self._text(node.sent_text) if node.sent_text else "",
            len(node.user_text),
            node.system_digest,
            node.before_key,
            node.user_key,
            node.results,
            node.sent_digest,
            at,
        )

    def _text(self, text: str | None) -> str | None:
        """Keep a text, or nothing of it where the owner wants no texts."""
        return None if text is None or not self._store_text else utf8(text)

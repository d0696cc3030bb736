"""Rows of the database as values of the core, and the other way round."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from app.clock import timestamp
from app.core.ports import KnownNode, NewNode, NewSession, NodeEnd, OpenNode, Place
from app.core.told import Told
from app.core.window import TailTurn


def utf8(text: str) -> str:
    """Make a text storable: half a surrogate pair, which JSON may carry, has no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def read_place(row: sqlite3.Row) -> Place:
    """Return where an answer is."""
    return Place(
        key=row["key"],
        node_id=row["node_id"],
        session_id=row["session_id"],
        chat_id=row["chat_id"],
        response_id=row["response_id"],
        before_key=row["before_key"] or "",
        system_digest=row["system_digest"],
        depth=row["depth"],
        has_children=bool(row["has_children"]),
        told=_read_told(row),
        input_tokens=row["input_tokens"],
    )


def read_tail_turn(row: sqlite3.Row) -> TailTurn:
    """Return a turn near the end of a conversation."""
    return TailTurn(row["user_key"], row["user_text"], frozenset((row["files"] or "").split()))


def _read_told(row: sqlite3.Row) -> Told | None:
    """Return what a chat was told up to a node, None where that was not recorded."""
    if row["told_key"] is None:
        return None
    call_ids = (row["told_call"],) if row["told_call"] else ()
    pictures = frozenset(row["told_pictures"].split())
    return Told(row["told_key"], row["told_calls"], row["told_results"], call_ids, pictures)


def read_known_node(row: sqlite3.Row) -> KnownNode:
    """Return what is stored of an answer that the site has."""
    return KnownNode(row["id"], row["turn_key"], row["depth"], row["system_digest"], _read_told(row) or Told())


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
        told=_read_told(row) or Told(),
        known_responses=frozenset(known_responses),
    )


def _told_columns(told: Told | None) -> dict[str, object]:
    if told is None:
        return {**dict.fromkeys(("told_key", "told_calls", "told_results", "told_call")), "told_pictures": ""}
    return {
        "told_key": told.key,
        "told_calls": told.calls,
        "told_results": told.results,
        "told_call": utf8(told.call_ids[-1]) if told.call_ids else None,
        "told_pictures": " ".join(sorted(told.pictures)),
    }


class Columns:
    """The values that statements.py takes; without `store_text` they hold hashes and lengths in place of texts."""

    def __init__(self, *, store_text: bool) -> None:
        self._store_text = store_text

    def of_session(self, session: NewSession, at: datetime) -> dict[str, object]:
        """Return the values of ADD_SESSION."""
        return {
            "id": session.id,
            "owner": session.owner,
            "account": session.account,
            "chat_id": session.chat_id,
            "model": session.model,
            "title": self.text(session.title),
            "state": "doomed" if session.delete_because else "live",
            "reason": None if session.delete_because is None else utf8(session.delete_because),
            "origin": "pulled" if session.pulled else "made",
            "at": timestamp(at),
        }

    def of_node(self, node: NewNode, at: datetime) -> dict[str, object]:
        """Return the values of ADD_NODE."""
        return {
            "id": node.id,
            "session_id": node.session_id,
            "parent_id": node.parent_id,
            "depth": node.depth,
            "match": node.match,
            "model": node.model,
            "user_text": self.text(node.user_text),
            "sent_text": self.text(node.sent_text),
            "user_chars": len(node.user_text),
            "system_digest": node.system_digest,
            "before_key": node.before_key,
            "user_key": node.user_key,
            "asked_key": node.asked_key,
            "answered": self.text(node.answered),
            "results": node.results,
            "opens_turn": node.opens_turn,
            "sent_digest": node.sent_digest,
            **_told_columns(node.told),
            "at": timestamp(at),
        }

    def of_end(self, end: NodeEnd, at: datetime) -> dict[str, object]:
        """Return the values of END_NODE."""
        return {
            "id": end.node_id,
            "state": end.state,
            "response_id": end.response_id,
            "answer": self.text(end.answer_text),
            "answer_chars": len(end.answer_text),
            "reasoning": self.text(end.reasoning_text),
            "finish_reason": end.finish_reason,
            "error": None if end.error is None else utf8(end.error),
            "input_tokens": end.input_tokens,
            "output_tokens": end.output_tokens,
            "at": timestamp(at),
            "turn_key": None if end.turn is None else end.turn.key,
            "answer_key": None if end.turn is None else end.turn.answer_key,
            "step_key": end.step_key,
            "recovered": end.recovered,
            **_told_columns(end.told),
        }

    def text(self, text: str | None) -> str | None:
        """Keep a text, or nothing of it where the owner wants no texts."""
        return None if text is None or not self._store_text else utf8(text)

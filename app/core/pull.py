"""Bring chats that were made or continued in the browser into the store (docs/operating.md, Pull).

What is stored already is left alone, so that a pull can be repeated, and go on where another was interrupted.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from app.clock import Clock
from app.core.canonical import canonical_user, sent_digest
from app.core.history import turn_and_step
from app.core.ids import new_hex
from app.core.keys import Keys
from app.core.ports import (
    ChatMessage,
    ChatRecord,
    ChatSummary,
    KnownChat,
    KnownNode,
    NewNode,
    NewSession,
    NodeEnd,
    SessionStore,
    Upstream,
)
from app.core.system_text import system_digest
from app.core.told import Told
from app.errors import ChatGone

_log = logging.getLogger(__name__)


class PullReport(Struct, frozen=True):
    """What a pull did: chats in the account's list, chats that were read, answers that were new, chats passed over."""

    listed: int = 0
    read: int = 0
    answers: int = 0
    passed_over: int = 0


class Pull:
    """One pull for one owner. `pause` is the least time between two requests to the site, in seconds."""

    def __init__(self, upstream: Upstream, store: SessionStore, clock: Clock, *, owner: str, pause: float) -> None:
        self._upstream = upstream
        self._store = store
        self._clock = clock
        self._owner = owner
        self._pause = pause
        self._account = upstream.account_name()
        self._keys = Keys.of(owner, self._account)

    async def run(self, on_chat: Callable[[ChatSummary, int], None], *, most: int | None = None) -> PullReport:
        """Go through the account's list, newest first, at most `most` chats; tell each chat that had something new.

        The list ends at a page with nothing new: past its end it is empty, or might show a page again.
        Raises UpstreamError and StoreError; what was stored until then stays.
        """
        report = PullReport()
        page, seen = 1, set[str]()
        while new := {row.id: row for row in await self._upstream.list_chats(page) if row.id not in seen}:
            for row in new.values():  # the list moves while it is read, and shows some again
                if most is not None and report.listed >= most:
                    return report
                seen.add(row.id)
                report = await self._one(replace(report, listed=report.listed + 1), row, on_chat)
            page += 1
            await asyncio.sleep(self._pause)
        return report

    async def _one(
        self, report: PullReport, row: ChatSummary, on_chat: Callable[[ChatSummary, int], None]
    ) -> PullReport:
        known = await self._store.known_chat(row.id)
        if known is not None and (not known.live or known.is_open or known.owner != self._owner):
            return replace(report, passed_over=report.passed_over + 1)
        read_until = known.known_until if known else None
        if read_until is not None and row.updated_at is not None and row.updated_at <= read_until:
            return report
        await asyncio.sleep(self._pause)
        try:
            chat = await self._upstream.read_chat(row.id)
        except ChatGone:
            return replace(report, passed_over=report.passed_over + 1)
        answers = await self._take_in(chat, known)
        if row.updated_at is not None:
            await self._store.saw_chat(row.id, row.updated_at)
        if answers:
            on_chat(row, answers)
        return replace(report, read=report.read + 1, answers=report.answers + answers)

    async def _take_in(self, chat: ChatRecord, known: KnownChat | None) -> int:
        """Store the answers of a chat that are not stored yet; return how many."""
        nodes = {} if known is None else dict(known.nodes)
        session = None if known else self._session(chat)
        session_id = known.session_id if known else session.id if session else ""
        users = {message.id: message for message in chat.messages if message.role == "user"}
        count = 0
        for answer in chat.messages:
            asked = users.get(answer.parent_id or "")
            if answer.role != "assistant" or asked is None or answer.id in nodes:
                continue
            if not answer.finished or not answer.text.strip():
                continue
            parent = None if asked.parent_id is None else nodes.get(asked.parent_id)
            if asked.parent_id is not None and (parent is None or parent.turn_key is None):
                continue  # what it follows is not stored, or nothing may continue from it
            nodes[answer.id] = await self._add(session_id, session, asked, answer, parent, chat)
            session = None
            count += 1
        return count

    async def _add(
        self,
        session_id: str,
        session: NewSession | None,
        asked: ChatMessage,
        answer: ChatMessage,
        parent: KnownNode | None,
        chat: ChatRecord,
    ) -> KnownNode:
        before = self._keys.root if parent is None or parent.turn_key is None else parent.turn_key
        user_key = self._keys.user(canonical_user(asked.text))
        turn, step_key = turn_and_step(self._keys, before, user_key, "", answer.text, 0)
        asked_told = replace(parent.told if parent else Told(), calls="", results="")
        told = asked_told.after_answer(answer.text, ())
        node = NewNode(
            id=f"node_{new_hex()}",
            session_id=session_id,
            parent_id=parent.node_id if parent else None,
            depth=parent.depth + 1 if parent else 1,
            match="exact" if parent else "new",
            model=answer.model or chat.model or "unknown",
            system_digest=parent.system_digest if parent else system_digest(""),
            user_text=asked.text,
            sent_text=None,
            before_key=before,
            user_key=user_key,
            asked_key=self._keys.asked(before, user_key),
            answered="",
            results=0,
            opens_turn=True,
            sent_digest=sent_digest(asked.text),
            told=asked_told,
        )
        end = NodeEnd(
            node_id=node.id,
            state="aborted" if answer.stopped else "complete",
            response_id=answer.id,
            answer_text=answer.text,
            reasoning_text=answer.reasoning,
            finish_reason=None if answer.stopped else "stop",
            error="stopped in the browser" if answer.stopped else None,
            turn=turn,
            step_key=step_key,
            input_tokens=None,
            output_tokens=None,
            told=told,
        )
        await self._store.open_turn(node, session, self._time(asked, chat))
        await self._store.finish_turn(end, self._time(answer, chat))
        return KnownNode(node.id, turn.key, node.depth, node.system_digest, told)

    def _time(self, message: ChatMessage, chat: ChatRecord) -> datetime:
        return message.at or chat.updated_at or self._clock.now()

    def _session(self, chat: ChatRecord) -> NewSession:
        return NewSession(
            id=f"session_{new_hex()}",
            owner=self._owner,
            account=self._account,
            chat_id=chat.id,
            model=chat.model or "unknown",
            title=chat.title,
            pulled=True,
        )

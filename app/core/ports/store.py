"""A store that remembers, as the core asks for it. All datetimes are aware and in UTC."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from app.core.history import TurnRead
from app.core.ports.deletions import DeletionQueue
from app.core.ports.records import (
    Calling,
    CutAnswer,
    KeptAnswer,
    KnownChat,
    NamedAnswer,
    NewNode,
    NewSession,
    NodeEnd,
    OpenNode,
    PathNode,
    Place,
    StoreOverview,
)
from app.core.window import Tail


class SessionStore(Protocol):
    """Sessions and their nodes. Each write is one transaction; only `StoreError` comes out.

    A write that was asked for is done, whether or not its caller still waits for it.
    """

    @property
    def deletions(self) -> DeletionQueue:
        """The chats to delete."""
        ...

    async def find_turn(self, *turn_keys: str) -> Sequence[Place]:
        """Return the newest nodes with these turn keys: those with the first key first, then the newest first."""
        ...

    async def find_step(self, *step_keys: str) -> Sequence[Place]:
        """Return the newest nodes with these step keys: those with the first key first, then the newest first."""
        ...

    async def find_calls(self, call_ids: Sequence[str], scope: str) -> Mapping[str, Calling]:
        """Return the nodes that made these tool calls, by call id; calls that nobody made are left out."""
        ...

    async def find_answer(self, node_id: str, owner: str) -> NamedAnswer | None:
        """Return an owner's answer by the id that its node had when it began, None if there is none.

        Where the model was asked again, it is the last answer that has that name.
        """
        ...

    async def kept_answer(self, node_id: str, owner: str) -> KeptAnswer | None:
        """Return what is kept of an owner's answer, by the name that `find_answer` takes; None if there is none."""
        ...

    async def path(self, node_id: str, *, whole: bool) -> Sequence[PathNode]:
        """Return the nodes that lead to one, itself the last: from the chat's first, or else from its turn's."""
        ...

    async def made_calls(self, call_ids: Sequence[str], owner: str) -> Sequence[tuple[str | None, tuple[str, ...]]]:
        """Return of an owner's answers that made any of these calls the text, where it is kept, and all call ids."""
        ...

    async def answer_text(self, node_id: str) -> str | None:
        """Return the raw text of a stored answer, None where it is not kept."""
        ...

    async def find_tails(
        self, newest_first: Sequence[TurnRead], scope: str, *, same_user: bool, limit: int
    ) -> Sequence[Tail]:
        """Return stored conversations that end with these answers, at most the `limit` newest that end with the last.

        `same_user`: only those with the same last user text. `scope` is the key before a first turn. Where there are
        `limit` of them, their texts are left out.
        """
        ...

    async def find_cut(self, *asked_keys: str) -> Sequence[CutAnswer]:
        """Return answers to what these keys name that were cut or recovered, the newest first."""
        ...

    async def known_chat(self, chat_id: str) -> KnownChat | None:
        """Return what is stored of a chat."""
        ...

    async def saw_chat(self, chat_id: str, updated_at: datetime) -> None:
        """Note how new the site's copy of a stored chat was when it was read."""
        ...

    def open_turn(self, node: NewNode, session: NewSession | None, at: datetime) -> "asyncio.Future[None]":
        """Record a message before it is sent; with `session` also the new chat that it opens.

        Under way when this returns; await it to know that it is done. Cancelling the one that waits does not undo it.
        """
        ...

    def finish_turn(self, end: NodeEnd, at: datetime) -> "asyncio.Future[None]":
        """Record how the answer ended, durably. A StoreError with `retry_after` may pass: ask for it again.

        Under way when this returns; await it to know that it is done. Cancelling the one that waits does not undo it.
        """
        ...

    async def interrupted(self, at: datetime) -> Sequence[OpenNode]:
        """At the start: return the answers that a stop left open, and let held deletions go.

        An answer in a chat that is to be deleted is marked as failed instead.
        """
        ...

    async def forget(self, session_id: str, reason: str, at: datetime) -> None:
        """Upstream lost this chat: nothing continues from it any more. Its history stays."""
        ...

    async def release(self, session_id: str, due: datetime) -> None:
        """Let a held deletion be tried from `due` on."""
        ...

    async def doom(self, session_id: str, reason: str, at: datetime, due: datetime) -> None:
        """Queue a live session's chat for deletion from `due` on; nothing continues from it any more."""
        ...

    async def overview(self) -> StoreOverview:
        """Count what is stored."""
        ...

    async def size(self) -> int:
        """Return the size of the database in bytes, without what waits in its journal."""
        ...

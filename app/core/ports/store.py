"""A store that remembers, as the core asks for it. All datetimes are aware and in UTC."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from app.core.attachments import FileKind
from app.core.history import TurnRead, TurnRow
from app.core.told import Told
from app.core.window import Tail, TailTurn

Match = Literal["new", "exact", "window", "tool-call", "branch"]
NodeState = Literal["open", "complete", "aborted", "failed"]


class Place(Struct, frozen=True, gc=False):
    """A stored answer that a request can go on from.

    `key` is the key or call id that it was found by, `before_key` names what came before its turn. `told` is what its
    chat was told beside the texts, up to it; None for one that was stored before this was kept. `input_tokens` are
    those that the chat held before this answer, as upstream counted them; None if it did not.
    """

    key: str
    node_id: str
    session_id: str
    chat_id: str
    response_id: str
    before_key: str
    system_digest: str
    depth: int
    has_children: bool
    told: Told | None
    input_tokens: int | None = None


class Calling(Struct, frozen=True, gc=False):
    """The answer that made a call, and the user text that its turn began with, as far as it is kept."""

    place: Place
    asked: TailTurn


class CutAnswer(Struct, frozen=True, gc=False):
    """An answer that was cut or recovered: its raw text, and the canonical text of its turn's answers before it."""

    place: Place
    answered: str
    text: str


class OpenNode(Struct, frozen=True, gc=False):
    """An answer that the end of the process interrupted, and what is needed to find and record it.

    `sent_digest` knows the text that upstream was sent, None if it was sent before this was kept. `answered` is the
    canonical text of the answers before it in its turn, None where texts are not kept; `opens_turn`: there are none.
    `known_responses` are the answers of its chat that are stored already. `said` is what the client was sent before the
    model was asked again.
    """

    node_id: str
    session_id: str
    chat_id: str
    owner: str
    account: str
    parent_response_id: str | None
    sent_digest: str | None
    before_key: str
    user_key: str
    answered: str | None
    results: int
    opens_turn: bool
    told: Told
    known_responses: frozenset[str]
    said: str = ""


class NewSession(Struct, frozen=True, gc=False):
    """A chat that we made upstream.

    `delete_because` is the reason to delete it after its answer (a side call, IS_DELETE), None for a chat that stays.
    Its deletion is stored, held, in the same transaction; `release` or the next start lets it go. `pulled`: it was made
    in the browser, and is never deleted upstream.
    """

    id: str
    owner: str
    account: str
    chat_id: str
    model: str
    title: str
    delete_because: str | None = None
    pulled: bool = False


class NodeFile(Struct, frozen=True, gc=False):
    """A file that came with a message, as the history names it; `digest` is that of the client's attachment."""

    kind: FileKind
    name: str
    digest: str


class NewNode(Struct, frozen=True, gc=False):
    """A message that is about to be sent; `depth` counts nodes from the root, which is 1.

    `user_text` is what the client newly said, `sent_text` what upstream is sent, if that differs (a transcript,
    a changed system prompt), `sent_digest` what upstream's copy of it is known by. `before_key`, `user_key`,
    `asked_key`, `answered` and `results` say where in the conversation it stands (core/history.py); `opens_turn` that
    no answer of its turn came before it; `told` what the chat is told up to it. `rows` are earlier turns that the store
    does not know yet, `files` what the client newly attached. `said` is what the client was already sent of the answer:
    the model is asked again.
    """

    id: str
    session_id: str
    parent_id: str | None
    depth: int
    match: Match
    model: str
    system_digest: str
    user_text: str
    sent_text: str | None
    before_key: str
    user_key: str
    asked_key: str
    answered: str
    results: int
    opens_turn: bool
    sent_digest: str
    told: Told
    rows: tuple[TurnRow, ...] = ()
    files: tuple[NodeFile, ...] = ()
    said: str = ""


class NodeEnd(Struct, frozen=True, gc=False):
    """How an answer ended. `turn` is None for a node that nothing may continue from, `step_key` where no results can.

    `told` is what the chat was told up to its end. `calls` are the ids of the tool calls that it makes, which `scope`
    (the keys' root) limits to their owner.
    `recovered`: it was read back from upstream after the process had ended.
    """

    node_id: str
    state: Literal["complete", "aborted", "failed"]
    response_id: str | None
    answer_text: str
    reasoning_text: str
    finish_reason: str | None
    error: str | None
    turn: TurnRow | None
    step_key: str | None
    input_tokens: int | None
    output_tokens: int | None
    told: Told | None = None
    recovered: bool = False
    calls: tuple[str, ...] = ()
    scope: str = ""


class KnownNode(Struct, frozen=True, gc=False):
    """A stored answer as a pull needs it; without a turn key nothing may continue from it."""

    node_id: str
    turn_key: str | None
    depth: int
    system_digest: str
    told: Told


class KnownChat(Struct, frozen=True, gc=False):
    """A chat that is stored: its answers by response id, and how new the site's copy was that a pull last read.

    `is_open`: an answer is being written.
    """

    session_id: str
    owner: str
    live: bool
    is_open: bool
    known_until: datetime | None
    nodes: Mapping[str, KnownNode]


class Deletion(Struct, frozen=True, gc=False):
    """A chat that is to be deleted upstream."""

    chat_id: str
    attempts: int


class StoreOverview(Struct, frozen=True, gc=False):
    """Counts for `GET /` and `/ready`."""

    sessions: int
    nodes: int
    pending_deletions: int


class SessionStore(Protocol):
    """Sessions, their nodes and the chats to delete. Each method is one transaction; only `StoreError` comes out.

    A write that was asked for is done, whether or not its caller still waits for it.
    """

    async def find_turn(self, *turn_keys: str) -> Sequence[Place]:
        """Return the newest nodes with these turn keys: those with the first key first, then the newest first."""
        ...

    async def find_step(self, *step_keys: str) -> Sequence[Place]:
        """Return the newest nodes with these step keys: those with the first key first, then the newest first."""
        ...

    async def find_calls(self, call_ids: Sequence[str], scope: str) -> Mapping[str, Calling]:
        """Return the nodes that made these tool calls, by call id; calls that nobody made are left out."""
        ...

    async def find_tails(
        self, newest_first: Sequence[TurnRead], scope: str, *, same_user: bool, limit: int
    ) -> Sequence[Tail]:
        """Return stored conversations that end with these answers, at most the `limit` newest that end with the last.

        `same_user`: only those with the same last user text. `scope` is the key before a first turn.
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

    async def doom_idle(self, before: datetime, at: datetime, limit: int) -> int:
        """Doom up to `limit` sessions last used before that moment, without an open node; return how many."""
        ...

    async def due_deletions(self, account: str, at: datetime, limit: int) -> Sequence[Deletion]:
        """Return deletions of this account's chats that are due, longest overdue first."""
        ...

    async def next_deletion_due(self, account: str) -> datetime | None:
        """Return when the next deletion that is not held is due, None if there is none."""
        ...

    async def deletion_done(self, chat_id: str, at: datetime) -> None:
        """The chat is gone upstream."""
        ...

    async def deletion_failed(self, chat_id: str, error: str, at: datetime, due: datetime) -> None:
        """A try failed: count it, and try again at `due`."""
        ...

    async def overview(self) -> StoreOverview:
        """Count what is stored."""
        ...

    async def size(self) -> int:
        """Return the size of the database in bytes, without what waits in its journal."""
        ...

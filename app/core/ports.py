"""What the core asks of the world: an upstream that answers, a store that remembers, an owner for its tasks.

Adapters live in `app/upstream` and `app/store`; only `app/main.py` names one. All datetimes are aware and in UTC.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from app.core.events import Event

# --- upstream -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model of upstream's live list. `context_tokens` is None where upstream does not tell."""

    id: str
    name: str
    owned_by: str
    created: int
    context_tokens: int | None
    can_think: bool
    must_think: bool
    is_general: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """One message for upstream: its place in the tree, its text, and how to answer it.

    `parent_id` is the response id of the answer that it follows, None for the first message of a chat. `is_sibling`
    says that another message already follows the same parent. `thinking_budget` is in tokens.
    """

    chat_id: str
    parent_id: str | None
    text: str
    model: str
    is_sibling: bool = False
    thinking: bool = True
    thinking_budget: int | None = None
    search: bool = False


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """Whose credential upstream sees and whether it still works, as last known; reading it costs no call.

    `problem` is None while all is well, else one sentence for a person.
    """

    upstream: Literal["qwen", "emulator"]
    account: str
    token_expires_at: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ChatSummary:
    """One row of the account's list of chats."""

    id: str
    title: str
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message or an answer in a chat's tree.

    `text` is the user's raw text or the answer's visible one. `has_other_content` says that it holds more than text:
    files, images, phases of hosted tools.
    """

    id: str
    parent_id: str | None
    role: Literal["user", "assistant"]
    text: str
    reasoning: str
    model: str | None
    at: datetime | None
    finished: bool
    stopped: bool
    error: str | None
    has_other_content: bool


@dataclass(frozen=True, slots=True)
class ChatRecord:
    """A chat as upstream keeps it: the messages of every branch, parents before children."""

    id: str
    title: str
    model: str | None
    created_at: datetime | None
    updated_at: datetime | None
    chat_type: str
    current_id: str | None
    messages: tuple[ChatMessage, ...]


class Upstream(Protocol):
    """A stateful chat service. Every method raises only `UpstreamError` subclasses."""

    def account(self) -> AccountStatus:
        """Return the state of the account as last known, without a call."""
        ...

    async def models(self) -> Sequence[ModelInfo]:
        """Fetch the live model list, in upstream's order."""
        ...

    async def load_settings(self) -> None:
        """Fetch the account's settings, which the adapter may need to shape its requests."""
        ...

    async def create_chat(self, model: str) -> str:
        """Make an empty chat and return its id."""
        ...

    def send(self, prompt: Prompt) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Event]]]:
        """Send a message and stream the answer.

        Entering the context raises what upstream says in place of an answer. The iterator yields a non-empty batch
        for what arrived together: `Started` once and first, deltas, at most one `UsageReport`, which counts all of the
        batch, `Finished` last, after which it ends. It raises
        what upstream says in mid-answer, `UpstreamCut` on an end without a finish, `UpstreamTimeout` on silence.
        Leaving the context early closes the connection but does not end the generation: see `stop`.
        """
        ...

    async def stop(self, chat_id: str, response_id: str | None) -> None:
        """End a running generation. No error if none runs."""
        ...

    async def list_chats(self, page: int) -> Sequence[ChatSummary]:
        """Return one page of the account's chats, from 1, newest first; empty past the end."""
        ...

    async def read_chat(self, chat_id: str) -> ChatRecord:
        """Read a whole chat. Raises ChatGone if it is not there."""
        ...

    async def rename_chat(self, chat_id: str, title: str) -> None:
        """Give a chat a title."""
        ...

    async def delete_chat(self, chat_id: str) -> None:
        """Delete one chat. No error if it is gone already. An empty or malformed id is refused without a call."""
        ...


# --- tasks ----------------------------------------------------------------------------------------------------------


class Background(Protocol):
    """Owns tasks that must outlive the request that began them; awaits them before the program ends."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str, *, awaited: bool = False) -> asyncio.Task[None]:
        """Run `work` as an owned task. A failure is logged, unless the caller says that it awaits the task."""
        ...


# --- store ----------------------------------------------------------------------------------------------------------

Match = Literal["new", "exact", "window", "tool-call", "branch"]
NodeState = Literal["open", "complete", "aborted", "failed"]


@dataclass(frozen=True, slots=True)
class Place:
    """A stored answer that a request can go on from."""

    node_id: str
    session_id: str
    chat_id: str
    response_id: str
    system_digest: str
    depth: int
    has_children: bool


@dataclass(frozen=True, slots=True)
class NewSession:
    """A chat that we made upstream.

    `delete_because` is the reason to delete it after its answer (a side call, IS_DELETE), None for a chat that stays.
    Its deletion is stored, held, in the same transaction; `release` or the next start lets it go.
    """

    id: str
    owner: str
    account: str
    chat_id: str
    model: str
    title: str
    delete_because: str | None = None


@dataclass(frozen=True, slots=True)
class NewNode:
    """A message that is about to be sent; `depth` counts nodes from the root, which is 1.

    `user_text` is what the client newly said, `sent_text` what upstream is sent, if that differs (a transcript,
    a changed system prompt).
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


@dataclass(frozen=True, slots=True)
class NodeEnd:
    """How an answer ended. The keys are None for a node that nothing may continue from."""

    node_id: str
    state: Literal["complete", "aborted", "failed"]
    response_id: str | None
    answer_text: str
    reasoning_text: str
    finish_reason: str | None
    error: str | None
    turn_key: str | None
    step_key: str | None
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True)
class Deletion:
    """A chat that is to be deleted upstream."""

    chat_id: str
    attempts: int


@dataclass(frozen=True, slots=True)
class StoreOverview:
    """Counts for `GET /` and `/ready`."""

    sessions: int
    nodes: int
    pending_deletions: int


class SessionStore(Protocol):
    """Sessions, their nodes and the chats to delete. Each method is one transaction; only `StoreError` comes out."""

    async def find_turn(self, turn_key: str) -> Place | None:
        """Return the newest node with this turn key, if any."""
        ...

    async def find_step(self, step_key: str) -> Place | None:
        """Return the newest node with this step key, if any."""
        ...

    async def open_turn(self, node: NewNode, session: NewSession | None, at: datetime) -> None:
        """Record a message before it is sent; with `session` also the new chat that it opens."""
        ...

    async def finish_turn(self, end: NodeEnd, at: datetime) -> None:
        """Record how the answer ended. Durable when this returns."""
        ...

    async def fail_interrupted(self, at: datetime) -> int:
        """At the start: mark every node that is still open as failed, release held deletions; return the nodes."""
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

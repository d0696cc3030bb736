"""What a store keeps and gives back. All datetimes are aware and in UTC."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct

from app.core.attachments import FileKind
from app.core.history import TurnRow
from app.core.told import Told
from app.core.window import TailTurn

Match = Literal["new", "exact", "window", "tool-call", "branch"]
NodeState = Literal["open", "complete", "aborted", "failed"]
ASKED_AGAIN = "asked again"
"""The error of an answer that could not be used: the node below it holds the one that the client was sent."""


class Place(Struct, frozen=True, gc=False):
    """A stored answer that a request can go on from.

    `key` is the key or call id that it was found by, `before_key` names what came before its turn. `told` is what its
    chat was told beside the texts, up to it; None for one that was stored before this was kept. `input_tokens` are
    those that the chat held before this answer, as upstream counted them; None if it did not. `is_cut`: it was stopped,
    or ended at its greatest length, and the chat may have more of it than the client.
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
    is_cut: bool = False


class Calling(Struct, frozen=True, gc=False):
    """The answer that made a call, and the user text that its turn began with, as far as it is kept."""

    place: Place
    asked: TailTurn


class CutAnswer(Struct, frozen=True, gc=False):
    """An answer that was cut or recovered: its raw text, and the canonical text of its turn's answers before it."""

    place: Place
    answered: str
    text: str


class NamedAnswer(Struct, frozen=True, gc=False):
    """A stored answer by its name, whatever became of it and of its chat.

    `is_live`: its chat, in `account`, can be continued. `user_key` and `answer_key` name the texts of its turn up to
    it, "" where nothing may continue from it; `results` are those told before it in its turn.
    """

    place: Place
    account: str
    is_live: bool
    state: NodeState
    user_key: str
    answer_key: str
    results: int


class KeptAnswer(Struct, frozen=True, gc=False):
    """What is kept of an answer that was named; its texts are None where they are not.

    `text` holds the calls in the form that the model is taught, `calls` are their ids in order.
    """

    model: str
    created_at: datetime
    state: NodeState
    error: str
    finish_reason: str | None
    text: str | None
    reasoning: str | None
    calls: tuple[str, ...]


class PathNode(Struct, frozen=True, gc=False):
    """A message and its answer on the way to a stored one; texts are None where they are not kept.

    `said` is what the client newly said, `sent` all that upstream was sent, where that is more; `files` are the names
    of what came with it, `calls` the ids of those that the answer makes. `asked_again`: the next node asks again for
    the same answer; `shows_image`: the user showed one. `system_digest` is that of the prompt that it stands under.
    """

    said: str | None
    sent: str | None
    answer: str | None
    files: tuple[str, ...]
    calls: tuple[str, ...]
    opens_turn: bool
    asked_again: bool
    shows_image: bool
    system_digest: str


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

    `user_text` is what the client newly said, `sent_text` what upstream is sent, if that differs (a transcript, a
    changed system prompt), with what goes as a document in its place; `sent_digest` is what upstream's copy of it is
    known by. `before_key`, `user_key`, `asked_key`, `answered` and `results` say where in the conversation it stands
    (core/history.py); `opens_turn` that no answer of its turn came before it; `told` what the chat is told up to it.
    `rows` are earlier turns that the store does not know yet, `files` what the client newly attached. `said` is what
    the client was already sent of the answer: the model is asked again.
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

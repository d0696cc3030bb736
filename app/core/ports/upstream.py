"""A stateful chat service, as the core asks for it. All datetimes are aware and in UTC."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Literal, Protocol, Self

from msgspec import Struct

from app.core.attachments import FileContent, FileKind
from app.core.events import Event, Source
from app.core.modes import Mode


class ModelInfo(Struct, frozen=True, gc=False):
    """A model of upstream's live list.

    None where upstream does not tell: the tokens of its context, the kinds of files that it understands, the modes that
    it can answer in.
    """

    id: str
    name: str
    owned_by: str
    created: int
    context_tokens: int | None
    can_think: bool
    must_think: bool
    is_general: bool
    understands: frozenset[FileKind] | None = None
    modes: frozenset[Mode] | None = None


class UploadedFile(Struct, frozen=True, gc=False):
    """A file that upstream has. `reference` is the adapter's own text, which it writes into a message.

    It can be sent until `expires_at`.
    """

    id: str
    kind: FileKind
    name: str
    size: int
    reference: str
    expires_at: datetime


class VideoState(Struct, frozen=True, gc=False):
    """How far a video is; `url` once it succeeded, `error` (for a person) once it failed."""

    state: Literal["running", "succeeded", "failed"]
    url: str = ""
    error: str = ""


class Download(Protocol):
    """A file on its way from upstream: `size` in bytes is None where it is not told; iterating gives the bytes."""

    content_type: str
    size: int | None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the bytes in pieces. Raises UpstreamError."""
        ...


class Prompt(Struct, frozen=True, gc=False):
    """One message for upstream: its place in the tree, its text, and how to answer it.

    `parent_id` is the response id of the answer that it follows, None for the first message of a chat. `is_sibling`
    says that another message already follows the same parent. `thinking_budget` is in tokens. `size` is the aspect
    ratio of an image or a video, one of 1:1, 4:3, 3:4, 16:9, 9:16. `pictures` are the addresses in earlier
    answers that the message may want changed, by answer, the newest first: upstream takes the first that it made.
    """

    chat_id: str
    parent_id: str | None
    text: str
    model: str
    is_sibling: bool = False
    thinking: bool = True
    thinking_budget: int | None = None
    mode: Mode = "chat"
    files: tuple[UploadedFile, ...] = ()
    pictures: tuple[tuple[str, ...], ...] = ()
    size: str | None = None


class AccountStatus(Struct, frozen=True, gc=False):
    """Whose credential upstream sees and whether it still works, as last known; reading it costs no call.

    `problem` is None while all is well, else one sentence for a person. `is_blocked`: the bot protection refuses.
    `token_renews` says that the login is renewed by itself; `token_expires_at` is then its end if nobody renews it,
    None if unknown.
    """

    upstream: Literal["qwen", "emulator"]
    account: str
    token_expires_at: datetime | None
    problem: str | None
    is_blocked: bool = False
    token_renews: bool = False


class ChatSummary(Struct, frozen=True, gc=False):
    """One row of the account's list of chats."""

    id: str
    title: str
    updated_at: datetime | None


class ChatMessage(Struct, frozen=True, gc=False):
    """A message or an answer in a chat's tree.

    `text` is the user's raw text or the answer's visible one, `pictures` are the addresses of what the answer drew,
    `sources` the pages that its searches found. `video_task` is the task of a video that the answer is, "" for any
    other; its text is then the video's address.
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
    pictures: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    video_task: str = ""


class ChatRecord(Struct, frozen=True, gc=False):
    """A chat as upstream keeps it: the messages of every branch, parents before children."""

    id: str
    title: str
    model: str | None
    updated_at: datetime | None
    messages: tuple[ChatMessage, ...]


class Answering(Protocol):
    """An answer on its way, as an iterator.

    It yields a non-empty batch for what arrived together: `Started` once and first, deltas, which may hold several of
    upstream's own, at most one `UsageReport`, which counts all of the batch, `Finished` last, after which it ends. It
    raises what upstream says in mid-answer, `UpstreamCut` on an end without a finish, `UpstreamTimeout` on silence.
    """

    def __aiter__(self) -> Self:
        """Return this iterator."""
        ...

    async def __anext__(self) -> Sequence[Event]:
        """Return the next batch."""
        ...

    def close(self) -> None:
        """Let go of the connection. That does not end the generation: see `Upstream.stop`."""
        ...


class Upstream(Protocol):
    """A stateful chat service. Every method raises only `UpstreamError` subclasses."""

    def account(self) -> AccountStatus:
        """Return the state of the account as last known, without a call."""
        ...

    def account_name(self) -> str:
        """Return whose chats they are as far as is known, "none" where that is not."""
        ...

    async def account_now(self) -> str:
        """Return whose chats they are at the next call: whoever acts for an account asks this, without a call."""
        ...

    async def models(self) -> Sequence[ModelInfo]:
        """Fetch the live model list, in upstream's order."""
        ...

    async def load_settings(self) -> None:
        """Fetch the account's settings, which the adapter may need to shape its requests."""
        ...

    async def create_chat(self, model: str, mode: Mode = "chat", account: str | None = None) -> str:
        """Make an empty chat for a first message in that mode, and return its id.

        With `account` in that one only: raises UpstreamRejected, with the cause "account", where the login is another's
        by now.
        """
        ...

    async def send(self, prompt: Prompt) -> Answering:
        """Send a message; return its answer, which the caller closes.

        Raises what upstream says in place of an answer.
        """
        ...

    async def upload(self, file: FileContent) -> UploadedFile:
        """Bring a file to upstream, until it can be sent.

        Raises UpstreamRejected with the cause "parse" for one that cannot be read there.
        """
        ...

    async def video(self, task_id: str) -> VideoState:
        """Ask how far a video is. Raises VideoFailed if upstream no longer knows it."""
        ...

    def download(self, url: str) -> AbstractAsyncContextManager[Download]:
        """Fetch an image or a video that upstream made. Raises UpstreamRejected for an address that is not upstream's.

        Raises UpstreamRejected with the cause "expired" once the address has expired.
        """
        ...

    async def stop(self, chat_id: str, response_id: str | None) -> None:
        """End a running generation: that answer, or whichever runs where its id is not known. No error if none runs."""
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

    async def delete_chat(self, chat_id: str, account: str) -> None:
        """Delete one chat of an account. No error if it is gone already.

        Raises UpstreamRejected without a call for an empty or malformed id, and, with the cause "account", where the
        login is another account's by now.
        """
        ...


class Login(Protocol):
    """An account whose login has to be renewed now and then."""

    async def keep_login(self) -> float:
        """Renew what is due; return the seconds until it should be called again. Raises nothing of upstream's."""
        ...

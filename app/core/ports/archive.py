"""The history as its owner looks at it from the command line, beside a running server or without one."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct


class SessionSummary(Struct, frozen=True):
    """One session; times are UTC text, `turns` is the length of its longest branch.

    `title` is None where texts are not kept.
    """

    id: str
    title: str | None
    owner: str
    model: str
    state: str
    origin: str
    turns: int
    branches: int
    created_at: str
    last_used_at: str
    chat_id: str


class Said(Struct, frozen=True):
    """Something that somebody said; `state` is that of the answer, `error` says why it is not whole.

    `text` is None where texts are not kept, and of an answer that is not there yet. `files` are the names of what a
    user attached.
    """

    role: Literal["user", "assistant"]
    text: str | None
    at: str
    model: str
    state: str
    error: str
    files: tuple[str, ...] = ()


class Branch(Struct, frozen=True):
    """The way from the first message to one that has no successor."""

    number: int
    said: tuple[Said, ...]


class Erased(Struct, frozen=True):
    """What was erased: sessions, and how many of their chats wait for their deletion upstream.

    `still_in` are files that hold the texts nevertheless.
    """

    sessions: int
    queued: int
    still_in: tuple[str, ...] = ()


class SessionArchive(Protocol):
    """Reads and erases sessions; only StoreError comes out."""

    def sessions(self, *, owner: str | None, limit: int) -> Sequence[SessionSummary]:
        """Return sessions, the last used first."""
        ...

    def named(self, name: str, *, limit: int) -> Sequence[SessionSummary]:
        """Return the sessions whose id, or chat id, begins with a name; an id may lack its `session_`."""
        ...

    def branches(self, session_id: str) -> Sequence[Branch]:
        """Return what was said, branch by branch, the oldest branch first."""
        ...

    def erase(self, session_ids: Sequence[str], at: str) -> Erased:
        """Remove sessions with all that was said, and queue the chats that this program made for deletion."""
        ...

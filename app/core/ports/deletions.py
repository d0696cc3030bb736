"""The chats that are to be deleted, as the clean-up sees them. All datetimes are aware and in UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from app.core.ports.records import Deletion


class DeletionQueue(Protocol):
    """Chats to delete, kept until they are gone. Each write is one transaction; only `StoreError` comes out."""

    async def doom_idle(self, before: datetime, at: datetime, limit: int) -> int:
        """Doom up to `limit` sessions last used before that moment, without an open node; return how many."""
        ...

    async def due(self, account: str, at: datetime, limit: int) -> Sequence[Deletion]:
        """Return deletions of this account's chats that are due, longest overdue first."""
        ...

    async def elsewhere(self, account: str) -> int:
        """Count the deletions of other accounts' chats."""
        ...

    async def next_due(self, account: str) -> datetime | None:
        """Return when the next deletion that is not held is due, None if there is none."""
        ...

    async def done(self, chat_id: str, at: datetime) -> None:
        """The chat is gone upstream."""
        ...

    async def failed(self, chat_id: str, error: str, at: datetime, due: datetime) -> None:
        """A try failed: count it, and try again at `due`."""
        ...

"""The videos that clients asked for, as the core remembers them. All datetimes are aware and in UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct


class Video(Struct, frozen=True):
    """A video that is being made, was made, or could not be.

    It belongs to the owner of its session, whose chat at the site's `account` holds it. `size` is what the client asked
    for; `url` is known once it succeeded, `error` (for a person) once it failed, `finished_at` when either was noticed.
    """

    id: str
    session_id: str
    account: str
    task_id: str
    model: str
    size: str | None
    created_at: datetime
    state: Literal["running", "succeeded", "failed"] = "running"
    url: str = ""
    error: str = ""
    finished_at: datetime | None = None


class VideoStore(Protocol):
    """Remembers videos. Each method is one transaction; only StoreError comes out."""

    async def add_video(self, video: Video) -> None:
        """Remember a video, whose session is stored. Durable when this returns."""
        ...

    async def find_video(self, owner: str, video_id: str) -> Video | None:
        """Return an owner's video."""
        ...

    async def list_videos(self, owner: str, *, after: str | None, limit: int, newest_first: bool) -> Sequence[Video]:
        """Return an owner's videos in the order of their making, those that come `after` one of them."""
        ...

    async def end_video(self, video: Video) -> None:
        """Record what became of a video, or its new address."""
        ...

    async def remove_video(self, video_id: str) -> None:
        """Forget a video."""
        ...

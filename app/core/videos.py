"""The use case of videos as jobs: asked for, looked at, fetched and deleted (docs/files-and-media.md, Videos).

The site makes them on its own time, so nothing runs here meanwhile: a video is looked at when its client asks.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec.structs import replace

from app.core.delivery import retrying
from app.core.events import AnswerEvent, Ended, TextDelta, VideoTask
from app.core.gateway import Gateway
from app.core.ids import new_hex
from app.core.messages import ChatRequest
from app.core.ports import Download, Video, VideoState, VideoStore
from app.core.surroundings import Surroundings
from app.core.turn import Turn
from app.core.video import failure_of
from app.errors import (
    ResponseFormatUnmet,
    UpstreamRejected,
    VideoElsewhere,
    VideoExpired,
    VideoFailed,
    VideoNotFound,
    VideoNotReady,
)

_log = logging.getLogger(__name__)
_MOST_WORDS = 500  # characters of what a model said in place of a video


class Videos:
    """Makes videos and knows what became of them; one is looked at no more often than `Patience.video_every` says."""

    def __init__(self, gateway: Gateway, around: Surroundings, store: VideoStore) -> None:
        self._gateway = gateway
        self._around = around
        self._store = store
        self._looked: dict[str, float] = {}  # readings of the steady clock, of videos that are being made

    async def make(self, request: ChatRequest, size: str | None) -> Video:
        """Ask for a video; return when the site has begun. `size` is the client's own word for it.

        A client that leaves before that ends it; from then on the job is recorded all the same, for it to find.
        Raises GatewayError subclasses; ResponseFormatUnmet if the model answers with words.
        """
        turn = await self._gateway.answer(request)
        work = self._around.background.spawn(self._record(turn, size), "record a video", awaited=True)
        return await self._around.background.outlast(work, "record a video")

    async def _record(self, turn: Turn, size: str | None) -> Video:
        """Take the answer to its end, then add its job: one without a committed turn would lose its chat."""
        events: list[AnswerEvent] = []

        async def keep(batch: Sequence[AnswerEvent]) -> None:
            events.extend(batch)

        def task_of(_: Ended) -> str:
            return next((event.task_id for event in events if isinstance(event, VideoTask)), "")

        with turn:
            task_id = await turn.answer(keep, task_of)
        node = turn.draft.node
        if not task_id:
            await self._around.let_go(node.session_id, "no video")
            said = "".join(event.text for event in events if isinstance(event, TextDelta))
            words = said.strip()[:_MOST_WORDS]
            raise ResponseFormatUnmet(f"The model made no video, but said: {words}")
        now = self._around.clock.now()
        video = Video(f"video_{new_hex()}", node.session_id, turn.account, task_id, node.model, size, now)
        await self._store.add_video(video)
        return video

    async def show(self, owner: str, video_id: str) -> Video:
        """Return a video as it is now. Raises VideoNotFound, VideoElsewhere, UpstreamError."""
        video = await self._find(owner, video_id)
        now, every = self._around.clock.monotonic(), self._around.patience.video_every
        if video.state != "running":
            return video
        await self._check_account(video)
        if now - self._looked.get(video.id, float("-inf")) < every:
            return video
        self._looked[video.id] = now
        state = await self._ask(video)
        if state.state == "running":
            return video
        self._looked.pop(video.id, None)
        finished_at = self._around.clock.now()
        ended = replace(video, state=state.state, url=state.url, error=state.error, finished_at=finished_at)
        await self._store.end_video(ended)
        return ended

    async def _find(self, owner: str, video_id: str, *, param: str = "video_id") -> Video:
        video = await self._store.find_video(owner, video_id)
        if video is None:
            raise VideoNotFound(f"There is no video {video_id!r}.", param=param)
        return video

    async def _check_account(self, video: Video) -> None:
        """Raise VideoElsewhere where the token's account is another one: there the site would not know the video."""
        if video.account != await self._around.upstream.account_now():
            raise VideoElsewhere(f"The video {video.id} is in the account {video.account}, whose token is not set now.")

    async def _ask(self, video: Video) -> VideoState:
        """Ask how far a video is; one that the site no longer knows has failed. Raises UpstreamError."""
        try:
            return await retrying(lambda: self._around.upstream.video(video.task_id), self._around.patience)
        except VideoFailed as problem:
            return VideoState("failed", error=str(problem))

    async def page(self, owner: str, *, after: str | None, limit: int, newest_first: bool) -> Sequence[Video]:
        """Return videos as they were last seen, in the order of their making, those that come `after` one of them.

        Raises VideoNotFound for an `after` that is none.
        """
        if after is not None:
            await self._find(owner, after, param="after")
        return await self._store.list_videos(owner, after=after, limit=limit, newest_first=newest_first)

    @asynccontextmanager
    async def content(self, owner: str, video_id: str) -> AsyncIterator[Download]:
        """Fetch a video. Raises VideoNotFound, VideoElsewhere, VideoNotReady, VideoExpired, UpstreamError."""
        video = await self.show(owner, video_id)
        if video.state == "running":
            raise VideoNotReady(f"The video {video.id} is still being made.")
        if video.state == "failed":
            raise failure_of(video.error)
        async with AsyncExitStack() as stack:
            yield await self._open(stack, video)

    async def _open(self, stack: AsyncExitStack, video: Video) -> Download:
        """Begin to fetch a video; an address that has expired is asked for anew, once."""
        upstream = self._around.upstream
        try:
            return await stack.enter_async_context(upstream.download(video.url))
        except UpstreamRejected as problem:
            if problem.cause != "expired":
                raise
        _log.info("The address of %s has expired; asking for another one", video.id)
        await self._check_account(video)
        state = await self._ask(video)
        if state.url and state.url != video.url:
            await self._store.end_video(replace(video, url=state.url))
            try:
                return await stack.enter_async_context(upstream.download(state.url))
            except UpstreamRejected as problem:
                _log.info("The other address of %s is of no use either: %s", video.id, problem)
        raise VideoExpired(f"The site gives the video {video.id} no more.")

    async def remove(self, owner: str, video_id: str) -> None:
        """Have the chat of a video on the site deleted and forget the video, whoever leaves. Raises VideoNotFound."""
        video = await self._find(owner, video_id)
        name = "delete a video"
        await self._around.background.outlast(
            self._around.background.spawn(self._remove(video), name, awaited=True), name
        )

    async def _remove(self, video: Video) -> None:
        """Let the chat go first: after a kill in between the video is still there to be deleted again."""
        await self._around.let_go(video.session_id, "its video was deleted")
        await self._store.remove_video(video.id)
        self._looked.pop(video.id, None)

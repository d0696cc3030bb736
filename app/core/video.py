"""Follow a video until it is there; the site makes it beside the answer (docs/files-and-media.md, Videos)."""

import asyncio
import logging
from collections.abc import AsyncGenerator

from app.core.delivery import PASSING, retrying
from app.core.ports import Upstream, VideoState
from app.core.surroundings import Patience
from app.errors import UpstreamError, UpstreamTimeout, VideoFailed

_log = logging.getLogger(__name__)


async def following(
    upstream: Upstream, task_id: str, patience: Patience
) -> AsyncGenerator[tuple[float, VideoState], None]:
    """Give the seconds waited and the state of a video, again and again, last the one in which it is there.

    Raises VideoFailed, UpstreamTimeout when it takes longer than a video ever does, and UpstreamError if the site
    cannot be asked; a passing fault is passed over.
    """
    loop = asyncio.get_running_loop()
    began, missed = loop.time(), 0
    while (waited := loop.time() - began) <= patience.video:
        try:
            state = await retrying(lambda: upstream.video(task_id), patience)
        except PASSING as problem:
            missed += 1
            if missed >= patience.tries:
                raise
            _log.info("A video could not be asked for: %s", problem)
        else:
            missed = 0
            if state.state == "failed":
                raise failure_of(state.error)
            yield waited, state
            if state.state == "succeeded":
                return
        await asyncio.sleep(patience.video_every)
    raise UpstreamTimeout(f"The video was not there after {patience.video / 60:.0f} minutes.", cause="video")


def failure_of(error: str) -> UpstreamError:
    """Return the error that a failed video is, given what is known of it."""
    return VideoFailed(error or "The site could not make the video.", cause="video")

"""A video that is waited for in chat: how long, and what is told meanwhile."""

import asyncio
from typing import cast

import pytest

from app.core.ports import Upstream, VideoState
from app.core.surroundings import Patience
from app.core.video import following
from app.errors import UpstreamTimeout


class SlowSite:
    """Takes its time to say how far a video is."""

    asked = 0

    async def video(self, task_id: str) -> VideoState:
        self.asked += 1
        await asyncio.sleep(0.1)
        return VideoState("running")


async def test_the_time_that_the_site_takes_to_answer_counts_as_waiting() -> None:
    site = SlowSite()
    told: list[float] = []
    with pytest.raises(UpstreamTimeout, match="was not there after"):
        async for waited, _ in following(cast(Upstream, site), "t1", Patience(video=0.35, video_every=0.01)):
            told.append(waited)
    assert site.asked < 10, "by its pauses alone it would have asked 36 times"
    assert told[1] >= 0.1

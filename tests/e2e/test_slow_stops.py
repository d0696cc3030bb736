"""A site that is slow to stop an answer keeps nobody waiting but who goes on in the same chat."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.core.events import TextDelta
from app.errors import UpstreamRejected
from tests.e2e.harness import Conversation
from tests.e2e.studio import Answer, Studio, studio_server

ENDS: dict[str, Answer] = {
    "a limit of the client": [TextDelta("one "), TextDelta("END two")],
    "a fault": [TextDelta("one "), UpstreamRejected("The site gave up.")],
}


@dataclass
class SlowToStop(Studio):
    """Does not answer a stop before it is told to."""

    may_stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self, chat_id: str, response_id: str | None) -> None:
        await super().stop(chat_id, response_id)
        await self.may_stop.wait()


@pytest.mark.parametrize("end", ENDS)
async def test_only_who_goes_on_in_the_same_chat_waits_for_a_stop(tmp_path: Path, end: str) -> None:
    studio = SlowToStop()
    async with studio_server(tmp_path, studio) as client:
        other, ended = (Conversation(client, model="talker", stream=True) for _ in range(2))
        await other.say("Good morning.")
        studio.answers = [ENDS[end]]
        cut = await ended.say("Good evening.", stop="END")
        ended.messages[1:] = [{"role": "assistant", "content": cut.text}]
        async with asyncio.timeout(2):  # the wait for a stop is longer
            assert (await other.say("And you?")).match == "exact"
        assert studio.stopped == [studio.chats[1]]
        after = asyncio.create_task(ended.say("Go on."))
        await asyncio.wait([after], timeout=0.2)
        assert not after.done()
        studio.may_stop.set()
        assert ((await after).match, len(studio.chats)) == ("exact", 2)

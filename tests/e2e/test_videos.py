"""Videos as jobs: asked for, looked at, fetched and deleted."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import FormData
from openai import AsyncOpenAI

from app.core.events import TextDelta, VideoTask
from app.core.ports import VideoState
from app.errors import UpstreamUnreachable, VideoFailed
from tests.e2e.harness import Client, eventually
from tests.e2e.studio import SITE, Studio, studio_server
from tests.samples import MP4
from tests.web.test_openapi import problems

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
FILM, AGAIN = f"{SITE}/film.mp4?key=one", f"{SITE}/film.mp4?key=two"
RUNNING, THERE = VideoState("running"), VideoState("succeeded", url=FILM)


@pytest.fixture
def studio() -> Studio:
    return Studio(files=dict.fromkeys((FILM, AGAIN), ("video/mp4", MP4)))


@pytest.fixture
async def client(tmp_path: Path, studio: Studio) -> AsyncIterator[Client]:
    async with studio_server(tmp_path, studio) as client:
        yield client


@pytest.fixture
async def ai(client: Client) -> AsyncIterator[AsyncOpenAI]:
    async with open_ai(client) as ai:
        yield ai


def open_ai(client: Client, key: str = "any") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{client.url}/v1", api_key=key, max_retries=0)


def plan(studio: Studio, *states: VideoState) -> None:
    studio.answers.append([VideoTask("film")])
    studio.videos["film"] = list(states)


async def settled(ai: AsyncOpenAI, video_id: str) -> openai.types.Video:
    """Look at a video until it is no longer being made."""
    while True:
        video = await ai.videos.retrieve(video_id)
        if video.status not in {"queued", "in_progress"}:
            return video


async def test_a_video_is_made_looked_at_and_fetched(ai: AsyncOpenAI, studio: Studio) -> None:
    plan(studio, RUNNING, RUNNING, THERE)
    video = await ai.videos.create(prompt="A cat", model="artist", size="720x1280", seconds="8")
    assert (video.object, video.status, video.progress, video.size) == ("video", "queued", 0, "720x1280")
    prompt = studio.prompts[-1]
    assert (prompt.text, prompt.mode, prompt.size, studio.asked) == ("A cat", "video", "9:16", 0)
    assert (await ai.videos.retrieve(video.id)).status == "in_progress"
    video = await settled(ai, video.id)
    assert (video.status, video.progress) == ("completed", 100)
    assert video.completed_at is not None
    assert video.completed_at >= video.created_at
    assert (await ai.videos.download_content(video.id)).content == MP4
    assert studio.asked == 3, "a video that is there is not asked for again"


async def test_the_size_of_a_video_is_told_without_it(client: Client, ai: AsyncOpenAI, studio: Studio) -> None:
    plan(studio, THERE)
    video = await ai.videos.create(prompt="A cat", model="artist")
    async with client.session.head(f"{client.url}/v1/videos/{video.id}/content") as response:
        told = (response.status, response.headers["Content-Type"], int(response.headers["Content-Length"]))
        assert (told, await response.read()) == ((200, "video/mp4", len(MP4)), b"")
    assert (await client.get("/health")).status == 200


async def test_a_video_is_not_looked_at_at_every_request(ai: AsyncOpenAI, studio: Studio) -> None:
    plan(studio, RUNNING)
    video = await ai.videos.create(prompt="A cat")
    began, looks = studio.asked, 12
    await asyncio.gather(*(ai.videos.retrieve(video.id) for _ in range(looks)))  # within a moment, on any machine
    assert 1 <= studio.asked - began < looks


async def test_a_video_outlives_the_server(tmp_path: Path, studio: Studio) -> None:
    plan(studio, THERE)
    async with studio_server(tmp_path, studio) as client, open_ai(client) as ai:
        made = await ai.videos.create(prompt="A cat", model="artist")
    async with studio_server(tmp_path, studio) as client, open_ai(client) as ai:
        video = await ai.videos.retrieve(made.id)
        assert (video.status, video.created_at) == ("completed", made.created_at)
        assert (await ai.videos.download_content(video.id)).content == MP4
    assert studio.deleted == []


async def test_a_video_of_another_account_waits_for_the_token_of_its_own(
    client: Client, ai: AsyncOpenAI, studio: Studio
) -> None:
    plan(studio, THERE)
    video = await ai.videos.create(prompt="A cat", model="artist")
    studio.owner = "another account"
    for path in (f"/v1/videos/{video.id}", f"/v1/videos/{video.id}/content"):
        reply = await client.get(path)
        assert (reply.status, reply.error["code"]) == (409, "video_of_another_account")
        assert "in the account account" in reply.error["message"]
    assert (await ai.videos.list()).data[0].status == "in_progress"
    assert studio.asked == 0
    studio.owner = "account"
    assert (await settled(ai, video.id)).status == "completed"


async def test_a_video_that_fails_says_why(ai: AsyncOpenAI, studio: Studio) -> None:
    plan(studio, VideoState("failed", error="It may not be shown."))
    video = await ai.videos.create(prompt="A cat", model="artist")
    failed = await ai.videos.retrieve(video.id)
    assert failed.error is not None
    assert (failed.status, failed.error.code, failed.error.message) == (
        "failed",
        "video_failed",
        "It may not be shown.",
    )
    with pytest.raises(openai.InternalServerError, match="It may not be shown"):
        await ai.videos.download_content(video.id)


async def test_a_video_that_is_being_made_cannot_be_fetched_yet(ai: AsyncOpenAI, studio: Studio) -> None:
    plan(studio, RUNNING)
    video = await ai.videos.create(prompt="A cat", model="artist")
    with pytest.raises(openai.ConflictError) as early:
        await ai.videos.download_content(video.id)
    assert early.value.code == "video_not_ready"


async def test_an_address_that_has_expired_is_renewed(ai: AsyncOpenAI, studio: Studio) -> None:
    plan(studio, THERE, VideoState("succeeded", url=AGAIN))
    video = await ai.videos.create(prompt="A cat", model="artist")
    assert (await settled(ai, video.id)).status == "completed"
    studio.expired.add(FILM)
    for _ in range(2):
        assert (await ai.videos.download_content(video.id)).content == MP4
    assert studio.asked == 2, "the new address is kept"


@pytest.mark.parametrize("then", [THERE, RUNNING, VideoFailed("The site no longer knows it.")])
async def test_a_video_that_the_site_gives_no_more_is_gone(ai: AsyncOpenAI, studio: Studio, then: Any) -> None:
    plan(studio, THERE, then)
    video = await ai.videos.create(prompt="A cat", model="artist")
    assert (await settled(ai, video.id)).status == "completed"
    studio.expired.add(FILM)
    with pytest.raises(openai.APIStatusError) as gone:
        await ai.videos.download_content(video.id)
    assert (gone.value.status_code, gone.value.code) == (410, "video_expired")
    assert (await ai.videos.retrieve(video.id)).status == "completed"


async def test_videos_are_listed_by_pages(ai: AsyncOpenAI, studio: Studio) -> None:
    for number in range(3):
        studio.answers.append([VideoTask(f"film-{number}")])
    made = [(await ai.videos.create(prompt="A cat", model="artist")).id for _ in range(3)]
    page = await ai.videos.list(limit=2)
    assert [video.id for video in page.data] == [made[2], made[1]]
    assert page.has_more
    assert [video.id async for video in ai.videos.list(limit=2)] == made[::-1]
    assert [video.id async for video in ai.videos.list(limit=1, order="asc")] == made


async def test_a_deleted_video_takes_its_chat_along(ai: AsyncOpenAI, studio: Studio) -> None:
    plan(studio, THERE)
    video = await ai.videos.create(prompt="A cat", model="artist")
    gone = await ai.videos.delete(video.id)
    assert (gone.id, gone.deleted, gone.object) == (video.id, True, "video.deleted")
    await eventually(lambda: studio.deleted == studio.chats)
    for call in (ai.videos.retrieve, ai.videos.download_content, ai.videos.delete):
        with pytest.raises(openai.NotFoundError):
            await call(video.id)


async def test_a_client_that_leaves_while_a_video_is_deleted_leaves_no_chat_that_nobody_finds(
    client: Client, ai: AsyncOpenAI, studio: Studio, tmp_path: Path
) -> None:
    plan(studio, THERE)
    video = await ai.videos.create(prompt="A cat", model="artist")
    (path,) = await asyncio.to_thread(lambda: list(tmp_path.rglob("*.db")))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(openai.APITimeoutError):
            await ai.with_options(timeout=0.3).videos.delete(video.id)
        other.execute("ROLLBACK")
    await eventually(lambda: studio.deleted == studio.chats)
    assert [each.id async for each in ai.videos.list()] == []


async def test_owners_do_not_see_each_others_videos(tmp_path: Path, studio: Studio) -> None:
    plan(studio, THERE)
    async with (
        studio_server(tmp_path, studio, API_KEYS="ann:key-of-ann,bob:key-of-bob") as client,
        open_ai(client, "key-of-ann") as ann,
        open_ai(client, "key-of-bob") as bob,
    ):
        video = await ann.videos.create(prompt="A cat", model="artist")
        for call in (bob.videos.retrieve, bob.videos.download_content, bob.videos.delete):
            with pytest.raises(openai.NotFoundError):
                await call(video.id)
        assert [each.id async for each in bob.videos.list()] == []
        assert [each.id async for each in ann.videos.list()] == [video.id]
        with pytest.raises(openai.NotFoundError) as unknown:
            await bob.videos.list(after=video.id)
        assert unknown.value.param == "after"


async def test_a_video_stays_where_chats_are_deleted_after_their_answer(tmp_path: Path, studio: Studio) -> None:
    plan(studio, THERE)
    async with studio_server(tmp_path, studio, IS_DELETE="1") as client, open_ai(client) as ai:
        await ai.videos.create(prompt="A cat", model="artist")
        await client.chat([{"role": "user", "content": "Hello."}], model="artist")
        await eventually(lambda: len(studio.deleted) == 1)
    assert studio.deleted == [studio.chats[1]]


async def test_a_model_that_answers_with_words_is_quoted(ai: AsyncOpenAI, studio: Studio) -> None:
    studio.answers = [[TextDelta("I would rather not.")]]
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        await ai.videos.create(prompt="Something", model="artist")
    assert "The model made no video, but said: I would rather not." in refused.value.message
    await eventually(lambda: studio.deleted == studio.chats)


async def test_json_does_as_well_and_names_what_has_no_effect(client: Client, studio: Studio) -> None:
    plan(studio, RUNNING)
    body = {"prompt": "A cat", "model": "artist-video", "seconds": "4"}
    async with client.session.post(f"{client.url}/v1/videos", json=body) as response:
        made = await response.json()
        assert response.headers["X-Ignored-Params"] == "seconds"
        assert (response.headers["X-Session-Match"], response.headers["X-Session-Id"][:8]) == ("new", "session_")
    assert re.fullmatch(r"video_[0-9a-f]{32}", made["id"])
    assert not problems("Video", made)
    assert not problems("VideoPage", (await client.get("/v1/videos")).body)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "prompt"),
        ({"prompt": ""}, 400, "prompt"),
        ({"prompt": "A cat", "size": "wide"}, 400, "size"),
        ({"prompt": "A cat", "input_reference": {"image_url": "data:"}}, 400, "input_reference"),
        ({"prompt": "A cat", "model": "talker"}, 400, "model"),
    ],
)
async def test_what_cannot_be_made_is_refused(
    client: Client, studio: Studio, body: dict[str, Any], status: int, param: str
) -> None:
    async with client.session.post(f"{client.url}/v1/videos", json=body) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (status, param)
    assert studio.prompts == []


async def test_a_picture_to_begin_with_is_refused(client: Client) -> None:
    form = FormData({"prompt": "A cat"}, default_to_multipart=True)
    form.add_field("input_reference", b"...", filename="cat.png")
    async with client.session.post(f"{client.url}/v1/videos", data=form) as response:
        assert (await response.json())["error"]["param"] == "input_reference"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=" + "9" * 5000, "order=newest"])
async def test_a_page_that_is_none_is_refused(client: Client, query: str) -> None:
    assert (await client.get(f"/v1/videos?{query}")).status == 400


async def test_only_the_video_itself_can_be_fetched(client: Client, studio: Studio, ai: AsyncOpenAI) -> None:
    plan(studio, THERE)
    video = await ai.videos.create(prompt="A cat", model="artist")
    reply = await client.get(f"/v1/videos/{video.id}/content?variant=thumbnail")
    assert reply.error["param"] == "variant"


async def test_a_video_that_is_cut_on_its_way_does_not_look_whole(client: Client, studio: Studio) -> None:
    plan(studio, THERE)
    studio.breaks = UpstreamUnreachable("The connection is gone.")
    async with client.session.post(f"{client.url}/v1/videos", json={"prompt": "A cat"}) as response:
        video_id = (await response.json())["id"]
    with pytest.raises(aiohttp.ClientError):
        async with client.session.get(f"{client.url}/v1/videos/{video_id}/content") as response:
            await response.read()

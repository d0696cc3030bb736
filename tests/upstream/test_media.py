"""Files, images, videos, searches and research against the emulator, which was written without the adapter."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from datetime import UTC, datetime

import pytest

from app.clock import SystemClock
from app.config import Settings
from app.core.attachments import FileContent
from app.core.events import Event, Finished, Picture, ReasoningDelta, Source, Sources, Started, TextDelta, VideoTask
from app.core.ports import Mode, Prompt, UploadedFile
from app.emulator import Emulator
from app.errors import UpstreamCut, UpstreamRejected, UpstreamUnreachable, VideoFailed
from app.upstream.qwen import QwenUpstream, TokenSource
from app.upstream.qwen.files import ParsePatience
from app.upstream.qwen.grants import is_over
from tests.emulator.upload import png

MODEL = "qwen3.7-plus"
LONG = "Compare the history of the railways of Switzerland and of Austria since 1850."
NOTE = FileContent("document", "my note.txt", "text/plain", b"My dog is called Rex.")


class Stage:
    def __init__(self, emulator: Emulator, upstream: QwenUpstream) -> None:
        self.emulator = emulator
        self.upstream = upstream
        self.chat = ""
        self.node: str | None = None

    async def say(
        self,
        text: str,
        *,
        mode: Mode = "chat",
        files: Sequence[UploadedFile] = (),
        pictures: Sequence[str] = (),
        size: str | None = None,
    ) -> list[Event]:
        self.chat = self.chat or await self.upstream.create_chat(MODEL, mode)
        prompt = Prompt(
            self.chat,
            self.node,
            text,
            MODEL,
            thinking=False,
            mode=mode,
            files=tuple(files),
            pictures=tuple((url,) for url in pictures),
            size=size,
        )
        with closing(await self.upstream.send(prompt)) as batches:
            heard = [event async for batch in batches for event in batch]
        assert isinstance(heard[0], Started)
        self.node = heard[0].response_id
        assert heard[-1] == Finished()
        return heard

    async def fetch(self, url: str) -> tuple[str, bytes]:
        async with self.upstream.download(url) as download:
            data = b"".join([piece async for piece in download])
            assert download.size in (None, len(data))
            return download.content_type, data


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    clock = SystemClock()
    async with Emulator() as emulator:
        tokens = TokenSource.fixed(settings, clock, emulator.mint_token())
        async with QwenUpstream(
            settings,
            clock,
            base_url=emulator.url,
            tokens=tokens,
            kind="emulator",
            patience=ParsePatience(every=0.001, in_all=2),
        ) as upstream:
            yield Stage(emulator, upstream)


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def thinking_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta))


def pictures_in(events: Sequence[Event]) -> list[Picture]:
    return [event for event in events if isinstance(event, Picture)]


def sources_in(events: Sequence[Event]) -> dict[int, Source]:
    return {source.number: source for event in events if isinstance(event, Sources) for source in event.found}


async def test_a_picture_is_seen_and_a_document_is_read(stage: Stage) -> None:
    picture = await stage.upstream.upload(FileContent("image", "a cät.png", "image/png", png(64, 36)))
    stage.emulator.script.parse("pending", "running", "success")
    note = await stage.upstream.upload(NOTE)
    said = text_of(await stage.say("What is this?", files=[picture, note]))
    assert "64" in said
    assert "36" in said
    assert picture.expires_at > SystemClock().now()
    assert await stage.say("And what is my dog called?")


async def test_a_document_that_cannot_be_read_is_refused(stage: Stage) -> None:
    stage.emulator.script.parse("failed", error_msg="It is encrypted.")
    with pytest.raises(UpstreamRejected, match=r"'my note\.txt'.*It is encrypted"):
        await stage.upstream.upload(NOTE)


async def test_an_image_is_made_fetched_and_changed(stage: Stage) -> None:
    [picture] = pictures_in(await stage.say("A dog", mode="image", size="16:9"))
    assert picture.width is not None
    assert picture.height is not None
    assert picture.width > picture.height
    kind, data = await stage.fetch(picture.url)
    assert (kind, data[:4]) == ("image/png", b"\x89PNG")
    foreign = "https://evil.example/output/1.png"
    [changed] = pictures_in(await stage.say("Make it blue", mode="image", pictures=[foreign, picture.url]))
    assert changed.url != picture.url
    [shown] = stage.emulator.shown[-1].files
    assert shown.url == picture.url


async def test_a_picture_that_a_tool_drew_is_one_picture_in_the_stream_and_in_the_chat(stage: Stage) -> None:
    stage.emulator.script.answer("Here it is.", tools=["image_gen_tool"])
    [picture] = pictures_in(await stage.say("A dog, please"))
    assert (await stage.upstream.read_chat(stage.chat)).messages[-1].pictures == (picture.url,)


async def test_a_picture_whose_key_is_over_is_not_named_again(stage: Stage) -> None:
    [picture] = pictures_in(await stage.say("A dog", mode="image"))
    assert is_over(picture.url, datetime(2100, 1, 1, tzinfo=UTC))
    assert not is_over(picture.url, SystemClock().now())
    assert not is_over("https://cdn.qwenlm.ai/output/1.png?key=opaque", datetime(2100, 1, 1, tzinfo=UTC))


async def test_what_the_site_made_is_fetched_until_its_key_ends(stage: Stage) -> None:
    [picture] = pictures_in(await stage.say("A dog", mode="image"))
    with pytest.raises(UpstreamRejected) as problem:
        await stage.fetch(re.sub(r"key=.*", "key=over", picture.url))
    assert problem.value.cause == "expired"


async def test_several_images_are_one_answer(stage: Stage) -> None:
    stage.emulator.script.paint(3)
    assert len(pictures_in(await stage.say("Three dogs", mode="image"))) == 3
    stage.emulator.script.paint(2, fault="cut")
    with pytest.raises(UpstreamCut):
        await stage.say("Two cats", mode="image")


async def test_the_marks_of_a_searching_answer_name_its_sources(stage: Stage) -> None:
    heard = await stage.say("Search the web for the weather in Rome", mode="search")
    marks = [int(mark) for mark in re.findall(r"\[\[(\d+)\]\]", text_of(heard))]
    assert marks
    assert set(marks) <= sources_in(heard).keys()
    assert thinking_of(heard).startswith("Searching the web: ")


async def test_a_video_is_made_in_its_own_time(stage: Stage) -> None:
    stage.emulator.script.task("running", "running", "success")  # reading the chat for the answer's id asks once too
    [task] = [event for event in await stage.say("A dog runs", mode="video") if isinstance(event, VideoTask)]
    assert (await stage.upstream.video(task.task_id)).state == "running"
    made = await stage.upstream.video(task.task_id)
    assert made.state == "succeeded"
    kind, data = await stage.fetch(made.url)
    assert (kind, data[4:8]) == ("video/mp4", b"ftyp")


@pytest.mark.parametrize("fault", ["no_task_id", "task_in_stream"])
async def test_a_video_whose_answer_is_odd_is_found_all_the_same(stage: Stage, fault: str) -> None:
    stage.emulator.script.fault(fault)
    stage.emulator.script.task("failed")
    [task] = [event for event in await stage.say("A dog runs", mode="video") if isinstance(event, VideoTask)]
    assert (await stage.upstream.video(task.task_id)).state == "failed"


async def test_a_video_that_the_site_took_and_cannot_be_named_is_not_to_be_asked_for_twice(stage: Stage) -> None:
    stage.emulator.script.fault("no_task_id")
    stage.emulator.script.fault("unavailable", target="read")
    with pytest.raises(UpstreamUnreachable) as caught:
        await stage.say("A dog runs", mode="video")
    assert caught.value.accepted


async def test_a_video_that_the_site_does_not_know_has_failed(stage: Stage) -> None:
    with pytest.raises(VideoFailed, match="no longer knows this video"):
        await stage.upstream.video("never-begun")


async def test_research_asks_back_and_then_reports(stage: Stage) -> None:
    asked = await stage.say("Railways", mode="research")
    assert text_of(asked).startswith("What should the research look at")
    report = await stage.say(LONG, mode="research")
    assert text_of(report).startswith("# A report on")
    assert thinking_of(report)
    stored = (await stage.upstream.read_chat(stage.chat)).messages[-1]
    assert (stored.text, stored.finished) == (text_of(report), True)

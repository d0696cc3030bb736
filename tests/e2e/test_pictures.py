"""Pictures, sources and videos of an answer reach the client, and the conversation goes on after them."""

import base64
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.core.events import Picture, ReasoningDelta, Source, Sources, TextDelta, VideoTask
from app.core.ports import VideoState
from app.errors import UpstreamBusy, UpstreamUnreachable
from tests.e2e.harness import Client, Conversation, Reply, eventually
from tests.e2e.studio import SITE, Studio, studio_server
from tests.web.test_openapi import problems

CAT, DOG = f"{SITE}/cat.png?key=signed.one", f"{SITE}/dog.png?key=signed.two"
PNG = b"\x89PNG cat"


@pytest.fixture
def studio() -> Studio:
    return Studio(files={CAT: ("image/png", PNG)})


@pytest.fixture
async def client(tmp_path: Path, studio: Studio) -> AsyncIterator[Client]:
    async with studio_server(tmp_path, studio, IMAGES_AS="url") as client:
        yield client


def images(reply: Reply) -> list[tuple[int, str]]:
    if not reply.chunks:
        shown = reply.body["choices"][0]["message"].get("images", [])
    else:
        deltas = [choice["delta"] for chunk in reply.chunks for choice in chunk["choices"]]
        shown = [image for delta in deltas for image in delta.get("images", [])]
    return [(image["index"], image["image_url"]["url"]) for image in shown]


def annotations(reply: Reply) -> list[tuple[str, str]]:
    """What is cited: the title, and the characters of the content that cite it."""
    if not reply.chunks:
        listed = reply.body["choices"][0]["message"].get("annotations", [])
    else:
        deltas = [choice["delta"] for chunk in reply.chunks for choice in chunk["choices"]]
        listed = [each for delta in deltas for each in delta.get("annotations", [])]
    cited = [each["url_citation"] for each in listed]
    return [(each["title"], reply.text[each["start_index"] : each["end_index"]]) for each in cited]


async def test_under_a_limit_text_and_pictures_keep_their_order(client: Client, studio: Studio) -> None:
    studio.at_once = True
    studio.answers = [[TextDelta("He"), TextDelta("re:"), Picture(CAT), TextDelta("It likes"), TextDelta(" milk.")]]
    reply = await client.chat([{"role": "user", "content": "Draw a pet"}], model="artist-image", max_tokens=100)
    assert reply.text == f"Here:\n\n![image]({CAT})\n\nIt likes milk."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_picture_is_in_the_text_and_beside_it(client: Client, studio: Studio, stream: bool) -> None:
    studio.answers = [[TextDelta("Here:"), Picture(CAT), Picture(DOG), TextDelta("Both like milk.")]]
    asked = [{"role": "user", "content": f"Draw pets, {stream}"}]
    reply = await client.chat(asked, model="artist-image", stream=stream)
    assert reply.text == f"Here:\n\n![image]({CAT})\n\n![image]({DOG})\n\nBoth like milk."
    assert images(reply) == [(0, CAT), (1, DOG)]
    for part in reply.chunks or [reply.body]:
        assert not problems("ChatCompletionChunk" if stream else "ChatCompletion", part)
    assert (studio.modes[-1], studio.prompts[-1].mode) == ("image", "image")


def as_sent(text: str) -> str:
    return text


def without_link(text: str) -> str:
    return ""


def signed_anew(text: str) -> str:
    return text.replace("![image]", "![a cat]").replace("key=signed.one", "key=other")


@pytest.mark.parametrize("client_sends", [as_sent, without_link, signed_anew])
async def test_an_answer_of_nothing_but_a_picture_is_continued(
    client: Client, studio: Studio, client_sends: Callable[[str], str]
) -> None:
    studio.answers = [[Picture(CAT)], [Picture(DOG)]]
    talk = Conversation(client, model="artist-image")
    first = await talk.say(f"Draw a cat for {client_sends.__name__}.")
    talk.messages[-1]["content"] = client_sends(first.text)
    second = await talk.say("Now as a dog.")
    assert (second.match, second.session) == ("exact", first.session)
    assert (studio.prompts[-1].text, studio.prompts[-1].parent_id) == (
        "Now as a dog.",
        f"response-{studio.responses - 1}",
    )


async def test_of_two_equal_conversations_the_one_with_the_shown_picture_goes_on(
    client: Client, studio: Studio
) -> None:
    studio.answers = [[Picture(CAT)], [Picture(DOG)]]
    talks = [Conversation(client, model="artist-image") for _ in range(2)]
    firsts = [await talk.say("Draw my pet.") for talk in talks]
    assert firsts[0].session != firsts[1].session
    for talk, first in zip(talks, firsts, strict=True):
        assert (await talk.say("Thank you.")).session == first.session
        assert (await talk.say("Make it blue.")).session == first.session


async def test_of_two_equal_conversations_without_pictures_neither_is_taken(client: Client, studio: Studio) -> None:
    studio.answers = [[Picture(CAT)], [Picture(DOG)]]
    talks = [Conversation(client, model="artist-image") for _ in range(2)]
    for talk in talks:
        await talk.say("Draw my house.")
    talks[0].messages[-1]["content"] = ""
    assert (await talks[0].say("Make it blue.")).match == "new"


async def test_another_picture_than_ours_is_another_conversation(client: Client, studio: Studio) -> None:
    studio.answers = [[Picture(CAT)]]
    talk = Conversation(client, model="artist-image")
    await talk.say("Draw a boat.")
    talk.messages[-1]["content"] = "![boat](https://elsewhere.example/boat.png)"
    assert (await talk.say("Make it blue.")).match == "new"


async def test_a_trimmed_conversation_with_pictures_is_known_by_its_end(client: Client, studio: Studio) -> None:
    talk = Conversation(client, model="artist-image")
    sessions = set()
    for number in range(4):
        studio.answers = [[Picture(f"{SITE}/tree-{number}.png?key=signed")]]
        sessions.add((await talk.say(f"Draw a tree of kind {number}.")).session)
    talk.messages = talk.messages[-4:]
    last = await talk.say("Make it blue.")
    assert (last.match, {last.session}) == ("window", sessions)


async def test_a_conversation_may_mix_words_and_pictures(client: Client, studio: Studio) -> None:
    studio.answers = [[TextDelta("Waldo it is.")], [Picture(CAT)], [TextDelta("A cat.")]]
    talk = Conversation(client)
    first = await talk.say("My cat is called Waldo.", model="artist")
    second = await talk.say("Draw it.", model="artist-image")
    third = await talk.say("What is it?", model="artist-search")
    assert first.session == second.session == third.session
    assert [prompt.mode for prompt in studio.prompts[-3:]] == ["chat", "image", "search"]


async def test_pictures_come_as_data_where_the_setting_says_so(tmp_path: Path) -> None:
    studio = Studio(files={CAT: ("image/png", PNG)})
    data = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    async with studio_server(tmp_path, studio) as client:
        for stream in (False, True):
            studio.answers = [[Picture(CAT), Picture(DOG)]]
            reply = await client.chat([{"role": "user", "content": "Draw."}], model="artist-image", stream=stream)
            assert images(reply) == [(0, data), (1, DOG)], "one that cannot be had keeps its address"
            assert f"![image]({CAT})" in reply.text


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ({"model": "talker-image"}, "model", "These models can: artist."),
        ({"model": "artist-image-search"}, "model", "One answer cannot"),
        ({"model": "artist-image", "web_search_options": {}}, "model", "One answer cannot"),
        (
            {"model": "artist-image", "response_format": {"type": "json_object"}},
            "response_format",
            "no form of JSON",
        ),
        (
            {"model": "artist-video", "tools": [{"type": "function", "function": {"name": "f"}}]},
            "tools",
            "no tools",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(client: Client, fields: dict[str, object], param: str, word: str) -> None:
    reply = await client.chat([{"role": "user", "content": "Draw."}], **fields)  # type: ignore[arg-type]
    assert (reply.status, reply.error["param"]) == (400, param)
    assert word in reply.error["message"]


SOURCES = Sources((Source(1, "https://a.example/one", "One"), Source(2, "https://b.example/two", "Two")))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_web_search_is_cited(client: Client, studio: Studio, stream: bool) -> None:
    studio.answers = [[SOURCES, TextDelta("It is so [["), TextDelta("2]], and so [[1]].")]]
    asked = [{"role": "user", "content": f"Is it so? {stream}"}]
    reply = await client.chat(asked, model="artist", stream=stream, web_search_options={})
    assert reply.text == "It is so [[2]], and so [[1]]."
    assert annotations(reply) == [("Two", "[[2]]"), ("One", "[[1]]")]
    for part in reply.chunks or [reply.body]:
        assert not problems("ChatCompletionChunk" if stream else "ChatCompletion", part)
    assert studio.prompts[-1].mode == "search"


async def test_citations_become_links_and_the_conversation_goes_on_after_them(tmp_path: Path) -> None:
    studio = Studio(answers=[[SOURCES, TextDelta("So [[2"), TextDelta("]].")]])
    async with studio_server(tmp_path, studio, CITATIONS="links") as client:
        talk = Conversation(client, model="artist-search", stream=True)
        first = await talk.say("Is it so?")
        assert first.text == "So [2](https://b.example/two)."
        assert annotations(first) == [("Two", "[2](https://b.example/two)")]
        assert (await talk.say("Really?")).match == "exact"


RUNNING, THERE = VideoState("running"), VideoState("succeeded", url=f"{SITE}/film.mp4?key=signed")


async def test_a_video_is_followed_until_it_is_there(client: Client, studio: Studio) -> None:
    studio.answers = [[VideoTask("film")]]
    studio.videos["film"] = [RUNNING, UpstreamUnreachable("No connection.", cause="connect"), RUNNING, THERE]
    talk = Conversation(client, model="artist-video", stream=True)
    first = await talk.say("Film a cat.")
    assert first.text == f"[video]({SITE}/film.mp4?key=signed)"
    assert re.fullmatch(r"(The video is being made \(\d+ s\)\.\n){2}", first.reasoning)
    assert (await talk.say("What is in it?", model="artist")).match == "exact"


async def test_a_client_is_kept_waiting_alive(tmp_path: Path) -> None:
    studio = Studio(answers=[[VideoTask("film")]], videos={"film": [*[RUNNING] * 6, THERE]})
    async with studio_server(tmp_path, studio) as client:
        body = {
            "model": "artist-video",
            "messages": [{"role": "user", "content": "Film."}],
            "stream": True,
            "enable_thinking": False,
        }
        async with client.session.post(f"{client.url}/v1/chat/completions", json=body) as response:
            text = (await response.read()).decode()
    assert ": keep-alive" in text
    assert "reasoning_content" not in text
    assert "film.mp4" in text


async def test_a_video_that_fails_is_an_error(client: Client, studio: Studio) -> None:
    studio.answers = [[VideoTask("bad")]]
    studio.videos["bad"] = [RUNNING, VideoState("failed", error="It may not be shown.")]
    reply = await client.chat([{"role": "user", "content": "Film."}], model="artist-video")
    assert (reply.status, reply.error["code"]) == (502, "video_failed")
    assert "It may not be shown." in reply.error["message"]


async def test_a_video_that_never_comes_is_given_up(client: Client, studio: Studio) -> None:
    studio.answers = [[VideoTask("late")]]
    studio.videos["late"] = [RUNNING]
    reply = await client.chat([{"role": "user", "content": "Film."}], model="artist-video")
    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")


async def test_a_site_that_stays_away_ends_the_wait(client: Client, studio: Studio) -> None:
    studio.answers = [[VideoTask("gone")]]
    studio.videos["gone"] = [UpstreamBusy("Busy.")]
    reply = await client.chat([{"role": "user", "content": "Film."}], model="artist-video")
    assert reply.error["code"] == "upstream_busy"


async def test_a_client_that_leaves_ends_the_video(client: Client, studio: Studio) -> None:
    studio.answers = [[VideoTask("long")]]
    studio.videos["long"] = [RUNNING]
    body = {"model": "artist-video", "messages": [{"role": "user", "content": "Film."}], "stream": True}
    before = len(studio.stopped)
    async with client.session.post(f"{client.url}/v1/chat/completions", json=body) as response:
        await response.content.readuntil(b"being made")
        response.close()
    await eventually(lambda: len(studio.stopped) > before)
    assert studio.stopped[-1] == studio.chats[-1]


async def test_deep_research_shows_its_phases_as_reasoning_and_its_question_is_a_turn(
    client: Client, studio: Studio
) -> None:
    studio.answers = [
        [TextDelta("Which years?")],
        [ReasoningDelta("Searching. "), ReasoningDelta("Writing. "), SOURCES, TextDelta("The report [[1]].")],
    ]
    talk = Conversation(client, model="artist-research", stream=True)
    first = await talk.say("Write about tides.")
    second = await talk.say("The last ten.")
    assert (second.session, second.match) == (first.session, "exact")
    assert [prompt.mode for prompt in studio.prompts[-2:]] == ["research", "research"]
    assert (first.text, second.reasoning, second.text) == ("Which years?", "Searching. Writing. ", "The report [[1]].")
    assert annotations(second) == [("One", "[[1]]")]

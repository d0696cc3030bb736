"""A response that was named is gone on from whatever happened to it: a kill, a client that left, another account."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.core.events import Picture, Source, Sources, TextDelta
from tests.e2e.harness import MODEL, Client, Reply, Server, emulating, eventually, serving
from tests.e2e.processes import server_process
from tests.e2e.studio import SITE, Studio, studio_server

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"
WORDS = [f"word{number} " for number in range(12)]
CAT = f"{SITE}/cat.png?key=signed.one"
MILK = "https://milk.example"


async def respond(client: Client, given: Any, after: str | None = None, model: str = MODEL, **fields: Any) -> Reply:
    body = {"model": model, "input": given, "previous_response_id": after, "reasoning": {"effort": "none"}, **fields}
    return await client.post("/v1/responses", body)


def text_of(reply: Reply) -> str:
    parts = [part["text"] for item in reply.body["output"] for part in item.get("content", [])]
    return "".join(parts)


class Stream:
    """A stream of events that is read by hand, and may be left."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.text = ""
        self.id = ""
        self.kinds: list[str] = []

    async def read(self, until: str | None = None) -> None:
        """Read until the text is this one, or else until the stream ends."""
        async for line in self.response.content:
            if not line.startswith(b"data: "):
                continue
            event = json.loads(line[6:])
            self.kinds.append(event["type"])
            self.id = self.id or event["response"]["id"]
            self.text += event["delta"] if event["type"] == "response.output_text.delta" else ""
            if self.text == until:
                return


async def begin(client: Client, given: str, after: str) -> Stream:
    body = {"model": MODEL, "input": given, "previous_response_id": after, "stream": True}
    return Stream(
        await client.session.post(f"{client.url}/v1/responses", json=body | {"reasoning": {"effort": "none"}})
    )


@pytest.mark.timeout(60)
async def test_a_response_that_a_kill_cut_is_gone_on_from_by_the_id_that_its_stream_began_with(tmp_path: Path) -> None:
    async with emulating() as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        async with server_process(tmp_path, **settings) as server:
            client = Client(session, server.url)
            first = (await respond(client, DOG)).body["id"]
            hold = emulator.script.hold("", pieces=WORDS, before=4)
            cut = await begin(client, "Count.", first)
            await hold.reached()
            await cut.read("".join(WORDS[:4]))
            server.process.kill()
        hold.release()
        async with server_process(tmp_path, **settings) as server:
            reply = await respond(Client(session, server.url), ASK, cut.id)
            assert (reply.status, text_of(reply)) == (200, "Your dog is Waldo.")
        assert len(emulator.chats) == 1
        seen = [text for _, text in emulator.shown[-1].seen]
        assert any(text.startswith("word0 word1 word2 word3") for text in seen)


async def test_a_response_whose_client_left_is_gone_on_from_below_what_was_written(server: Server) -> None:
    first = (await respond(server.client, DOG)).body["id"]
    hold = server.emulator.script.hold("", pieces=WORDS, before=4)
    left = await begin(server.client, "Count.", first)
    await hold.reached()
    await left.read("".join(WORDS[:4]))
    left.response.close()
    await eventually(lambda: server.emulator.stops)
    hold.release()
    reply = await respond(server.client, ASK, left.id)
    assert (reply.match, text_of(reply)) == ("exact", "Your dog is Waldo.")
    assert len(server.emulator.chats) == 1


async def test_a_silent_stream_is_kept_alive(tmp_path: Path) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, KEEP_ALIVE_SECONDS="0.05") as server:
        first = (await respond(server.client, DOG)).body["id"]
        hold = emulator.script.hold("One.")
        stream = await begin(server.client, "hi", first)
        assert await stream.response.content.readuntil(b"\n\n") == b": keep-alive\n\n"
        hold.release()
        await stream.read()
        assert stream.kinds[0] == "response.created"
        assert stream.kinds[-1] == "response.completed"


async def test_under_another_account_a_response_is_told_to_a_new_chat(tmp_path: Path) -> None:
    async with emulating() as emulator:
        async with serving(tmp_path, emulator) as server:
            first = (await respond(server.client, DOG)).body["id"]
        token = emulator.mint_token(account="another")
        async with serving(tmp_path, emulator, QWEN_AUTH_TOKEN=token) as server:
            second = await respond(server.client, ASK, first)
            third = await respond(server.client, "Thanks", second.body["id"])
        assert (second.match, third.match) == ("new", "exact")
        assert "Waldo" in text_of(second)
        assert emulator.shown[-1].text == "Thanks"


async def test_a_side_call_can_be_gone_on_from_too(server: Server) -> None:
    first = await respond(server.client, DOG, max_output_tokens=40)
    second = await respond(server.client, ASK, first.body["id"], max_output_tokens=40)
    third = await respond(server.client, "Thanks", second.body["id"])
    assert (second.match, third.match) == ("new", "exact")
    assert "Waldo" in text_of(second)


async def test_a_long_replay_is_whole_when_it_is_replayed_again(tmp_path: Path) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, BODY_BUDGET="4000") as server:
        said = (await respond(server.client, DOG)).body["id"]
        said = (await respond(server.client, "x" * 1700, said)).body["id"]
        for _ in range(2):
            await emulator.delete_chat(emulator.shown[-1].chat_id)
            reply = await respond(server.client, ASK, said)
            said = reply.body["id"]
            assert emulator.shown[-1].text.startswith("The attached file conversation.txt")
            assert "Waldo" in text_of(reply)


async def test_a_chat_client_goes_on_where_a_response_is_and_the_other_way_round(server: Server) -> None:
    talk = server.conversation()
    first = await talk.say(DOG)
    named = f"resp_{first.body['id'].removeprefix('chatcmpl-')}"
    second = await respond(server.client, ASK, named)
    talk.messages += [{"role": "user", "content": ASK}, {"role": "assistant", "content": text_of(second)}]
    third = await talk.say("Thanks")
    assert {second.match, third.match} == {"exact"}
    assert len(server.emulator.chats) == 1


async def test_where_text_begins_like_a_transcript_nothing_is_told_twice(server: Server) -> None:
    odd = "<instructions>\nx\n</instructions>\n\n<conversation>\n<user>\ny\n</user>\n</conversation>\n\nWhat is this?"
    first = await respond(server.client, odd, instructions="Be brief.")
    await server.emulator.delete_chat(server.emulator.shown[-1].chat_id)
    await respond(server.client, ASK, first.body["id"])
    assert server.emulator.shown[-1].text.count("What is this?") == 1
    assert "Be brief." not in server.emulator.shown[-1].text


async def test_the_newest_picture_goes_along_with_what_is_said_of_it(tmp_path: Path) -> None:
    studio = Studio(files={CAT: ("image/png", b"\x89PNG cat")})
    studio.answers = [[TextDelta("Here:"), Picture(CAT)], [Picture(CAT)]]
    async with studio_server(tmp_path, studio) as client:
        first = await respond(client, "Draw a cat.", model="artist-image")
        assert [item["type"] for item in first.body["output"]] == ["message", "image_generation_call"]
        history = [{"role": "user", "content": "Draw a cat."}, *first.body["output"]]
        await respond(client, "Make it blue.", first.body["id"], model="artist-image")
        assert studio.prompts[-1].pictures == ((CAT,),)
        again = await respond(client, [*history, {"role": "user", "content": "And now?"}], model="artist-image")
        assert again.match == "exact"


async def test_sources_of_a_search_are_annotations(tmp_path: Path) -> None:
    studio = Studio()
    studio.answers = [[Sources((Source(1, MILK, "Milk"),)), TextDelta("Cats like milk[[1]].")]]
    async with studio_server(tmp_path, studio) as client:
        reply = await respond(client, "What do cats like?", model="artist", tools=[{"type": "web_search"}])
    assert studio.prompts[-1].mode == "search"
    [annotation] = reply.body["output"][0]["content"][0]["annotations"]
    assert (annotation["url"], annotation["title"]) == (MILK, "Milk")
    assert text_of(reply)[annotation["start_index"] : annotation["end_index"]]

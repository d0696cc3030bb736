"""An answer that was stopped is a part of the conversation, with as much of it as the client has."""

import asyncio

import pytest

from tests.e2e.habits import Topic, assistant, call_text, result_text, user
from tests.e2e.harness import MODEL, Messages, Server, eventually

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"
STORY = ["Once ", "upon ", "a time ", "there was ", "a king ", "who had ", "three daughters."]
TOLD = "Once upon a time there was "


async def stop_in_mid_answer(server: Server, messages: Messages) -> None:
    """Ask for the story, read four pieces of it, and close the connection as a stop button does."""
    hold = server.emulator.script.hold("", pieces=STORY, before=4)
    stops = len(server.emulator.stops)
    body = {"model": MODEL, "messages": messages, "stream": True, "enable_thinking": False}
    async with server.client.session.post(f"{server.url}/v1/chat/completions", json=body) as response:
        await hold.reached()
        got = b""
        while b"there was " not in got:
            got += await response.content.readany()
    await eventually(lambda: len(server.emulator.stops) > stops, 2)


async def begun(server: Server) -> Messages:
    first = await server.client.chat([user(DOG)])
    return [user(DOG), assistant(first.text), user("Tell me a story.")]


@pytest.mark.parametrize(
    "received", [TOLD, TOLD.strip(), "Once upon a time", "Once", "Once upon a time there was a ki"]
)
async def test_the_client_goes_on_with_the_part_that_it_received(server: Server, received: str) -> None:
    history = await begun(server)
    await stop_in_mid_answer(server, history)
    history += [assistant(received), user(ASK)]
    reply = await server.client.chat(history)
    assert (reply.match, reply.text) == ("exact", "Your dog is Waldo.")
    assert server.emulator.shown[-1].text == ASK
    history += [assistant(reply.text), user("And again?")]
    assert (await server.client.chat(history)).match == "exact"
    assert len(server.emulator.chats) == 1


@pytest.mark.parametrize("received", ["Twice upon", "upon a time", ""])
async def test_another_text_is_not_a_part_of_it(server: Server, received: str) -> None:
    history = await begun(server)
    await stop_in_mid_answer(server, history)
    reply = await server.client.chat([*history, assistant(received), user(ASK)])
    assert (reply.match, reply.text) == ("branch", "Your dog is Waldo.")


async def test_of_two_answers_that_were_stopped_the_nearest_counts(server: Server) -> None:
    history = await begun(server)
    await stop_in_mid_answer(server, history)
    server.emulator.script.answer("Once upon a time. The end.")
    await server.client.chat(history)
    reply = await server.client.chat([*history, assistant("Once upon a time there"), user(ASK)])
    assert reply.match == "exact"
    assert "there was" in " ".join(text for _, text in server.emulator.shown[-1].seen)


async def test_a_stop_in_the_first_answer(server: Server) -> None:
    await stop_in_mid_answer(server, [user(DOG)])
    reply = await server.client.chat([user(DOG), assistant("Once upon a"), user(ASK)])
    assert (reply.match, reply.text) == ("exact", "Your dog is Waldo.")


async def test_a_stop_before_any_text_is_a_regenerate(server: Server) -> None:
    history = await begun(server)
    hold = server.emulator.script.hold("", pieces=STORY, before=0)
    asked = asyncio.create_task(server.client.chat(history, stream=True, enable_thinking=False))
    await hold.reached()
    asked.cancel()
    await eventually(lambda: server.emulator.stops, 2)
    reply = await server.client.chat([*history[:2], user(ASK)])
    assert (reply.match, reply.text) == ("exact", "Your dog is Waldo.")
    assert server.emulator.shown[-1].parent_id == server.emulator.shown[-2].parent_id


async def test_a_stop_inside_a_tool_loop(server: Server) -> None:
    script, topic = server.emulator.script, Topic(server.client, system="Use the tools.")
    await topic.say(DOG)
    script.answer("I look. " + call_text())
    asked = await topic.say("Look for a story.")
    topic.loop = [assistant(asked.text), user(result_text("found one"))]
    system = {"role": "system", "content": topic.system}
    await stop_in_mid_answer(server, [system, *topic.sent, *topic.loop])
    topic.texts.append("Once upon a ti")
    reply = await topic.say(ASK)
    assert (reply.match, reply.text) == ("exact", "Your dog is Waldo.")
    assert server.emulator.shown[-1].text == ASK


async def test_a_stopped_answer_stays_in_a_window(server: Server) -> None:
    topic = Topic(server.client, window=7)
    for number in range(5):
        await topic.say(f"Tell me something about the number {number}.")
    topic.close()
    topic.turns.append(user("Tell me a story."))
    topic.sent = topic.turns[-7:]
    await stop_in_mid_answer(server, topic.sent)
    topic.turns.append(assistant("Once upon a"))
    matches = [(await topic.say(f"And about {number}?")).match for number in range(10, 15)]
    assert matches == ["exact", "window", "window", "window", "window"]
    assert len(server.emulator.chats) == 1


async def test_an_answer_that_was_stopped_is_continued_where_the_client_has_it(server: Server) -> None:
    history = await begun(server)
    await stop_in_mid_answer(server, history)
    server.emulator.script.answer("a king.")
    reply = await server.client.chat([*history, assistant("Once upon a time ")])
    assert reply.match == "exact"
    assert server.emulator.shown[-1].text.splitlines()[1:] == ["<words>", "Once upon a time", "</words>"]


async def test_an_answer_of_the_greatest_length_is_continued_at_its_end(server: Server) -> None:
    history = [user("Count.")]
    server.emulator.script.answer("", pieces=[f"w{number} " for number in range(200)])
    first = await server.client.chat(history, max_tokens=60)
    assert first.finish_reason == "length"
    server.emulator.script.answer("and on.")
    reply = await server.client.chat([*history, assistant(first.text)])
    assert reply.match == "exact"
    assert first.text.split()[-1] == server.emulator.shown[-1].text.split()[-2]


async def test_a_whole_answer_is_continued_with_a_word(server: Server) -> None:
    history = await begun(server)
    server.emulator.script.answer("That is a nice name.")
    whole = await server.client.chat(history)
    server.emulator.script.answer("It is.")
    await server.client.chat([*history, assistant(whole.text)])
    assert server.emulator.shown[-1].text == "Continue."

"""Responses in conversations of several kinds: results that come late, prompts that stay, clients that send it all."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from app.core.events import Picture, Source, Sources, TextDelta
from tests.e2e.habits import assistant, user
from tests.e2e.harness import MODEL, Server
from tests.e2e.studio import Studio, studio_server
from tests.e2e.test_named_answers import CAT, MILK, WORDS, respond
from tests.e2e.test_responses import ASK, DOG, NAMED_CALL, WEATHER, client_of, functions_of, say

LONG = "It is noon, as the clock says; is there anything else that you want?"


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(server) as client:
        yield client


def output(call_id: str, text: str) -> Any:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def system(text: str) -> Any:
    return {"role": "system", "content": text}


def last_sent(server: Server) -> str:
    return server.emulator.shown[-1].text


async def forget_chat(server: Server) -> None:
    await server.emulator.delete_chat(server.emulator.shown[-1].chat_id)


async def test_conversations_with_results_and_a_question_at_once_are_told_apart(
    client: AsyncOpenAI, server: Server
) -> None:
    question = "My dog is called {}. How warm is it in Rome?"
    for dog in ("Waldo", "Rex"):
        server.emulator.script.answer(f"I look.\n\n{NAMED_CALL.format(city='Rome')}")
        server.emulator.script.answer(LONG)
        asked = await say(client, question.format(dog), tools=[WEATHER])
        (call,) = functions_of(asked)
        await say(client, [output(call.call_id, "22"), {"role": "user", "content": "And the time?"}], asked)
    for dog in ("Waldo", "Rex"):
        told = [user(question.format(dog)), assistant("I look."), user("And the time?"), assistant(LONG), user(ASK)]
        reply = await server.client.chat(told)
        assert (reply.match, reply.text) == ("exact", f"Your dog is {dog}.")


async def test_system_messages_of_a_whole_history_stay_in_force(client: AsyncOpenAI, server: Server) -> None:
    first = await say(client, DOG, instructions="Be brief.")
    whole: list[Any] = [system("Speak French."), user(DOG), *first.output, user("One.")]
    second = await say(client, whole, instructions="Be brief.")
    assert "<system>\nSpeak French.\n</system>" in last_sent(server)
    third = await say(client, "Two.", second, instructions="Be brief.")
    assert last_sent(server) == "Two."
    await forget_chat(server)
    await say(client, "Three.", third)
    assert "Speak French." in last_sent(server)


async def test_a_whole_history_that_adds_a_system_message_tells_that_one_alone(
    client: AsyncOpenAI, server: Server
) -> None:
    whole: list[Any] = [system("French."), user(DOG)]
    for text in ("Short.", "Loud."):
        said = await say(client, whole, instructions="Be kind.")
        whole += [*said.output, system(text), user("Go on.")]
        await say(client, whole, instructions="Be kind.")
        assert last_sent(server) == f"<system>\n{text}\n</system>\n\nGo on."
    assert len(server.emulator.chats) == 1


async def test_a_whole_history_knows_the_system_messages_that_came_by_name(client: AsyncOpenAI, server: Server) -> None:
    whole: list[Any] = [system("French."), user(DOG)]
    said = await say(client, whole)
    for texts in (["Short."], ["Loud.", "Clear."]):
        new: list[Any] = [*map(system, texts), user("Go on.")]
        whole += [*said.output, *new]
        said = await say(client, new, said)
    whole += [*said.output, user("Two.")]
    await say(client, whole)
    assert last_sent(server) == "Two."


GONE = "None of the instructions and system messages given earlier apply any longer."


@pytest.mark.parametrize("instructions", [None, "Be kind."])
@pytest.mark.parametrize(
    ("before", "after"), [(["French."], []), (["French."], ["German."]), (["French.", "Short."], ["French."])]
)
async def test_a_system_message_that_a_whole_history_does_not_show_any_more_is_taken_back(
    client: AsyncOpenAI, server: Server, before: list[str], after: list[str], instructions: str | None
) -> None:
    fields: dict[str, Any] = {} if instructions is None else {"instructions": instructions}
    server.emulator.script.answer(LONG)
    opening: Any = [*map(system, before), user(DOG)]
    first = await say(client, opening, **fields)
    whole: list[Any] = [*map(system, after), user(DOG), *first.output, user("One.")]
    second = await say(client, whole, **fields)
    held = [f"<instructions>\n{instructions}\n</instructions>"] if instructions else []
    held += [f"<system>\n{text}\n</system>" for text in after]
    assert last_sent(server) == "\n\n".join([GONE, *held, "One."])
    whole += [*second.output, user("Two.")]
    await say(client, whole, **fields)
    assert last_sent(server) == "Two."
    assert len(server.emulator.chats) == 1


async def test_a_system_message_in_place_of_a_chat_completion_s_prompt_outlives_the_chat(
    client: AsyncOpenAI, server: Server
) -> None:
    first = await server.conversation(system="Be brief.").say(DOG)
    whole: Any = [user(DOG), assistant(first.text), system("Speak French."), user("One.")]
    second = await say(client, whole)
    assert last_sent(server) == f"{GONE}\n\n<system>\nSpeak French.\n</system>\n\nOne."
    await forget_chat(server)
    third = await say(client, "Two.", second)
    told = last_sent(server)
    assert told.index("Be brief.") < told.index(GONE) < told.index("Speak French.")
    await say(client, "Three.", third)
    assert last_sent(server) == "Three."


async def test_a_replay_says_which_prompt_replaced_which(client: AsyncOpenAI, server: Server) -> None:
    first = await server.client.chat([system("Be brief."), user(DOG)])
    changed: Any = [system("Be loud."), user(DOG), assistant(first.text), user("One.")]
    second = await server.client.chat(changed)
    changed += [assistant(second.text), user("Two.")]
    third = await say(client, changed)
    await forget_chat(server)
    await say(client, "Three.", third)
    text = last_sent(server)
    brief, loud = (
        "<system>\nBe brief.\n</system>",
        "<system>\nThese instructions replace the ones given earlier:\nBe loud.",
    )
    assert text.index(brief) < text.index(DOG) < text.index(loud) < text.index("One.")


async def test_the_prompt_of_a_chat_completion_is_told_again_in_a_replay(client: AsyncOpenAI, server: Server) -> None:
    first = await server.conversation(system="Speak French.").say(DOG)
    name = f"resp_{first.body['id'].removeprefix('chatcmpl-')}"
    await forget_chat(server)
    await respond(server.client, "One.", name)
    assert "<system>\nSpeak French.\n</system>" in last_sent(server)


async def test_an_item_of_an_answer_that_was_just_stopped_can_be_referred_to(server: Server) -> None:
    hold = server.emulator.script.hold("", pieces=WORDS, before=4)
    body = {"model": MODEL, "input": "Count.", "stream": True, "reasoning": {"effort": "none"}}
    async with server.client.session.post(f"{server.url}/v1/responses", json=body) as response:
        await hold.reached()
        text = item = ""
        async for line in response.content:
            event = json.loads(line[6:]) if line.startswith(b"data: ") else {}
            if event.get("type") == "response.output_text.delta":
                text, item = text + event["delta"], event["item_id"]
            if text == "".join(WORDS[:4]):
                break
        told = [user("Count."), {"type": "item_reference", "id": item}, user("Go on.")]
        unfinished = await respond(server.client, told)
        assert (unfinished.status, unfinished.error["code"]) == (409, "response_unfinished")
    reply = await respond(server.client, told)
    hold.release()
    assert (reply.status, reply.match) == (200, "exact")


@pytest.mark.parametrize("is_lost", [False, True])
async def test_late_results_name_their_tools(client: AsyncOpenAI, server: Server, is_lost: bool) -> None:
    calls = "\n".join(NAMED_CALL.format(city=city) for city in ("Paris", "Rome"))
    server.emulator.script.answer(f"I look.\n\n{calls}")
    asked = await say(client, "Where is it warm?", tools=[WEATHER])
    paris, rome = functions_of(asked)
    if is_lost:
        await forget_chat(server)
        between = await say(client, [output(paris.call_id, "22")], asked, tools=[WEATHER])
    else:
        between = await say(client, "Wait, is it sunny too?", asked, tools=[WEATHER])
    await say(client, [output(rome.call_id, "31")], between, tools=[WEATHER])
    assert "<name>get_weather</name>" in last_sent(server)
    assert "31" in last_sent(server)


async def test_a_picture_of_some_turns_ago_is_changed(tmp_path: Path) -> None:
    studio = Studio(files={CAT: ("image/png", b"\x89PNG cat")})
    studio.answers = [[TextDelta("Here:"), Picture(CAT)], [TextDelta("Welcome.")], [Picture(CAT)]]
    async with studio_server(tmp_path, studio) as client:
        drawn = await respond(client, "Draw a cat.", model="artist-image")
        thanked = await respond(client, "Thanks.", drawn.body["id"], model="artist")
        await respond(client, "Make it blue.", thanked.body["id"], model="artist-image")
    assert studio.prompts[-1].pictures == ((CAT,),)


async def test_texts_cite_before_a_call_and_behind_a_picture(tmp_path: Path) -> None:
    studio = Studio(files={CAT: ("image/png", b"\x89PNG cat")})
    sources, fact = Sources((Source(1, MILK, "Milk"),)), "Cats like milk[[1]]."
    studio.answers = [
        [sources, TextDelta(f"{fact}\n\n{NAMED_CALL.format(city='Rome')}")],
        [sources, TextDelta("Look:"), Picture(CAT), TextDelta(fact)],
    ]
    searched: list[Any] = [{"type": "web_search"}]
    async with studio_server(tmp_path, studio, IMAGES_AS="data") as client:
        replies = [
            await respond(client, "What?", model="artist", tools=[*searched, WEATHER]),
            await respond(client, "What?", model="artist", tools=searched, tool_choice="required"),
        ]
    for reply in replies:
        parts = [part for item in reply.body["output"] for part in item.get("content", [])]
        ((text, cited),) = [(part["text"], part["annotations"][0]) for part in parts if part["annotations"]]
        assert (cited["url"], text[cited["start_index"] : cited["end_index"]]) == (MILK, "[[1]]")


async def test_both_kinds_of_clients_go_on_under_the_same_prompt(client: AsyncOpenAI, server: Server) -> None:
    begun: list[Any] = [system("Be brief."), user("Hi.")]
    first = await say(client, begun)
    told = [*begun, assistant(first.output_text), user("One.")]
    reply = await server.client.chat(told)
    assert (reply.match, last_sent(server)) == ("exact", "One.")


async def test_what_is_kept_of_an_answer_that_was_asked_for_again_has_all_that_was_thought(
    client: AsyncOpenAI, server: Server
) -> None:
    server.emulator.script.answer("No JSON.", thinking=["First thought."])
    server.emulator.script.answer('{"name": "Waldo"}', thinking=["Second thought."])
    made = await say(client, DOG, text={"format": {"type": "json_object"}}, reasoning={"effort": "high"})
    kept = await client.responses.retrieve(made.id)
    assert [item.id for item in kept.output] == [item.id for item in made.output]

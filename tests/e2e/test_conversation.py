"""One conversation in the client is one conversation upstream."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.harness import Server, emulating, serving

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"


@pytest.mark.parametrize("stream", [False, True])
async def test_three_turns_stay_in_one_chat_and_only_the_new_text_is_sent(server: Server, stream: bool) -> None:
    talk = server.conversation(stream=stream)
    replies = [await talk.say(text) for text in (DOG, ASK, "How many turns do you see?")]
    assert [reply.match for reply in replies] == ["new", "exact", "exact"]
    assert len({reply.session for reply in replies}) == 1
    assert "Waldo" in replies[1].text
    assert "3" in replies[2].text
    assert [shown.text for shown in server.emulator.shown] == [DOG, ASK, "How many turns do you see?"]
    assert len(server.emulator.chats) == 1


async def test_the_thread_survives_a_restart(tmp_path: Path) -> None:
    async with emulating() as emulator:
        async with serving(tmp_path, emulator) as server:
            talk = server.conversation()
            first = await talk.say(DOG)
        async with serving(tmp_path, emulator) as server:
            talk.client = server.client
            second = await talk.say(ASK)
        assert (second.match, second.session) == ("exact", first.session)
        assert emulator.shown[-1].text == ASK
        assert "Waldo" in second.text


async def test_two_conversations_with_one_beginning_never_mix(server: Server) -> None:
    one, other = server.conversation(), server.conversation()
    for talk in (one, other):
        await talk.say("Hello")
    await one.say(DOG)
    await other.say("My dog is called Bello.")
    assert "Waldo" in (await one.say(ASK)).text
    assert "Bello" in (await other.say(ASK)).text
    for shown in server.emulator.shown:
        said = " ".join(text for _, text in shown.seen)
        assert not ("Waldo" in said and "Bello" in said)


async def test_regenerate_makes_a_sibling_of_the_answer(server: Server) -> None:
    talk = server.conversation()
    await talk.say(DOG)
    await talk.say("Say something.")
    talk.messages.pop()
    again = await talk.again()
    first, second, third = server.emulator.shown
    assert again.match == "exact"
    assert (third.chat_id, third.parent_id, third.text) == (second.chat_id, second.parent_id, second.text)
    assert (second.user_action, third.user_action) == ("chat", "edit")
    assert "Waldo" in (await talk.say(ASK)).text
    assert server.emulator.shown[-1].parent_id not in {first.parent_id, second.parent_id}


async def test_an_edit_of_the_last_text_makes_a_sibling_with_the_new_text(server: Server) -> None:
    talk = server.conversation()
    await talk.say("Hello")
    await talk.say("My dog is called Bello.")
    del talk.messages[-2:]
    await talk.say(DOG)
    reply = await talk.say(ASK)
    assert "Waldo" in reply.text
    assert "Bello" not in str(server.emulator.shown[-1].seen)
    assert len(server.emulator.chats) == 1


async def test_an_earlier_text_that_was_edited_is_replayed_into_a_new_chat(server: Server) -> None:
    talk = server.conversation()
    await talk.say("My dog is called Bello.")
    await talk.say("Is that nice?")
    talk.messages[0]["content"] = DOG
    reply = await talk.say(ASK)
    assert (reply.match, len(server.emulator.chats)) == ("new", 2)
    assert "Waldo" in reply.text
    assert "Bello" not in server.emulator.shown[-1].text.replace(talk.messages[1]["content"], "")


async def test_a_replayed_conversation_goes_on_natively(server: Server) -> None:
    talk = server.conversation()
    talk.messages = [{"role": "user", "content": DOG}, {"role": "assistant", "content": "A fine name, from elsewhere."}]
    first = await talk.say(ASK)
    second = await talk.say("Thanks")
    assert (first.match, second.match) == ("new", "exact")
    assert DOG in server.emulator.shown[0].text
    assert server.emulator.shown[1].text == "Thanks"


async def test_the_system_prompt_is_said_once_and_again_only_when_it_changes(server: Server) -> None:
    talk = server.conversation(system="Today is Monday, 2026-11-23 05:14:46. Be brief.")
    await talk.say("Hello")
    talk.messages[0]["content"] = "Today is Tuesday, 2026-11-24 18:00:01. Be brief."
    await talk.say("And now?")
    talk.messages[0]["content"] = "Be long."
    await talk.say("And then?")
    await talk.say("Well?")
    texts = [shown.text for shown in server.emulator.shown]
    assert "Be brief." in texts[0]
    assert texts[1] == "And now?"
    assert "Be long." in texts[2]
    assert texts[2].endswith("And then?")
    assert texts[3] == "Well?"
    assert len(server.emulator.chats) == 1


async def test_another_model_answers_in_the_same_chat(server: Server) -> None:
    talk = server.conversation()
    await talk.say("Hello")
    reply = await talk.say("And you?", model="qwen3.8-max")
    assert reply.match == "exact"
    assert [shown.model for shown in server.emulator.shown] == ["qwen3.7-plus", "qwen3.8-max"]


async def test_a_chat_deleted_on_the_site_is_replayed_into_a_new_one(server: Server) -> None:
    talk = server.conversation()
    first = await talk.say(DOG)
    await server.emulator.delete_chat(server.emulator.shown[0].chat_id)
    second = await talk.say(ASK)
    third = await talk.say("Thanks")
    assert (second.match, third.match) == ("new", "exact")
    assert second.session != first.session
    assert "Waldo" in second.text


async def test_a_parent_that_upstream_lost_is_replayed_into_a_new_chat(server: Server) -> None:
    talk = server.conversation()
    await talk.say(DOG)
    server.emulator.script.fault("parent_not_found")
    reply = await talk.say(ASK)
    assert (reply.match, "Waldo" in reply.text) == ("new", True)


async def test_the_lock_that_outlasts_an_answer_is_waited_out(tmp_path: Path) -> None:
    async with emulating(lock_seconds=0.3) as emulator, serving(tmp_path, emulator) as server:
        talk = server.conversation()
        await talk.say(DOG)
        reply = await talk.say(ASK)
        assert reply.match == "exact"
        assert len(emulator.chats) == 1


async def test_a_chat_that_stays_in_progress_is_stopped_and_then_replayed(server: Server) -> None:
    talk = server.conversation()
    await talk.say(DOG)
    server.emulator.script.fault("chat_in_progress", times=8)
    reply = await talk.say(ASK)
    assert (reply.match, "Waldo" in reply.text) == ("new", True)
    assert [stop["chat_id"] for stop in server.emulator.stops] == [server.emulator.shown[0].chat_id]


async def test_a_lock_that_opens_when_upstream_is_told_to_stop_costs_no_replay(server: Server) -> None:
    talk = server.conversation()
    await talk.say(DOG)
    server.emulator.script.fault("chat_in_progress", times=7)
    assert (await talk.say(ASK)).match == "exact"


async def test_a_second_request_into_a_busy_chat_is_replayed_at_once(server: Server) -> None:
    talk = server.conversation()
    await talk.say(DOG)
    held = server.emulator.script.hold("One.")
    talk.messages.append({"role": "user", "content": ASK})
    first = asyncio.create_task(server.client.chat(talk.messages))
    await held.reached()
    second = await server.client.chat(talk.messages)
    held.release()
    assert (second.match, (await first).match) == ("new", "exact")
    assert "Waldo" in second.text


async def test_a_tool_loop_in_prompt_mode_goes_on_in_its_chat(server: Server) -> None:
    call = '<tool_use>\n  <name>get_weather</name>\n  <arguments>{"city":"Paris"}</arguments>\n</tool_use>'
    result = "<tool_use_result>\n  <name>get_weather</name>\n  <result>22 degrees</result>\n</tool_use_result>"
    talk = server.conversation(system="In this environment you have access to a set of tools.")
    server.emulator.script.answer("Let me look. " + call)
    await talk.say("How warm is it in Paris?")
    server.emulator.script.answer("It is 22 degrees.")
    inside = await talk.say(result)
    assert inside.match == "exact"
    assert server.emulator.shown[-1].text == result
    talk.messages[1:] = [
        {"role": "user", "content": "How warm is it in Paris?"},
        {"role": "assistant", "content": "Let me look.\n\nIt is 22 degrees."},
    ]
    after = await talk.say("Thanks")
    assert after.match == "exact"
    assert server.emulator.shown[-1].text == "Thanks"
    assert len(server.emulator.chats) == 1


async def test_owners_do_not_find_each_others_chats_and_keys_of_one_owner_do(tmp_path: Path) -> None:
    keys = "anna:anna-key-1,anna:anna-key-2,ben:ben-key-12"
    async with emulating() as emulator, serving(tmp_path, emulator, API_KEYS=keys) as server:
        talk = server.conversation()
        talk.client.headers = {"Authorization": "Bearer anna-key-1"}
        await talk.say("Hello")
        talk.client.headers = {"X-Api-Key": "anna-key-2"}
        assert (await talk.say("And now?")).match == "exact"
        talk.client.headers = {"Authorization": "bearer ben-key-12"}
        assert (await talk.say("And me?")).match == "new"


async def test_one_line_of_the_log_says_which_rung_matched_and_why_no_other(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "app.core.finding")
    talk = server.conversation()
    await talk.say(DOG)
    await talk.say("Go on.")
    del talk.messages[:2]
    await talk.say("And now?")
    places = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Place:")]
    assert places[0] == "Place: new (nothing was answered yet)"
    assert places[1].startswith("Place: exact (tool-call: no result names a call) in session_")
    assert "window (tool-call: no result names a call; exact: no stored answer has this history)" in places[2]
    assert len(places) == 3

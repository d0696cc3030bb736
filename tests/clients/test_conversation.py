"""What a person does with Cherry Studio all day: talk, stop, meet errors, let it name the topic."""

import asyncio
import json

import pytest

from tests.clients.cherry import Settings
from tests.clients.conftest import Start
from tests.clients.weather import QUESTION, assert_one_line, tool_use
from tests.e2e.harness import Server, eventually

pytestmark = pytest.mark.timeout(40, func_only=True)
WORDS = [f"word{number} " for number in range(20)]


async def test_answers_that_come_back_trimmed_and_with_their_thoughts_are_recognised(
    server: Server, start: Start
) -> None:
    cherry = await start(Settings())
    server.emulator.script.answer("\n  Hello,\n\n\n  you.  \n", thinking=["They greet."])
    hello = await cherry.say("Hello")
    assert (hello.text, hello.reasoning) == ("Hello,\n\n\n  you.", "They greet.")
    assert hello.usage is not None
    assert hello.usage["totalTokens"] > 0
    second = await cherry.say("And now?")
    sent = second.requests[0].messages[1]
    assert sent == {"role": "assistant", "content": hello.text, "reasoning_content": "They greet."}
    assert second.matches == ["exact"]
    assert [shown.text for shown in server.emulator.shown] == ["Hello", "And now?"]
    assert_one_line(server.emulator)


async def test_a_stopped_answer_is_stopped_upstream_and_goes_on_from_what_came(server: Server, start: Start) -> None:
    cherry = await start(Settings())
    server.emulator.script.hold("", pieces=WORDS, before=3)
    asked = asyncio.create_task(cherry.say("Tell me a story."))
    await eventually(lambda: "word2" in cherry.seen)
    cherry.stop()
    stopped = await asked
    assert (stopped.status, stopped.text) == ("paused", "word0 word1 word2")
    await eventually(lambda: server.emulator.stops)
    after = await cherry.say("Go on.")
    assert after.requests[0].messages[1]["content"] == "word0 word1 word2"
    assert (after.status, after.matches) == ("success", ["exact"])
    assert server.emulator.shown[1].text == "Go on."
    assert_one_line(server.emulator)


async def test_a_tool_loop_that_was_stopped_goes_on_too(server: Server, start: Start) -> None:
    cherry, script = await start(Settings(mode="prompt")), server.emulator.script
    script.answer("I look it up.\n\n" + tool_use("getTemperature", city="Paris"))
    script.hold("", pieces=WORDS, before=3)
    asked = asyncio.create_task(cherry.say(QUESTION))
    await eventually(lambda: "word2" in cherry.seen)
    cherry.stop()
    stopped = await asked
    assert (stopped.status, stopped.text) == ("paused", "I look it up.\n\n\n\nword0 word1 word2")
    after = await cherry.say("Go on.")
    assert (after.status, after.matches) == ("success", ["exact"])
    assert server.emulator.shown[2].text == "Go on."
    assert_one_line(server.emulator)


@pytest.mark.parametrize(
    ("fault", "status", "code", "advice"),
    [
        ("rate_limited", 429, "rate_limit_exceeded", "again in 2 hours"),
        ("anti_bot", 503, "upstream_blocked", "Open chat.qwen.ai in your browser"),
    ],
)
async def test_an_error_is_shown_with_its_status_and_what_to_do(
    server: Server, start: Start, fault: str, status: int, code: str, advice: str
) -> None:
    cherry = await start(Settings())
    server.emulator.script.fault(fault)
    refused = await cherry.say("Hello")
    assert (refused.status, refused.text) == ("error", "")
    assert refused.error is not None
    ours = json.loads(refused.error["body"])["error"]
    assert (refused.error["name"], refused.error["status"], ours["code"]) == ("AI_APICallError", status, code)
    assert refused.error["message"] == ours["message"]
    assert advice in refused.error["message"]
    assert len(refused.requests) == 1


async def test_a_turn_that_was_only_an_error_leaves_no_trace(server: Server, start: Start) -> None:
    cherry = await start(Settings())
    await cherry.say("My dog is called Waldo.")
    server.emulator.script.fault("server_error")
    assert (await cherry.say("My dog is called Bello.")).status == "error"
    after = await cherry.say("What is my dog called?")
    assert (after.text, after.matches) == ("Your dog is Waldo.", ["exact"])
    assert "Bello" not in str(server.emulator.shown[-1].seen)
    assert_one_line(server.emulator)


async def test_an_answer_that_breaks_off_keeps_its_text_and_shows_the_error(server: Server, start: Start) -> None:
    cherry = await start(Settings())
    server.emulator.script.answer("", pieces=["One ", "two ", "three ", "four"], fault="error_in_stream")
    broken = await cherry.say("Count.")
    assert (broken.status, broken.text) == ("error", "One two")
    assert broken.error is not None
    assert broken.error["message"].startswith("The site says that a quota of tokens is used up")
    after = await cherry.say("Go on.")
    assert after.requests[0].messages[1]["content"] == "One two"
    assert after.matches == ["exact"]
    assert server.emulator.shown[1].text == "Go on."
    assert_one_line(server.emulator)


async def test_the_request_for_a_name_of_the_topic_does_not_touch_the_conversation(
    server: Server, start: Start
) -> None:
    cherry, emulator = await start(Settings()), server.emulator
    await cherry.say("My dog is called Waldo.")
    emulator.script.answer("A dog called Waldo")
    named = await cherry.name_topic()
    assert named.text == "A dog called Waldo"
    assert "stream" not in named.requests[0].body
    await eventually(lambda: len(emulator.chats) == 1)
    after = await cherry.say("What is my dog called?")
    assert (after.text, after.matches) == ("Your dog is Waldo.", ["exact"])
    assert emulator.shown[2].chat_id == emulator.shown[0].chat_id

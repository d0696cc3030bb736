"""Cherry Studio's prompt mode with a real MCP server: tools are told and called in text."""

import pytest

from tests.clients.cherry import Settings
from tests.clients.conftest import Start
from tests.clients.weather import (
    QUESTION,
    assert_one_line,
    assert_only_results_were_sent,
    assert_two_steps,
    plan_two_steps,
    tool_use,
)
from tests.e2e.harness import Server

pytestmark = pytest.mark.timeout(40, func_only=True)
PROMPT = Settings(mode="prompt", system="You are brief. Now it is {{datetime}}.")


async def test_tool_steps_and_the_turns_after_them_stay_in_one_chat(server: Server, start: Start) -> None:
    cherry, emulator = await start(PROMPT), server.emulator
    plan_two_steps(emulator.script)
    looked_up = await cherry.say(QUESTION)
    assert_two_steps(looked_up)
    assert looked_up.matches == ["new", "exact", "exact"]
    assert_only_results_were_sent(emulator)
    assert [shown.text for shown in emulator.shown[1:]] == [
        request.messages[-1]["content"] for request in looked_up.requests[1:]
    ]

    emulator.script.answer("Paris is warm.")
    next_turn = await cherry.say("Is that warm?")
    assert [message["role"] for message in next_turn.requests[0].messages] == ["system", "user", "assistant", "user"]
    assert next_turn.requests[0].messages[2] == {
        "role": "assistant",
        "content": looked_up.text,
        "reasoning_content": looked_up.reasoning,
    }
    assert next_turn.matches == ["exact"]
    assert emulator.shown[3].text == "Is that warm?"
    assert_one_line(emulator)

    emulator.script.answer("Not for July.")
    again = await cherry.regenerate()
    assert (again.text, again.matches) == ("Not for July.", ["exact"])
    before, after = emulator.shown[3:]
    assert (after.parent_id, after.text) == (before.parent_id, "Is that warm?")
    assert (before.user_action, after.user_action) == ("chat", "edit")

    thanks = await cherry.say("What did you say last?")
    assert (thanks.text, thanks.matches) == ("Not for July.", ["exact"])
    assert len(emulator.chats) == 1


async def test_the_model_is_taught_the_tools_once(server: Server, start: Start) -> None:
    cherry = await start(PROMPT)
    plan_two_steps(server.emulator.script)
    await cherry.say(QUESTION)
    await cherry.say("Thanks")
    assert cherry.tools == ["mcp__weather__getTemperature", "mcp__weather__toFahrenheit"]
    texts = [shown.text for shown in server.emulator.shown]
    assert all(f"<name>{tool}</name>" in texts[0] for tool in cherry.tools)
    assert ["<tools>" in text for text in texts] == [True, False, False, False]


async def test_a_regenerated_turn_runs_its_tools_again_on_a_branch_of_its_own(server: Server, start: Start) -> None:
    cherry, emulator = await start(PROMPT), server.emulator
    await cherry.say("Hello")
    plan_two_steps(emulator.script)
    await cherry.say(QUESTION)
    plan_two_steps(emulator.script)
    again = await cherry.regenerate()
    assert_two_steps(again)
    assert again.matches == ["exact", "exact", "exact"]
    once, twice = emulator.shown[1:4], emulator.shown[4:]
    assert once[0].parent_id == twice[0].parent_id
    assert [shown.text for shown in once] == [shown.text for shown in twice]
    assert [shown.seen for shown in once] == [shown.seen for shown in twice]
    assert len(emulator.chats) == 1


async def test_a_call_without_words_goes_on_too(server: Server, start: Start) -> None:
    cherry, emulator = await start(PROMPT), server.emulator
    emulator.script.answer(tool_use("getTemperature", city="北京"))
    emulator.script.answer("18 度。")
    answer = await cherry.say("北京多少度?")
    assert (answer.text, answer.matches) == ("18 度。", ["new", "exact"])
    assert "北京: 18 degrees" in emulator.shown[1].text
    assert (await cherry.say("谢谢")).matches == ["exact"]
    assert_one_line(emulator)


async def test_a_tool_that_fails_is_told_to_the_model(server: Server, start: Start) -> None:
    cherry, emulator = await start(PROMPT), server.emulator
    emulator.script.answer("I look.\n\n" + tool_use("getTemperature", city="Atlantis"))
    emulator.script.answer("There is no such city.")
    answer = await cherry.say("How warm is it in Atlantis?")
    assert answer.text.split("\n") == ["I look.", "", "", "", "There is no such city."]
    assert answer.matches == ["new", "exact"]
    assert "<error>" in emulator.shown[1].text
    assert (await cherry.say("Pity.")).matches == ["exact"]
    assert_one_line(emulator)


async def test_several_calls_in_one_answer_and_text_after_them_go_on(server: Server, start: Start) -> None:
    cherry, emulator = await start(PROMPT), server.emulator
    calls = [tool_use("getTemperature", city=city) for city in ("Paris", "Rome", "北京")]
    emulator.script.answer("All three.\n\n" + "\n".join(calls) + "\n\nNow I wait.")
    emulator.script.answer("Rome is warmest.")
    answer = await cherry.say("Which is warmest?")
    assert answer.matches == ["new", "exact"]
    assert emulator.shown[1].text.count("<tool_use_result>") == len(answer.calls) >= 2
    after = await cherry.say("Thanks")
    assert "<tool_use>" not in str(after.requests[0].messages[1:])
    assert after.matches == ["exact"]
    assert_one_line(emulator)

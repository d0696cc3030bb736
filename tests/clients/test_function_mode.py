"""Cherry Studio's function mode with a real MCP server: `tools` in the request, `tool_calls` in the answer.

The model behind the server knows no such thing. It is taught the scheme of prompt mode, and its text becomes calls.
"""

import pytest

from tests.clients.cherry import Settings
from tests.clients.conftest import Start
from tests.clients.weather import (
    QUESTION,
    SAID,
    assert_one_line,
    assert_only_results_were_sent,
    assert_two_steps,
    plan_two_steps,
    tool_use,
)
from tests.e2e.harness import Server

pytestmark = pytest.mark.timeout(40, func_only=True)
FUNCTION = Settings(mode="function", system="You are brief. Now it is {{datetime}}.")


async def test_tool_steps_and_the_turns_after_them_stay_in_one_chat(server: Server, start: Start) -> None:
    cherry, emulator = await start(FUNCTION), server.emulator
    plan_two_steps(emulator.script)
    looked_up = await cherry.say(QUESTION)
    assert_two_steps(looked_up)
    assert looked_up.matches == ["new", "tool-call", "tool-call"]
    assert_only_results_were_sent(emulator)
    (call,), result = looked_up.requests[1].messages[-2]["tool_calls"], looked_up.requests[1].messages[-1]
    assert looked_up.requests[1].messages[-2]["content"] == "I look it up."
    assert call["function"] == {"name": "mcp__weather__getTemperature", "arguments": '{"city":"Paris"}'}
    assert result == {"role": "tool", "tool_call_id": call["id"], "content": "Paris: 22 degrees"}

    emulator.script.answer("Paris is warm.")
    next_turn = await cherry.say("Is that warm?")
    assert [message["role"] for message in next_turn.requests[0].messages] == ["system", "user", "assistant", "user"]
    assert next_turn.requests[0].messages[2]["content"] == looked_up.text == "\n\n".join(SAID)
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
    cherry = await start(FUNCTION)
    plan_two_steps(server.emulator.script)
    first_answer = await cherry.say(QUESTION)
    await cherry.say("Thanks")
    assert len(first_answer.requests[0].body["tools"]) == 2
    texts = [shown.text for shown in server.emulator.shown]
    assert [all(tool in text for tool in cherry.tools) for text in texts] == [True, False, False, False]
    assert ["in degrees Celsius" in text for text in texts] == [True, False, False, False]


async def test_thirty_steps_of_the_server_send_their_results_only(server: Server, start: Start) -> None:
    cherry, emulator = await start(FUNCTION), server.emulator
    for step in range(30):
        emulator.script.answer(f"Step {step}.\n\n" + tool_use("getTemperature", city=f"City {step}"))
    emulator.script.answer("All of them are warm.")
    answer = await cherry.say("How warm are these thirty cities?")
    assert (answer.error, len(answer.calls)) == (None, 30)
    assert answer.matches == ["new", *["tool-call"] * 30]
    assert max(len(shown.text) for shown in emulator.shown[1:]) < 200
    assert_one_line(emulator)
    thanks = await cherry.say("Thanks")
    assert (thanks.matches, emulator.shown[-1].text) == (["exact"], "Thanks")


async def test_two_calls_in_one_answer_are_run_and_answered_together(server: Server, start: Start) -> None:
    cherry, emulator = await start(FUNCTION), server.emulator
    calls = [tool_use("getTemperature", city=city) for city in ("Paris", "Rome")]
    emulator.script.answer("Both.\n\n" + "\n".join(calls))
    emulator.script.answer("Rome is warmer.")
    answer = await cherry.say("Which is warmer, Paris or Rome?")
    assert (answer.text, answer.matches) == ("Both.\n\nRome is warmer.", ["new", "tool-call"])
    assert len({call["id"] for call in answer.calls}) == 2
    shown = emulator.shown[1].text
    assert 0 <= shown.find("Paris: 22 degrees") < shown.find("Rome: 31 degrees")
    assert (await cherry.say("Thanks")).matches == ["exact"]
    assert_one_line(emulator)


async def test_a_call_without_words_goes_on_too(server: Server, start: Start) -> None:
    cherry, emulator = await start(FUNCTION), server.emulator
    emulator.script.answer(tool_use("getTemperature", city="北京"))
    emulator.script.answer("18 度。")
    answer = await cherry.say("北京多少度?")
    assert (answer.text, answer.matches) == ("18 度。", ["new", "tool-call"])
    assert "北京: 18 degrees" in emulator.shown[1].text
    assert (await cherry.say("谢谢")).matches == ["exact"]
    assert_one_line(emulator)


async def test_a_tool_that_fails_is_told_to_the_model(server: Server, start: Start) -> None:
    cherry, emulator = await start(FUNCTION), server.emulator
    emulator.script.answer("I look.\n\n" + tool_use("getTemperature", city="Atlantis"))
    emulator.script.answer("There is no such city.")
    answer = await cherry.say("How warm is it in Atlantis?")
    assert (answer.text, answer.matches) == ("I look.\n\nThere is no such city.", ["new", "tool-call"])
    assert "There is no city called Atlantis." in emulator.shown[1].text
    assert (await cherry.say("Pity.")).matches == ["exact"]
    assert_one_line(emulator)

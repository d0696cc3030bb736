"""Cherry Studio's default window: the last seven messages, so the beginning is missing from the fifth turn on."""

import pytest

from tests.clients.cherry import Settings
from tests.clients.conftest import Start
from tests.clients.weather import assert_one_line, tool_use
from tests.e2e.harness import Server

pytestmark = pytest.mark.timeout(40, func_only=True)
WINDOW = 5  # Cherry Studio's default; it sends two messages more


async def test_twelve_turns_stay_in_one_chat(server: Server, start: Start) -> None:
    cherry = await start(Settings(context_count=WINDOW))
    asked = [
        "My dog is called Waldo.",
        *(f"say: This is what you answer to question {number}." for number in range(2, 12)),
        "What is my dog called?",
    ]
    answers = [await cherry.say(text) for text in asked]
    assert [len(answer.requests[0].messages) for answer in answers] == [1, 3, 5, *[7] * 9]
    assert [answer.matches for answer in answers] == [["new"], *[["exact"]] * 3, *[["window"]] * 8]
    assert [shown.text for shown in server.emulator.shown] == asked
    assert answers[-1].text == "Your dog is Waldo."
    assert_one_line(server.emulator)


async def test_turns_with_tools_stay_in_one_chat(server: Server, start: Start) -> None:
    cherry, emulator = await start(Settings(mode="prompt", context_count=WINDOW)), server.emulator
    placed = []
    for number in range(1, 8):
        emulator.script.answer(f"Step {number}.\n\n" + tool_use("toFahrenheit", celsius=number))
        emulator.script.answer(f"That is the answer to question number {number}, as far as the tool says.")
        answer = await cherry.say(f"What is {number} °C in Fahrenheit?")
        placed.append(answer.matches[0])
        assert "new" not in answer.matches[1:]
    assert placed == ["new", *["exact"] * 3, *["window"] * 3]
    assert len(emulator.shown) == 14
    assert_one_line(emulator)

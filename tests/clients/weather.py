"""A turn that needs two tools of the MCP server one after the other, and what holds of it in every tool mode."""

import json

from app.emulator import Emulator
from app.emulator.script import Script
from tests.clients.cherry import Answer

QUESTION = "How warm is it in Paris, and what is that in Fahrenheit?"
SAID = ["I look it up.", "Now I convert it.", "In Paris it is 22 degrees, that is 71.6 °F."]


def tool_use(name: str, **arguments: object) -> str:
    """Write a call as models do that were taught Cherry Studio's scheme."""
    written = json.dumps(arguments, ensure_ascii=False)
    name = f"mcp__weather__{name}"
    return f"<tool_use>\n  <name>{name}</name>\n  <arguments>{written}</arguments>\n</tool_use>"


def plan_two_steps(script: Script) -> None:
    """Let the model call one tool, then the other, then answer."""
    script.answer(f"{SAID[0]}\n\n" + tool_use("getTemperature", city="Paris"), thinking=["Which tool?"])
    script.answer(f"{SAID[1]}\n" + tool_use("toFahrenheit", celsius=22), thinking=["Convert."])
    script.answer(f"{SAID[2]}\n", thinking=["Done."])


def assert_two_steps(answer: Answer) -> None:
    """The person sees one answer; the tools ran once each, with the arguments that the model gave."""
    assert (answer.status, answer.error) == ("success", None)
    assert [line for line in answer.text.splitlines() if line] == SAID
    assert answer.reasoning == "Which tool?Convert.Done."
    assert [(call["name"], call["arguments"]) for call in answer.calls] == [
        ("mcp__weather__getTemperature", {"city": "Paris"}),
        ("mcp__weather__toFahrenheit", {"celsius": 22}),
    ]
    assert len({request.session for request in answer.requests}) == 1


def assert_only_results_were_sent(emulator: Emulator) -> None:
    """The model was shown the question once; then each result alone, in the same chat, below the call."""
    first, second, third = emulator.shown[:3]
    assert QUESTION in first.text
    assert "Paris: 22 degrees" in second.text
    assert "71.6 °F" in third.text
    assert not any(QUESTION in shown.text for shown in (second, third))
    assert "Paris: 22 degrees" not in third.text
    assert_one_line(emulator)


def assert_one_line(emulator: Emulator) -> None:
    """Each message so far was put below the answer before it, all in one chat."""
    (chat,) = emulator.chats.values()
    answers = [node.id for node in chat.nodes.values() if node.role == "assistant"]
    assert [shown.parent_id for shown in emulator.shown] == [None, *answers[:-1]]
    assert {shown.chat_id for shown in emulator.shown} == {chat.id}

"""The emulator's model answers from what it was shown, and says that it is an emulator."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.letter import Letter
from app.core.messages import Message
from app.core.transcript import SO_FAR, instructions, transcript
from app.emulator.arithmetic import sum_in
from app.emulator.model import answer
from app.emulator.writing import split
from tests.characters import CHARACTERS

TOOLS = "<tools><tool><name>get_weather</name><description>d</description><arguments>{}</arguments></tool></tools>"


def ask(text: str, *before: tuple[str, str]) -> str:
    return answer([*before, ("user", text)]).text


def test_it_recalls_what_it_was_told_the_newest_first() -> None:
    told = (("user", "My dog is called Rex."), ("assistant", "Noted."), ("user", "My dog is called Bello now."))
    assert ask("What is my dog called?", *told[:2]) == "Your dog is Rex."
    assert ask("What is my dog called?", *told) == "Your dog is Bello now."
    assert ask("what's my name?", ("user", "my name is Anna, hello")) == "Your name is Anna."
    assert ask("What is the door code?", ("user", "Remember: the door code is 4711")) == "The door code is 4711."
    assert ask("What is my cat called?") == "You did not tell me that."


def test_it_recalls_in_chinese() -> None:
    assert ask("我的狗叫什么?", ("user", "我的狗叫旺财。")) == "您的狗叫旺财。"
    assert "模拟器" in ask("你好")


def test_it_finds_facts_in_a_transcript() -> None:
    earlier = (Message("user", "My dog is called Rex."), Message("assistant", "Noted."))
    assert (
        ask(Letter("What is my dog called?", instructions("Be brief."), transcript(earlier), SO_FAR).text)
        == "Your dog is Rex."
    )


def test_it_counts_and_repeats_what_it_sees() -> None:
    before = (("user", "one"), ("assistant", "first answer"), ("user", "two"), ("assistant", "second answer"))
    assert ask("How many turns do you see?", *before) == "I see 3 user messages and 2 answers."
    assert ask("What did I say first?", *before) == "one"
    assert ask("What did you say last?", *before) == "second answer"
    assert ask("What did I say before?") == "Nothing that I was shown."
    assert ask("say: Hello there") == "Hello there"
    assert ask("count to 5") == "1 2 3 4 5"


def test_everything_else_is_answered_with_who_it_is() -> None:
    said = ask("Tell me a joke")
    assert "emulator" in said
    assert "simulated" in said
    assert "1 user message in" in said
    assert ask("x", ("user", "a"), ("assistant", "b")).count("2 user messages") == 1
    assert answer([("user", "x")]).thoughts[0].startswith("I look at the 1 user message that")


def test_it_calls_no_tool_where_it_is_told_not_to_and_answers_what_is_asked() -> None:
    system = f"<instructions>\n{TOOLS}\n</instructions>\n\n"
    note = "\n\n(Answer this in words, without calling a tool.)"
    assert "<tool_use>" not in ask(f"{system}Use get_weather for Rome{note}")
    assert ask(f"{system}What is 12*7+3?{note}") == "12*7+3 = 87"


def test_it_calls_an_offered_tool_that_is_asked_for_and_reads_the_result() -> None:
    system = f"<instructions>\nYou may use {TOOLS}\n</instructions>\n\n"
    call = ask(system + 'use get_weather with {"city": "Paris"}')
    assert '<name>get_weather</name>\n  <arguments>{"city": "Paris"}</arguments>' in call
    assert "<arguments>{}</arguments>" in ask(system + "use get_weather please")
    assert "<arguments>{}</arguments>" in ask(system + "use get_weather with {broken")
    assert "<tool_use>" not in ask(system + "What a day")
    assert "<tool_use>" in ask(system + "How is Rome?\n\n(Call the tool get_weather now. Call at most one tool.)")
    assert ask("<tool_use_result>\n  <name>f</name>\n  <result>22</result>\n</tool_use_result>") == "The tool says: 22"
    assert ask("<tool_use_result><name>f</name><error>no</error></tool_use_result>") == "The tool says: no"
    assert ask("Here is the result of mcp tool use `f`:\n[22]") == "The tool says: [22]"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("What is 12*7+3?", ("12*7+3", "87")),
        ("(2 + 3) x 4", ("(2 + 3) x 4", "20")),
        ("7 / 2 =", ("7 / 2", "3.5")),
        ("-3 - -4", ("-3 - -4", "1")),
        ("10 ÷ 4", ("10 ÷ 4", "2.5")),
        ("1/0", None),
        ("no sum", None),
        ("2 **** 3", None),
        ("2**9", None),
    ],
)
def test_it_does_sums_and_nothing_else(text: str, result: tuple[str, str] | None) -> None:
    assert sum_in(text) == result


@given(st.text(CHARACTERS, max_size=300))
def test_no_text_brings_it_down(text: str) -> None:
    assert answer([("user", text)]).text


@given(st.text(CHARACTERS, max_size=100))
def test_pieces_make_up_the_text(text: str) -> None:
    assert "".join(split(text)) == text

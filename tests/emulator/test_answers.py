"""The emulator's model: pure functions of what it was shown."""

import warnings
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emulator.arithmetic import sum_in
from app.emulator.model import answer, newest
from tests.characters import CHARACTERS

OFFER = "You have tools.\n<tools>\n<tool><name>get_weather</name><arguments>{}</arguments></tool>\n</tools>\nBe kind."
FOLDED = """<instructions>
Be brief.
</instructions>

<conversation>
<user>
My dog is called Rex. My cat is called Tom.
</user>

<assistant>
Noted.
</assistant>

<user>
My dog is called Waldo now, and {extra}
</user>
</conversation>

Above is our conversation so far.

{question}"""


def after(*turns: str) -> str:
    """Answer the last of these messages; user and assistant take turns."""
    seen = [("user" if number % 2 == 0 else "assistant", text) for number, text in enumerate(turns)]
    return answer(seen).text


@pytest.mark.parametrize(
    ("told", "asked", "recalled"),
    [
        ("My dog is called Rex.", "What is my dog called?", "Your dog is Rex."),
        ("my name is Ann Lee", "Hello. What's my name?", "Your name is Ann Lee."),
        ("My boss is named Bo.", "Who is my boss", "Your boss is Bo."),
        ("My dog is called Rex", "What is my dog's name?", "Your dog is Rex."),
        ("My dog is called Rex", "What is the name of my dog?", "Your dog is Rex."),
        ("My dog is called Rex", "What is my dog called? One word, please.", "Your dog is Rex."),
        ("My version is 3.11.", "What is my version?", "Your version is 3.11."),
        ("Remember: the code is 4711", "What is the code?", "The code is 4711."),
        ("remember: code is 4711", "What is the code?", "The code is 4711."),
        ("我的狗叫Rex。", "我的狗叫什么?", "您的狗叫Rex。"),
        ("我的名字是小明", "我的名字是什么", "您的名字叫小明。"),
    ],
)
def test_it_recalls_what_it_was_told(told: str, asked: str, recalled: str) -> None:
    said = after(told, "Noted.", asked)
    assert said.lower() == recalled.lower()


def test_it_recalls_what_was_told_last() -> None:
    assert after("My dog is called Rex.", "ok", "My dog is called Waldo.", "ok", "What is my dog called?") == (
        "Your dog is Waldo."
    )


def test_it_recalls_from_inside_a_transcript_the_newest_first() -> None:
    asked = FOLDED.format(extra="more", question="What is my dog called?")
    assert after(asked) == "Your dog is Waldo now."
    assert after(FOLDED.format(extra="more", question="What is my cat called?")) == "Your cat is Tom."


def test_it_does_not_know_what_it_was_not_shown() -> None:
    assert after("What is my dog called?") == "You did not tell me that."


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("My dog is called Rex.", "Noted: dog is Rex. (Emulator; 1 user message seen.)"),
        ("我的狗叫Rex", "记住了:狗叫Rex。(模拟器;看到了 1 条用户消息。)"),
    ],
)
def test_it_notes_a_fact_and_says_what_it_is(text: str, note: str) -> None:
    assert after(text) == note


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What did I say first?", "alpha"),
        ("What did I say last?", "gamma"),
        ("what did I say before?", "gamma"),
        ("What did you say?", "delta"),
        ("What did you say first?", "beta"),
        ("How many turns do you see?", "I see 3 user messages and 2 answers."),
        ("你看到多少条消息", "I see 3 user messages and 2 answers."),
    ],
)
def test_it_tells_what_was_said_before(question: str, said: str) -> None:
    assert after("alpha", "beta", "gamma", "delta", question) == said


def test_nothing_was_said_before_a_first_message() -> None:
    assert after("What did I say before?") == "Nothing that I was shown."


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("say: Hello\nworld", "Hello\nworld"),
        ("Repeat after me: yes", "yes"),
        ("repeat this", "this"),
        ("count to 5", "1 2 3 4 5"),
        ("What is 12*7+3?", "12*7+3 = 87"),
        ("What is (2 + 3) x 4 ÷ 8?", "(2 + 3) x 4 ÷ 8 = 2.5"),
        ("-2 × -3", "-2 × -3 = 6"),
    ],
)
def test_it_does_small_things_when_asked(asked: str, said: str) -> None:
    assert after(asked) == said


def test_what_is_asked_is_what_comes_after_the_transcript() -> None:
    old = "<tool_use_result><result>22</result></tool_use_result> use get_weather\nsay: old"
    assert after(FOLDED.format(extra=old, question="say: new")) == "new"
    assert "Emulator" in after(FOLDED.format(extra=old, question="My bird is called Io."))


@given(st.text(CHARACTERS))
def test_a_plain_message_is_asked_whole(text: str) -> None:
    if "</" not in text:
        assert newest(text) == text.strip()


def test_it_calls_a_tool_that_was_offered_and_named() -> None:
    folded = f"<instructions>\n{OFFER}\n</instructions>\n\n"
    said = after(folded + 'use the tool get_weather with {"city": "Paris"} please')
    assert said.endswith(
        '<tool_use>\n  <name>get_weather</name>\n  <arguments>{"city": "Paris"}</arguments>\n</tool_use>'
    )
    assert "<arguments>{}</arguments>" in after(OFFER + "\n\nuse get_weather with {broken")
    assert "<arguments>{}</arguments>" in after(folded + "hi", "hello", "use get_weather")


def test_it_calls_no_tool_that_was_not_named_or_not_offered() -> None:
    assert "<tool_use>" not in after(f"<instructions>\n{OFFER}\n</instructions>\n\nhi")
    assert "<tool_use>" not in after("use get_weather")


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("<tool_use_result>\n  <name>n</name>\n  <result>22 <b>C</b></result>\n</tool_use_result>", "22 <b>C</b>"),
        ("<tool_use_result><name>n</name><error>no such city</error></tool_use_result>", "no such city"),
        (
            "<tool_use_result><result>1</result></tool_use_result>\n\n<tool_use_result><result>2</result></tool_use_result>",
            "1 | 2",
        ),
        ('Here is the result of mcp tool use `get_weather`:\n[{"text":"22"}]', '[{"text":"22"}]'),
    ],
)
def test_it_answers_with_the_result_of_a_tool(result: str, said: str) -> None:
    assert after(OFFER, "use", result) == f"The tool says: {said}"


def test_a_tool_result_without_content_is_no_result() -> None:
    assert "emulator" in after("<tool_use_result></tool_use_result>")


@pytest.mark.parametrize(
    "text", ["Write a poem", "", "What is love?", "See 2024-01-15", "2**9999", "7//2", "1/0", "1+(2"]
)
def test_to_anything_else_it_says_that_it_is_an_emulator(text: str) -> None:
    said = after("hi", "hello", text)
    assert "I am the emulator built into qwen-thread" in said
    assert "simulated" in said
    assert "2 user messages" in said


def test_it_says_so_in_chinese_too() -> None:
    assert "模拟器" in after("写一首诗")


def test_it_thinks_shortly_and_honestly() -> None:
    thoughts = answer([("user", "a"), ("assistant", "b"), ("user", "c")]).thoughts
    assert thoughts[0] == "I look at the 2 user messages that I was shown."
    assert len(thoughts) == 2
    assert answer([("user", "a")]).thoughts[0] == "I look at the 1 user message that I was shown."


@given(st.lists(st.text(CHARACTERS), min_size=1, max_size=5))
def test_it_has_an_answer_to_everything(turns: list[str]) -> None:
    assert isinstance(after(*turns), str)


@given(st.text(alphabet="0123456789+-*/x×÷() .", max_size=60))
def test_no_sum_breaks_it(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sum_in(text)
    assert found is None or found[0] in text


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from("+-*/"))
def test_sums_are_right(left: int, right: int, sign: str) -> None:
    if sign == "/" and right == 0:
        assert sum_in(f"{left}/{right}") is None
        return
    value = {"+": left + right, "-": left - right, "*": left * right}.get(sign)
    exact = Fraction(left, right) if value is None else Fraction(value)
    shown = sum_in(f"{left}{sign}{right}")
    assert shown is not None
    assert float(shown[1]) == pytest.approx(float(exact), rel=1e-9)

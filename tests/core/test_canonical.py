"""Blocks that are no part of an answer's words are cut out in one pass, exactly as the plain expressions say."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.canonical import (
    canonical_assistant,
    canonical_user,
    picture_names,
    squeeze,
    without_additions,
)
from app.core.messages import Message

THINKING = re.compile(r"<(think|thinking|thought|seed:think)>.*?</\1>", re.DOTALL)
OPEN_THINKING = re.compile(r"\A\s*<(think|thinking|thought|seed:think)>.*", re.DOTALL)
DETAILS = re.compile(
    r"<details\s[^>]*type=[\"']?(?:reasoning|tool_calls|code_interpreter)\b[^>]*>.*?</details>", re.DOTALL
)
PIECES = [
    *("<think>", "</think>", "<thinking>", "</thinking>", "<details ", "<details\n", "</details>", "<details>"),
    *("type=reasoning", 'type="tool_calls"', "type=reasoningx", "<details type='reasoning' x>", ">", "<", "a", " "),
]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_one_pass_cuts_what_the_expressions_cut(text: str) -> None:
    plain = DETAILS.sub("", OPEN_THINKING.sub("", THINKING.sub("", text)))
    if not plain.lstrip().startswith(">"):
        assert canonical_assistant(text) == squeeze(plain)


@pytest.mark.no_cover  # for its volume
@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 300_000,
        "</think>" + "<think>" * 300_000,
        "<details type=reasoning>" * 100_000,
        "![a](" * 100_000,
        "![a](b" + " " * 200_000,
        "<details " * 300_000,
        "<details " * 300_000 + ">",
        "<tool_call>{" * 200_000,
        "</tool_use>" + "<tool_use><" * 200_000,
        "<tool_use>" + " " * 500_000,
        "<think></think>" + "```\n" * 300_001,
        "<think></think>" + "".join("~" * length + "\n" for length in range(3, 1000)),
        "<think></think>\n" + " " * 500_000,
        "<think></think>\n" + "`" * 500_000,
    ],
)
def test_blocks_that_never_end_take_no_longer_than_others(text: str) -> None:
    began = time.process_time()
    canonical_assistant(text)
    assert time.process_time() - began < 5, "an expression that looks on from each start takes hours"


def test_blanks_before_a_switch_take_no_longer_than_others() -> None:
    began = time.process_time()
    assert canonical_user(" " * 500_000 + "a think") == "athink"
    assert canonical_user("a \n /no_think ") == "a"
    assert time.process_time() - began < 5


@pytest.mark.parametrize("tag", ["think", "thinking", "thought", "seed:think"])
@pytest.mark.parametrize("around", ["<{0}>I wonder.</{0}>Four.", "Four.<{0}>I wonder.</{0}>", "Fo<{0}>hm</{0}>ur."])
def test_thinking_is_no_part_of_an_answer_whatever_its_tag(tag: str, around: str) -> None:
    assert canonical_assistant(around.format(tag)) == "Four."
    assert canonical_assistant(f" <{tag}>Cut while it thou") == ""


@pytest.mark.parametrize("kind", ["reasoning", "tool_calls", "code_interpreter"])
@pytest.mark.parametrize("quote", ['"', "'", ""])
def test_details_that_a_client_adds_are_no_part_of_an_answer(kind: str, quote: str) -> None:
    details = f"<details type={quote}{kind}{quote} done={quote}true{quote}>\n<summary>Ran</summary>\n1 + 1\n</details>"
    assert canonical_assistant(f"{details}\nTwo.") == "Two."
    assert canonical_assistant(f"It is {details} two.") == "Itistwo."


@pytest.mark.parametrize("opened", ["<details>", '<details class="spoiler">', '<details type="tool_calls_made">'])
def test_details_that_the_model_wrote_are(opened: str) -> None:
    assert canonical_assistant(f"{opened}The butler.</details>") == f"{squeeze(opened)}Thebutler.</details>"


def test_a_picture_may_be_described_with_brackets() -> None:
    assert canonical_assistant("Here: ![A [red] fox](https://cdn/1.png?key=k)") == canonical_assistant("Here:")


@pytest.mark.parametrize(
    "text",
    [
        "Write `<tool_call>`, then JSON.",
        "Write <tool_use> and then the name. </tool_use> ends it.",
        "<tool_call> { is how it begins.",
        "```\n<think>\nOne\n</think>\n```",
        "So:\n~~~~ xml\n~~~\n<think>One</think>\n~~~~\nDone.",
        "```\n<think>One</think>",
    ],
)
def test_tags_that_are_only_shown_are_words_of_the_answer(text: str) -> None:
    assert canonical_assistant(text) == squeeze(text)


def test_thinking_around_code_is_cut_and_code_in_it_too() -> None:
    text = "<think>I write\n```\n1\n```\n</think>```\n2\n```\n<think>Well</think>Done. ```3``` <think>Yes</think>"
    assert canonical_assistant(text) == "```2```Done.```3```"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("https://cdn.qwenlm.ai/output/u/t2i/r/1.png?key=e.y.J", ["https://cdn.qwenlm.ai/output/u/t2i/r/1.png"]),
        ("https://quickchart.io/chart?c=AAAA", ["https://quickchart.io/chart?c=AAAA"]),
        ("https://example.org/output/1.png?key=k&size=2", ["https://example.org/output/1.png?key=k&size=2"]),
        ('<https://example.org/1.png> "One"', ["https://example.org/1.png"]),
        ("/files/kept-by-the-client.png", []),
        (" ", []),
    ],
)
def test_pictures_are_known_by_their_addresses_without_a_key_that_expires(target: str, name: list[str]) -> None:
    assert picture_names(f"Here: ![image]({target})") == name


QUOTED = [
    ("> One.\n\nWords.", "Words."),
    ("\n > One.\ntwo\n> three\n \n\n> four\n\n\n Words.\n\n> Five.", "Words.\n\n> Five."),
    ("> One.\ntwo", ""),
    (">\n\n>\r\n\r\nWords.", "Words."),
    ("Words.\n\n> One.", None),
]


@pytest.mark.parametrize(("text", "left"), QUOTED)
def test_paragraphs_that_begin_with_a_mark_can_be_taken_off(text: str, left: str | None) -> None:
    messages = (Message("user", "> Mine."), Message("assistant", text))
    read = without_additions(messages)
    assert read is messages if left is None else read == (messages[0], Message("assistant", left))


RESULTS = [
    '"&quot;22 degrees&quot;"',
    '"[{&quot;type&quot;: &quot;text&quot;}]"',
    '"{\n &quot;degrees&quot;: 22}"',
    '<tool_calls name="get_weather" result="&quot;22 degrees&quot;"/>',
    '<tool_calls name="get_weather" result="&quot;&lt;b&gt;/&quot;" />',
]


@pytest.mark.parametrize("result", RESULTS)
def test_results_that_stand_in_an_answer_can_be_taken_out(result: str) -> None:
    (read,) = without_additions((Message("assistant", f'It is "so":{result}{result} "yes".'),))
    assert read.text == 'It is "so": "yes".'


@pytest.mark.parametrize(
    "text", ['"22 degrees" and &quot;', "<tool_calls> and <tool_calls name=a>", "<tool_calls_made />"]
)
def test_other_quotations_and_tags_stay(text: str) -> None:
    messages = (Message("assistant", text),)
    assert without_additions(messages) is messages


@pytest.mark.parametrize(
    "text",
    [
        ">" + "\n " * 300_000 + "\n",
        "> \n\n" * 200_000,
        ">\n>" * 300_000,
        ">" + " \n" * 300_000,
        '"[&quot;' * 200_000,
        '&quot;"' + "[" * 900_000,
        "<tool_calls a=" * 200_000,
    ],
)
def test_what_clients_add_takes_no_longer_than_others(text: str) -> None:
    began = time.process_time()
    without_additions((Message("assistant", text), Message("assistant", f"{text}a")))
    assert time.process_time() - began < 5

"""Blocks that are no part of an answer's words are cut out in one pass, exactly as the plain expressions say."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.canonical import canonical_assistant, canonical_user, squeeze

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

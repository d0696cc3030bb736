"""Upstream is sent only the new text, or all of it in one plain message."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.letter import Letter
from app.core.messages import Message, ToolCall
from app.core.tools.scheme import SCHEME
from app.core.transcript import (
    CONTINUE,
    SO_FAR,
    changed_instructions,
    fence,
    in_place_of_words,
    instructions,
    new_text,
    transcript,
)
from tests.characters import CHARACTERS


def first_message(system: str, earlier: tuple[Message, ...], said: str) -> str:
    closing = SO_FAR if earlier else ""
    return Letter(said, instructions(system), transcript(earlier), closing).text


def next_message(changed: str | None, said: str) -> str:
    return Letter(said, changed_instructions(changed)).text


EARLIER = (Message("user", "My dog is called Rex."), Message("assistant", "Noted."))


@given(st.text(CHARACTERS))
def test_a_lone_text_is_sent_as_it_is(text: str) -> None:
    assert first_message("", (), text) == text
    assert next_message(None, text) == text


def test_instructions_stand_before_the_text() -> None:
    assert first_message("Be brief.", (), "hi") == "<instructions>\nBe brief.\n</instructions>\n\nhi"


def test_a_transcript_holds_every_message_with_its_role_and_ends_with_the_new_text() -> None:
    text = first_message("Be brief.", EARLIER, "What is my dog called?")
    assert "<user>\nMy dog is called Rex.\n</user>" in text
    assert "<assistant>\nNoted.\n</assistant>" in text
    assert text.index("Be brief.") < text.index("Rex") < text.index("Noted.")
    assert text.endswith("\n\nWhat is my dog called?")


def test_calls_and_results_are_written_in_the_form_that_the_model_uses() -> None:
    call = ToolCall("call_1", "get_weather", '{"city":"Paris"}')
    earlier = (
        Message("user", "weather?"),
        Message("assistant", "", (call,)),
        Message("tool", "22 degrees", tool_call_id="call_1"),
        Message("assistant", "22."),
    )
    text = first_message("", earlier, "thanks")
    assert '<name>get_weather</name>\n<arguments>{"city":"Paris"}</arguments>' in text
    assert "<name>get_weather</name>\n<result>22 degrees</result>" in text


def test_a_result_names_the_call_that_it_answers() -> None:
    call = ToolCall("call_7", "search", "{}")
    result = Message("tool", "found", tool_call_id="call_7")
    assert "<name>search</name>" in new_text((result,), (Message("assistant", "", (call,)),))
    assert "<name>lookup</name>" in new_text((Message("tool", "x", name="lookup"),), ())
    assert new_text((Message("tool", "x", tool_call_id="nobody's"),), ()) == "x"
    assert "(empty result)" in new_text((Message("tool", " ", name="lookup"),), ())


def test_a_result_without_an_id_names_the_last_call_without_one() -> None:
    called = (
        Message("assistant", "", (ToolCall("", "search", "{}"),)),
        Message("assistant", "", (ToolCall("", "weather", "{}"), ToolCall("call_1", "lookup", "{}"))),
    )
    text = new_text((Message("tool", "22 degrees"),), called)
    assert text.startswith("<tool_use_result>")
    assert "<name>weather</name>" in text


def test_results_are_told_in_the_order_of_their_calls() -> None:
    calls = (ToolCall("1", "first", "{}"), ToolCall("2", "second", "{}"))
    arrived = (Message("tool", "b", tool_call_id="2"), Message("tool", "a", tool_call_id="1"), Message("user", "and?"))
    text = new_text(arrived, (Message("assistant", "", calls),))
    assert text.index("first") < text.index("second") < text.index("and?")


def test_several_new_messages_are_all_sent() -> None:
    assert new_text((Message("user", "a"), Message("user", "b")), ()) == "a\n\nb"


def test_nothing_new_asks_to_go_on() -> None:
    assert (new_text((), EARLIER), in_place_of_words(())) == ("", CONTINUE)


def test_a_changed_system_prompt_is_said_once_in_front() -> None:
    text = next_message("Speak French.", "hi")
    assert text.startswith("These instructions replace")
    assert text.endswith("Speak French.\n</instructions>\n\nhi")
    assert next_message("", "hi").endswith("no longer apply.\n\nhi")


@given(st.text(st.sampled_from("a</>user-2\n"), max_size=60))
def test_a_fence_is_closed_by_nothing_in_its_text(text: str) -> None:
    lines = fence("user", text).split("\n")
    closing = lines[-1]
    assert closing not in text
    assert lines[0] == closing.replace("/", "")


def test_a_text_that_holds_every_number_is_read_once() -> None:
    text = "</user>" + "".join(f"</user-{number}>" for number in range(2, 100_000))
    began = time.process_time()
    assert fence("user", text).endswith("</user-100000>")
    assert time.process_time() - began < 5


@pytest.mark.parametrize("blanks", [" ", "\n", "\u3000"])
@pytest.mark.parametrize("bracket", ["<", "＜", "&lt;"])
def test_blanks_in_a_tag_of_a_result_take_no_longer_than_others(bracket: str, blanks: str) -> None:
    began = time.process_time()
    for text, sent in ((f"{bracket}{blanks * 30_000}p>", bracket), (f"{bracket}{blanks * 30_000}/ tool_use>", "‹")):
        assert SCHEME.write_result("get", text).startswith(f"<tool_use_result>\n<name>get</name>\n<result>{sent}")
    assert time.process_time() - began < 2, "two parts that share out the blanks take minutes"

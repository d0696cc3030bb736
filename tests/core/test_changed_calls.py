"""What a client shows of a call is compared with what the model wrote, by value."""

import pytest

from app.core.changed_calls import changed_calls
from app.core.messages import ToolCall
from app.core.tools.scheme import SCHEME

MADE = ("one", "two")


def shown(*arguments: str) -> list[ToolCall]:
    return [ToolCall(name, "look", text) for name, text in zip(MADE, arguments, strict=True)]


def answer(*arguments: str) -> str:
    return "\n\n".join(["I look.", *(SCHEME.write_call("look", text) for text in arguments)])


@pytest.mark.parametrize(
    ("written", "sent", "same"),
    [
        ('{"a": 1}', '{"a":1}', True),
        ('{"a": 1.0, "b": 12345678901234567890}', '{"b":12345678901234567000,"a":1}', True),
        ('{"a": "</b>"}', '{"a":"</b>"}', True),
        ("{}", "", True),
        ('{"a": 1}', '{"a": 2}', False),
        ('{"a": 1}', '{"a": "1"}', False),
        ('{"a": 1}', "{}", False),
        ('{"a": 1}', "not JSON", False),
    ],
)
def test_a_call_is_the_same_however_its_arguments_are_written(written: str, sent: str, same: bool) -> None:
    changed = changed_calls(shown(sent, "{}"), MADE, answer(written, "{}"))
    assert [call.id for call in changed] == ([] if same else ["one"])


def test_calls_that_are_the_same_but_for_their_places_are_told_apart() -> None:
    assert len(changed_calls(shown('{"a": 2}', '{"a": 1}'), MADE, answer('{"a": 1}', '{"a": 2}'))) == 2


def test_examples_in_the_words_of_an_answer_are_none_of_its_calls() -> None:
    assert not changed_calls(shown("{}", '{"a": 1}'), MADE, answer('{"of": "an example"}', "{}", '{"a": 1}'))


@pytest.mark.parametrize("text", [None, "", answer("{}")])
def test_where_it_is_not_known_how_a_call_was_made_it_may_be_changed(text: str | None) -> None:
    assert changed_calls(shown("{}", "{}"), MADE, text) == tuple(shown("{}", "{}"))

"""Arguments are compared by what they say, since clients in JavaScript write them anew."""

import pytest

from app.core.tools.arguments import canonical_arguments, plain_arguments


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}'),
        ('{"a": 2.0}', '{"a":2}'),
        ('{"a": 1e21}', '{"a": 1000000000000000000000}'),
        ('{"a": 12345678901234567890}', '{"a":12345678901234567000}'),
        ('{"a": -0.0}', '{"a":0}'),
        ('{"a": "\\u00e9"}', '{"a":"é"}'),
    ],
)
def test_what_says_the_same_has_one_form(written: str, sent: str) -> None:
    assert canonical_arguments(written) == canonical_arguments(sent)


@pytest.mark.parametrize(("one", "other"), [("2.5", "2"), ("1", "true"), ('"1"', "1"), ("[1, 2]", "[2, 1]")])
def test_what_says_something_else_has_another(one: str, other: str) -> None:
    assert canonical_arguments(one) != canonical_arguments(other)


def test_whole_numbers_are_written_as_they_always_were() -> None:
    assert canonical_arguments('{"b": 7, "a": [1, -2, 0.5]}') == '{"a": [1, -2, 0.5], "b": 7}', "digests are stored"


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000 + "x"])
def test_what_is_no_json_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_arguments(text)


@pytest.mark.parametrize("text", ["9" * 400, "-" + "9" * 5000, "1e999", "NaN"])
def test_numbers_that_nobody_can_hold_have_a_form(text: str) -> None:
    assert canonical_arguments(text)


def test_what_would_hold_everybody_up_is_compared_as_it_is() -> None:
    long = '{"b": "%s", "a": 1}' % ("x" * 2_000_000)
    with pytest.raises(ValueError, match="longer than 2,000,000"):
        canonical_arguments(long)
    assert plain_arguments(long) == long
    assert plain_arguments("not JSON") == "not JSON"
    assert plain_arguments('{"b": 2, "a": 1}') == canonical_arguments('{"a":1,"b":2}')

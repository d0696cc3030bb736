"""An answer ends where the client asked, in whatever pieces it comes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.core.cut import Cut
from app.core.events import Usage


def run(cut: Cut, pieces: list[str]) -> str:
    said = "".join(cut.feed(piece) for piece in pieces)
    return said + cut.rest()


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(edges)]


@given(
    st.text("ab<>", max_size=30),
    st.lists(st.text("ab<>", min_size=1, max_size=4), max_size=4),
    st.lists(st.integers(0)),
)
def test_the_answer_ends_before_the_first_stop_sequence_in_any_chunking(
    text: str, stops: list[str], cuts: list[int]
) -> None:
    cut = Cut(tuple(stops), None)
    said = run(cut, pieces_of(text, cuts))
    found = [stop for stop in stops if stop in text]
    assert text.startswith(said)
    if found:
        assert cut.reason == "stop"
        assert any(text.startswith(said + stop) for stop in found)
        assert not any(stop in said for stop in stops)
    else:
        assert (said, cut.reason) == (text, None)


def test_text_that_cannot_become_a_stop_sequence_is_not_held_back() -> None:
    cut = Cut(("END",), None)
    assert cut.feed("The E") == "The "
    assert cut.feed("agle") == "Eagle"
    assert cut.feed(" EN") == " "
    assert cut.rest() == "EN"


def test_the_limit_counts_upstreams_tokens_and_not_the_thinking() -> None:
    cut = Cut((), 4)
    cut.count(Usage(10, 103, reasoning_tokens=100))
    assert cut.feed("one two three ") == "one two three "
    cut.count(Usage(10, 105, reasoning_tokens=100))
    assert cut.feed("four five ") == "four "
    assert cut.reason == "length"
    assert cut.feed("six") == ""


def test_an_answer_of_exactly_the_limit_is_whole() -> None:
    cut = Cut((), 3)
    cut.count(Usage(10, 3))
    assert cut.feed("one two three") == "one two three"
    assert cut.reason is None


def test_without_a_count_from_upstream_the_limit_is_estimated() -> None:
    cut = Cut((), 10)
    said = run(cut, ["word " * 100])
    assert cut.reason == "length"
    assert 20 <= len(said) <= 60


def test_what_was_held_back_is_said_when_the_length_ends_the_answer() -> None:
    cut = Cut(("END",), 5)
    cut.count(Usage(1, 5))
    assert cut.feed("see EN") == "see "
    cut.count(Usage(1, 9))
    assert cut.feed("OUGH") + cut.rest() == "EN"
    assert cut.reason == "length"

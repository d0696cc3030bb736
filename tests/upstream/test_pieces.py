import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream.qwen.pieces import AnswerText, Thoughts
from tests.characters import CHARACTERS


def whole(pieces: list[str]) -> str:
    text = AnswerText()
    return "".join([*map(text.feed, pieces), text.finish()])


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param(["Hel", "lo ", "you"], "Hello you", id="increments"),
        pytest.param(["Hel", "Hello ", "Hello you"], "Hello you", id="snapshots"),
        pytest.param(["Hello", " you", "Hello you there"], "Hello you there", id="a snapshot at the end"),
        pytest.param(["Hello you", "Hello you", "!"], "Hello youHello you!", id="a repeated increment"),
        pytest.param(["Hello", "Hello you", "Hello you", "Hello you."], "Hello you.", id="a repeated snapshot"),
        pytest.param(["1", "10", "!"], "110!", id="an increment that only looks like a snapshot"),
        pytest.param(["1", "10"], "10", id="undecided to the end"),
        pytest.param(["1", "10", "10", "101 Dalmatians", "101 Dalmatians!"], "101 Dalmatians!", id="short snapshots"),
        pytest.param(["ha", "ha", "hahaha"], "hahahahaha", id="too uniform to tell"),
        pytest.param(["", "a", "", "b", ""], "ab", id="empty pieces"),
        pytest.param(["=", "==", "===", "x"], "======x", id="a growing rule"),
        pytest.param([], "", id="nothing"),
    ],
)
def test_adds_up_to_the_answer(pieces: list[str], expected: str) -> None:
    assert whole(pieces) == expected


def test_tells_a_snapshot_as_soon_as_it_can() -> None:
    text = AnswerText()
    assert [text.feed("Hello"), text.feed("Hello you"), text.finish()] == ["Hello", " you", ""]


@given(st.text(CHARACTERS, min_size=1), st.lists(st.integers(1, 5), min_size=1))
def test_snapshots_of_any_text_add_up_to_it(text: str, steps: list[int]) -> None:
    snapshots, length, turn = [text[:1]], 1, 0
    while length < len(text):
        length += steps[turn % len(steps)]
        turn += 1
        snapshots.append(text[:length])
    assert whole(snapshots) == text


def test_thoughts_grow_within_a_snapshot() -> None:
    thoughts = Thoughts()
    said = [
        thoughts.update(snapshot) for snapshot in (["I try"], ["I try it"], ["I try it", "Now"], ["I try it", "Now"])
    ]
    assert said == ["I try", " it", "\n\nNow", ""]


def test_a_new_segment_starts_again_with_its_first_thought() -> None:
    thoughts = Thoughts()
    first = thoughts.update(["One", "Two"])
    thoughts.end_segment()
    assert first + thoughts.update(["One"]) == "One\n\nTwo\n\nOne"


def test_a_segment_that_starts_again_without_an_end_is_noticed() -> None:
    thoughts = Thoughts()
    assert thoughts.update(["One", "Two"]) + thoughts.update(["Other"]) == "One\n\nTwo\n\nOther"


def test_an_earlier_thought_that_grows_late_stands_apart() -> None:
    thoughts = Thoughts()
    assert thoughts.update(["One", "Two"]) + thoughts.update(["One more", "Two"]) == "One\n\nTwo\n\n more"


def test_a_reworded_thought_is_told_whole_and_a_shortened_one_not_again() -> None:
    thoughts = Thoughts()
    assert thoughts.update(["One"]) + thoughts.update(["Uno"]) == "One\n\nUno"
    assert thoughts.update(["U"]) == ""
    assert thoughts.update(["Uno!"]) == "\n\n!"


def test_thoughts_that_are_no_text_count_as_empty() -> None:
    thoughts = Thoughts()
    assert thoughts.update([None, "Two"]) == "Two"


def test_raw_thinking_is_passed_on_with_a_blank_line_between_segments() -> None:
    thoughts = Thoughts()
    thoughts.end_segment()
    said = [thoughts.add("a"), thoughts.add("b"), thoughts.add("")]
    thoughts.end_segment()
    assert [*said, thoughts.add("c")] == ["a", "b", "", "\n\nc"]


def test_raw_thinking_that_grows_is_said_once_and_begins_anew_with_each_segment() -> None:
    thoughts = Thoughts()
    said = [thoughts.add("I try"), thoughts.add("I try it"), thoughts.add("I try it out"), thoughts.end_segment()]
    said += [
        thoughts.add("I try"),
        thoughts.add("I try again"),
        thoughts.line("Searching."),
        thoughts.add("I try again."),
    ]
    assert said == ["I try", " it", " out", "", "\n\nI try", " again", "\n\nSearching.", "\n\n."]


def test_raw_thinking_that_is_too_short_to_tell_is_held_until_its_segment_ends() -> None:
    thoughts = Thoughts()
    assert [thoughts.add("1"), thoughts.add("10"), thoughts.end_segment()] == ["1", "", "0"]
    assert [thoughts.add("1"), thoughts.add("10"), thoughts.line("Searching.")] == ["\n\n1", "", "0\n\nSearching."]

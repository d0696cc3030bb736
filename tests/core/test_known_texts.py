"""What was read before is named without being read again."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from app.core.history import read_history
from app.core.known_texts import KnownTexts
from app.core.messages import Message

TEXTS = st.sampled_from(["a", "b", "ab", "", " a", "<think>x</think>a", "\ud83d"])
SPOKEN = st.lists(st.builds(Message, st.sampled_from(["user", "assistant", "tool"]), TEXTS), min_size=1, max_size=8)


class Namer:
    def __init__(self) -> None:
        self.named: list[tuple[str, ...]] = []

    def __call__(self, texts: Sequence[str]) -> str:
        self.named.append(tuple(texts))
        return "|".join(texts)


def test_a_text_is_named_once_while_it_is_among_the_last() -> None:
    known, namer = KnownTexts(2), Namer()
    for text in ("a", "b", "a", "b", "a"):
        assert known.key("user", [text], namer) == text
    assert namer.named == [("a",), ("b",)]
    known.key("user", ["c"], namer)  # "b" was used before "a"
    assert known.key("user", ["a"], namer) == "a"
    assert known.key("user", ["b"], namer) == "b"
    assert namer.named == [("a",), ("b",), ("c",), ("b",)]


def test_texts_of_other_kinds_and_other_cuts_have_names_of_their_own() -> None:
    known, namer = KnownTexts(10), Namer()
    for kind, texts in (("user", ["ab"]), ("answer", ["ab"]), ("user", ["a", "b"]), ("user", ["ab", ""])):
        known.key(kind, texts, namer)
    assert namer.named == [("ab",), ("ab",), ("a", "b"), ("ab", "")]


@given(st.lists(st.tuples(SPOKEN, st.sampled_from(["ann", "ben"])), min_size=1, max_size=4))
def test_a_history_reads_the_same_whatever_was_read_before(requests: list[tuple[list[Message], str]]) -> None:
    known = KnownTexts(5)
    for spoken, owner in requests:
        fresh = read_history(tuple(spoken), owner, "account")
        again = read_history(tuple(spoken), owner, "account", known=known)
        assert again.turns == fresh.turns
        assert again.before_key == fresh.before_key

"""Which of the stored conversations that end alike a window of last turns belongs to."""

import pytest

from app.core.history import History
from app.core.messages import Message
from app.core.window import Doubt, Tail, TailTurn, choose_tail, most_tails
from tests.core.fakes import read_history
from tests.core.messages import assistant, user

SAID = ("Tell me more.", "And why?")  # what the client shows of its user's turns
ASKED = ("<memo>Tell me more.</memo>", "<memo>And why?</memo>")  # as the chat was told, with what the client adds


def window() -> History:
    said: list[Message] = []
    for text in SAID:
        said += [user(text), assistant("OK")]
    return read_history((*said, user("and now?")), "owner", "account")


def tail(key: str, *as_shown: bool, is_whole: bool = False) -> Tail:
    """Make a stored conversation of both turns, newest first: each as the client shows it, or with more around it."""
    turns = []
    for number, equal in zip((1, 0), as_shown, strict=True):
        turns.append(
            TailTurn(window().turns[number].user_key if equal else "another", None if equal else ASKED[number])
        )
    return Tail(key, tuple(turns), is_whole)


def chosen(*tails: Tail) -> str | None:
    """Return the key of the chosen one, whatever their order; None where there is a doubt."""
    history = window()
    choices = [choose_tail(history, history.turns[1::-1], order) for order in (tails, tails[::-1])]
    first, second = [None if isinstance(choice, Doubt) else choice.key for choice in choices]
    assert first == second
    return first


def test_the_only_conversation_that_ends_so_is_chosen() -> None:
    assert chosen(tail("only", False, False)) == "only"


@pytest.mark.parametrize("equal", [(True, True), (True, False), (False, False)])
def test_a_conversation_that_is_the_window_whole_comes_before_longer_ones(equal: tuple[bool, bool]) -> None:
    assert chosen(tail("longer", *equal), tail("whole", *equal, is_whole=True)) == "whole"


def test_a_whole_conversation_comes_first_though_a_longer_one_has_more_equal_texts() -> None:
    assert chosen(tail("longer", True, True), tail("whole", False, False, is_whole=True)) == "whole"


@pytest.mark.parametrize("is_whole", [False, True])
def test_of_conversations_that_are_as_long_the_one_with_more_equal_texts_is_chosen(is_whole: bool) -> None:
    none, one, both = (
        tail(name, *equal, is_whole=is_whole)
        for name, equal in (("none", (False, False)), ("one", (False, True)), ("both", (True, True)))
    )
    assert chosen(none, one) == "one"
    assert chosen(none, one, both) == "both"


def test_conversations_with_as_many_equal_texts_are_not_chosen_between() -> None:
    assert chosen(tail("older", True, False), tail("newer", False, True)) is None
    assert chosen(tail("older", True, True), tail("newer", True, True), tail("other", False, True)) is None


def test_a_conversation_with_another_text_is_none_of_them() -> None:
    history = window()
    other = Tail("other", (TailTurn("another", "Something else."), TailTurn("another", ASKED[0])), True)
    choice = choose_tail(history, history.turns[1::-1], [other])
    assert choice == Doubt("no stored conversation ends with these turns")
    assert chosen(tail("longer", False, False)) == "longer"


def test_the_longer_a_window_the_fewer_conversations_are_looked_through() -> None:
    assert [most_tails(turns) for turns in (1, 390, 10_000, 50_000)] == [256, 256, 10, 2]

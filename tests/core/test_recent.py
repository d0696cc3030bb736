"""What is kept is what was used last, and no more than the bound."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.recent import Recent


def test_what_was_not_used_for_longest_goes() -> None:
    recent: Recent[str, int] = Recent(10)
    recent.put("a", 1, 4)
    recent.put("b", 2, 4)
    assert recent.get("a") == 1
    recent.put("c", 3, 4)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
    recent.drop("a")
    recent.drop("a")
    assert [recent.get(key) for key in "abc"] == [None, None, 3]
    assert recent.held == 4


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 12), st.booleans()), max_size=40))
def test_the_bound_holds_and_the_newest_is_there_unless_it_is_larger(steps: list[tuple[str, int, bool]]) -> None:
    recent: Recent[str, int] = Recent(10)
    held: dict[str, int] = {}
    for key, size, is_put in steps:
        if not is_put:
            recent.drop(key)
            held.pop(key, None)
            continue
        recent.put(key, size, size)
        held[key] = size
        assert recent.get(key) == (size if size <= 10 else None)
        held = {each: kept for each, kept in held.items() if recent.get(each) == kept}
        assert recent.held == sum(held.values()) <= 10

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
    recent.put("d", 4, 6)
    assert [recent.get(key) for key in "abcd"] == [None, None, 3, 4]


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "put", "put", "get", "drop"]), st.sampled_from("abcdef"), st.integers(0, 12)),
        max_size=40,
    )
)
def test_what_is_kept_is_what_was_used_last_and_fits(steps: list[tuple[str, str, int]]) -> None:
    recent: Recent[str, int] = Recent(10)
    kept: dict[str, int] = {}  # the one that was used last at its end
    for step, key, size in steps:
        was = kept.pop(key, None)
        if step == "put":
            recent.put(key, size, size)
            if size <= 10:
                kept[key] = size
            while sum(kept.values()) > 10:
                del kept[next(iter(kept))]
        elif step == "drop":
            recent.drop(key)
        else:
            assert recent.get(key) == was
            if was is not None:
                kept[key] = was
    assert {key: recent.get(key) for key in "abcdef"} == {key: kept.get(key) for key in "abcdef"}

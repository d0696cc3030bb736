"""Which offered tool a name means, as models write names (docs/tools.md, Checking)."""

from collections.abc import Callable, Collection

_JOINTS = ("__", ".", "/")


def meant_name(name: str, names: Collection[str]) -> str | None:
    """Return the offered name that a name means; a near miss only if it can mean no other.

    Another case, other separators, a namespace too many or too few: never a name that is merely spelt alike.
    """
    if name in names:
        return name
    ways: tuple[Callable[[str], str], ...] = (
        str.lower,
        lambda text: "".join(letter for letter in text.lower() if letter.isalnum()),
    )
    for way in ways:
        found = [each for each in names if way(each) == way(name)]
        if found:
            return found[0] if len(found) == 1 else None
    found = [
        each
        for each in names
        if each.endswith(tuple(joint + name for joint in _JOINTS))
        or name.endswith(tuple(joint + each for joint in _JOINTS))
    ]
    return found[0] if len(found) == 1 else None

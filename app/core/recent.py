"""What was used last, as much of it as a bound allows."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """Keeps values by their keys; what was not used for longest goes when all together are larger than `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._values: OrderedDict[_Key, tuple[_Value, int]] = OrderedDict()

    def get(self, key: _Key) -> _Value | None:
        """Return what is kept under a key."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: _Key, value: _Value, size: int) -> None:
        """Keep a value, in place of what the key had; one that is larger than all may be is not kept."""
        self.drop(key)
        if size > self._most:
            return
        self._values[key] = value, size
        self._held += size
        while self._held > self._most:
            _, (_, left) = self._values.popitem(last=False)
            self._held -= left

    def drop(self, key: _Key) -> None:
        """Let go what is kept under a key, if there is anything."""
        found = self._values.pop(key, None)
        if found is not None:
            self._held -= found[1]

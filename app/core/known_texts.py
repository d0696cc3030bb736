"""The names of texts that were read before: clients send all of a conversation again at every turn."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256


class KnownTexts:
    """Keeps the `most` names that were used last, by a digest of the texts as they came; the texts are not kept.

    Making a name costs about ten times as much as that digest: the text is brought into canonical form and hashed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: OrderedDict[bytes, str] = OrderedDict()

    def key(self, kind: str, texts: Sequence[str], make: Callable[[Sequence[str]], str]) -> str:
        """Return the name of these texts as one of a kind, which `make` makes where it is not known."""
        if not self._most:
            return make(texts)
        state = sha256(kind.encode())
        for text in texts:
            raw = text.encode("utf-8", "surrogatepass")
            state.update(b"\0%d\0" % len(raw))
            state.update(raw)
        digest = state.digest()
        name = self._names.get(digest)
        if name is None:
            name = self._names[digest] = make(texts)
            if len(self._names) > self._most:
                self._names.popitem(last=False)
        else:
            self._names.move_to_end(digest)
        return name

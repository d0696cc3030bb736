"""The keys of a conversation: hashes that are equal where the canonical forms are (docs/sessions.md, Turns and keys).

Every key is scoped by owner and account, so that nobody's history ever finds somebody else's chat.
"""

from collections.abc import Sequence

from msgspec import Struct

from app.core.canonical import digest

_VERSION = "2"


class Keys(Struct, frozen=True):
    """Makes the keys of one owner's conversations in one account; `root` is the key before every first turn."""

    root: str

    @classmethod
    def of(cls, owner: str, account: str) -> "Keys":
        """Return the keys of this owner in this account."""
        return cls(digest("scope", _VERSION, owner, account))

    def user(self, canonical: str, files: Sequence[str] = ()) -> str:
        """Name the user's text of a turn, and the files that came with it, by their digests."""
        return digest("user", self.root, canonical, *files)

    def answer(self, canonical: str) -> str:
        """Name the whole answer text of a turn."""
        return digest("answer", self.root, canonical)

    @staticmethod
    def turn(before: str, user_key: str, answer_key: str) -> str:
        """Name a conversation up to and including a turn; `before` names what came before that turn."""
        return digest("turn", before, user_key, answer_key)

    @staticmethod
    def step(before: str, user_key: str, answer_key: str, results: int) -> str:
        """Name a place inside a tool loop: the answer text so far, given after that many results."""
        return digest("step", before, user_key, answer_key, str(results))

    @staticmethod
    def asked(before: str, user_key: str) -> str:
        """Name a user's text in its place, whatever was answered."""
        return digest("asked", before, user_key)

"""The keys of a conversation: hashes that are equal where the canonical forms are (docs/sessions.md, Turns and keys).

Every key is scoped by owner and account, so that nobody's history ever finds somebody else's chat.
"""

from collections.abc import Sequence

from msgspec import Struct

from app.core.canonical import digest, digest_of, framed

_VERSION = "2"
_KEY = "\0\0\0\0\0\0\0\x20"  # what `framed` puts in front of a key, which has 32 characters
_TURN = f"\0\0\0\0\0\0\0\x04turn{_KEY}"
_STEP = f"\0\0\0\0\0\0\0\x04step{_KEY}"
_ASKED = f"\0\0\0\0\0\0\0\x05asked{_KEY}"


class Keys(Struct, frozen=True, gc=False):
    """Makes the keys of one owner's conversations in one account.

    `root` is the key before every first turn, `no_answer` that of an answer without text. The heads are what the
    encodings of all users' texts and of all answers begin with.
    """

    root: str
    no_answer: str
    user_head: bytes
    answer_head: bytes

    @classmethod
    def of(cls, owner: str, account: str) -> "Keys":
        """Return the keys of this owner in this account."""
        root = digest("scope", _VERSION, owner, account)
        return cls(root, digest("answer", root, ""), framed("user") + framed(root), framed("answer") + framed(root))

    def user(self, canonical: str, files: Sequence[str] = ()) -> str:
        """Name the user's text of a turn, and the files that came with it, by their digests."""
        encoded = self.user_head + framed(canonical)
        return digest_of(encoded + b"".join(map(framed, files)) if files else encoded)

    def answer(self, canonical: str) -> str:
        """Name the whole answer text of a turn."""
        return digest_of(self.answer_head + framed(canonical)) if canonical else self.no_answer

    @staticmethod
    def turn(before: str, user_key: str, answer_key: str) -> str:
        """Name a conversation up to and including a turn; `before` names what came before that turn."""
        return digest_of(f"{_TURN}{before}{_KEY}{user_key}{_KEY}{answer_key}".encode())

    @staticmethod
    def step(before: str, user_key: str, answer_key: str, results: int) -> str:
        """Name a place inside a tool loop: the answer text so far, given after that many results."""
        count = str(results)
        counted = f"\0\0\0\0\0\0\0{chr(len(count))}{count}"
        return digest_of(f"{_STEP}{before}{_KEY}{user_key}{_KEY}{answer_key}{counted}".encode())

    @staticmethod
    def asked(before: str, user_key: str) -> str:
        """Name a user's text in its place, whatever was answered."""
        return digest_of(f"{_ASKED}{before}{_KEY}{user_key}".encode())

"""Where a login is kept, and what keeps one that a person just gave."""

from collections.abc import Callable
from typing import Protocol

from app.config_values import Secret
from app.upstream.qwen.credentials import Given

NOTHING = Given(Secret(), Secret())
Stamp = tuple[int, ...]


class Vault(Protocol):
    """Where a login is kept. Both calls block and may run in any thread."""

    def read(self, known: Stamp | None) -> tuple[Stamp | None, Given] | None:
        """Return what the owner put there, and the stamp of it; without one it may change unseen: read it again.

        Returns None if it still has the stamp `known`, or cannot be read.
        """
        ...

    def store(self, old: Given, new: Given, account: str) -> Given | None:
        """Put a renewed login in the place of `old`; return what is there now, None if `old` was no longer there.

        `account` is whose login was renewed: nothing takes the place of another account's, even if that is not in use.
        """
        ...


class KeptByLogin:
    """What a person just gave: a renewal on the spot replaces whatever was kept before."""

    def __init__(self, keep: Callable[[Secret, Secret], None]) -> None:
        """`keep` takes a token, which may be empty, and cookies; its errors are the caller's."""
        self._keep = keep
        self.is_kept = False  # by a renewal

    def read(self, known: Stamp | None) -> tuple[Stamp | None, Given] | None:
        """Know nothing but what was given."""
        return None

    def store(self, old: Given, new: Given, account: str) -> Given | None:
        """Keep a renewed login."""
        self._keep(new.token, new.cookie)
        self.is_kept = True
        return new

    def store_unless_renewed(self, token: Secret, cookie: Secret) -> None:
        """Keep what was given, unless a renewal has replaced it."""
        if not self.is_kept:
            self._keep(token, cookie)

"""The login that is in use: as its owner gave it, or as it was renewed and kept."""

import asyncio
from itertools import count

from app.clock import Clock
from app.upstream.qwen.credentials import Credential, Given, choose, token_to_keep
from app.upstream.qwen.vault import NOTHING, Stamp, Vault

LOOK_EVERY = 1.0


class Wallet:
    """Holds the login; a vault is read again when it changed, and what is renewed is stored there before it is used.

    `fault` says why what its owner gave cannot be used, None if it can.
    """

    def __init__(self, clock: Clock, own: Given, vault: Vault | None, *, first: Given = NOTHING) -> None:
        """`own` holds where the vault has nothing; `first` is what the vault holds as far as is known."""
        self.fault: str | None = None
        self._clock = clock
        self._own = own
        self._vault = vault
        self._stored: Given | None = None
        self._stamp: Stamp | None = None
        self._look_again = float("-inf")
        self._order = count()  # numbers looks and readings in the order in which they begin
        self._last_reading = -1
        self._changing = asyncio.Lock()
        self.credential = self._choose(first)

    @property
    def fresh_until(self) -> float:
        """Until when, by the steady clock, nobody has to look whether its owner gave another."""
        return self._clock.monotonic() + LOOK_EVERY if self._vault is None else self._look_again

    async def look(self, *, at_once: bool) -> bool:
        """Read the vault again, at most once a second unless `at_once`; return whether this found another login.

        One that cannot be read leaves everything as it was. Looks that wait for each other share what was read, but
        `at_once` only what was read since: what the owner wrote before that look is always found.
        """
        if self._vault is None or not (at_once or self._is_due):
            return False
        begun = next(self._order)
        async with self._changing:
            if self._last_reading > begun or not (at_once or self._is_due):
                return False
            reading = next(self._order)
            found = await asyncio.to_thread(self._vault.read, self._stamp)
            self._last_reading = reading
            self._look_again = self._clock.monotonic() + LOOK_EVERY
            return found is not None and self._hold(*found)

    @property
    def _is_due(self) -> bool:
        return self._clock.monotonic() >= self._look_again

    def _hold(self, stamp: Stamp | None, given: Given) -> bool:
        """Hold what was read; return whether it is another login."""
        self._stamp = stamp
        if given == self._stored:
            return False
        self._stored = given
        self.credential = self._choose(given)
        return True

    async def replace(self, old: Credential, new: Credential) -> bool:
        """Store a renewed login, and only then use it. Not if its owner gave another meanwhile."""
        async with self._changing:
            if self.credential is not old:
                return False
            if self._vault is not None:
                before = self._stored or NOTHING
                after = Given(
                    token_to_keep(before.token or self._own.token, old, new, self._clock.now()),
                    before.cookie if new.cookie == old.cookie else new.cookie,
                )
                stored = await asyncio.to_thread(self._vault.store, before, after, new.account)
                if stored is None:
                    self._look_again = float("-inf")
                    return False
                self._stored = stored
            self.credential = new
            return True

    def _choose(self, given: Given) -> Credential | None:
        """Return the better of the vault's login and its owner's."""
        try:
            self.fault = None
            return choose(given, self._own)
        except ValueError as problem:
            self.fault = f"The token or cookie cannot be used: it {problem}."
            return None

"""The account's token: which one is sent, and whether it works (docs/operating.md says it to the owner)."""

import asyncio
from datetime import datetime, timedelta

from app.clock import Clock
from app.config import Settings
from app.config_values import Secret
from app.errors import UpstreamError
from app.upstream.qwen.credentials import Credential, Given
from app.upstream.qwen.pause import Pause
from app.upstream.qwen.refusals import Refusals
from app.upstream.qwen.renewal import Renewal
from app.upstream.qwen.renewing import Renewer
from app.upstream.qwen.token_file import TokenFile
from app.upstream.qwen.vault import NOTHING, Vault
from app.upstream.qwen.wallet import LOOK_EVERY, Wallet
from app.upstream.qwen.words import announce, expired, how_long, unrenewable

_MENDED_WITHIN = 5.0
_MISSING = "There is no token for the account."


class TokenSource:
    """Gives the token to send. It reads `.env` again when the file changed, so that no restart is needed.

    A token that works is looked at once a second, one that does not at every request. One that comes near its end, or
    was refused, is renewed where that is possible; without renewal a refused token is tried again every 10 seconds.
    Meanwhile everyone gets the same error. `pause` is shared with the calls to the site: no renewal is begun in it, and
    a block that one meets begins it.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        token: Secret,
        cookie: Secret,
        vault: Vault | None = None,
        renewal: Renewal | None = None,
        first: Given = NOTHING,
        quiet: bool = False,
        tries_again: bool = True,
    ) -> None:
        """`token` and `cookie` hold where the vault has none, which holds `first` as far as is known.

        `quiet`: nobody has to be told of the login's end. Without `tries_again` only who asks is told of a renewal that
        failed: there is no later one.
        """
        self.pause = Pause(clock, first=settings.block_pause_seconds)
        self._clock = clock
        self._wallet = Wallet(clock, Given(token, cookie), vault, first=first)
        self._refusals = Refusals(clock)
        self._renewer = Renewer(clock, self._wallet, self._refusals, self.pause, renewal, tries_again=tries_again)
        self._is_quiet = quiet
        self._fine: tuple[Credential | None, float] = (None, 0.0)  # what was found to work, and until when
        self._announced: tuple[object, ...] | None = None

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> "TokenSource":
        """Take the token from `.env` and the environment, and renew it at the site."""
        in_environment = settings.token_in_environment
        return cls(
            settings,
            clock,
            token=in_environment,
            cookie=settings.qwen_cookie,
            vault=TokenFile(settings.path(settings.env_file)),
            renewal=Renewal(settings, clock, base_url=settings.qwen_base_url, auth_url=settings.qwen_auth_url),
            first=NOTHING if in_environment else Given(settings.qwen_auth_token, Secret()),
        )

    @classmethod
    def fixed(
        cls, settings: Settings, clock: Clock, token: str, *, quiet: bool = False, renewal: Renewal | None = None
    ) -> "TokenSource":
        """Hold one token, for an emulator."""
        return cls(settings, clock, token=Secret(token), cookie=Secret(), renewal=renewal, quiet=quiet)

    @property
    def credential(self) -> Credential | None:
        """The login as it is now, None where there is none that can be used."""
        return self._wallet.credential

    @property
    def ends_at(self) -> datetime | None:
        """When the login ends unless it is renewed before; None if that is not known."""
        if self.credential is None:
            return None
        return self.credential.ends_at if self.renews else self.credential.expires_at

    @property
    def renews(self) -> bool:
        """Whether the login is renewed without its owner, as far as is known."""
        return self._renewer.can_renew

    @property
    def problem(self) -> str | None:
        """One sentence on why the token does not work, None while it does, or will be renewed, as far as is known."""
        credential = self.credential
        if credential is None:
            return self._wallet.fault or _MISSING
        failure = self._renewer.problem
        said = self._refusals.reason(credential)
        if said is None and credential.is_over(self._clock.now()):
            if self.renews and failure is None:
                return None
            said = expired(credential)
        if said and failure is not None:
            said += f" It could not be renewed. {failure}"
        elif said and self._renewer.is_possible and not self.renews:
            said += unrenewable(credential)
        return said

    def ready(self) -> Credential | None:
        """Return the token for a request where it was found to work a moment ago, else None: `take` looks again."""
        fine = self.fine
        if fine is not None:
            self._renewer.is_used = True
        return fine

    @property
    def fine(self) -> Credential | None:
        """The token that was found to work a moment ago, for who asks whose it is."""
        fine, until = self._fine
        if fine is None or fine is not self._wallet.credential or self._clock.monotonic() >= until:
            return None
        return fine

    async def take(self) -> Credential:
        """Return the token for a request. Raises UpstreamLoginRequired if it cannot work, or was refused just now."""
        if (ready := self.ready()) is not None:
            return ready
        self._renewer.is_used = True
        credential = await self._renewed()
        if credential is None or credential.is_over(self._clock.now()):
            raise self._unusable()
        if credential in self._refusals:
            if not self._refusals.try_again():
                raise self._unusable()
        elif not credential.is_short(self._clock.now() + timedelta(seconds=LOOK_EVERY)):
            self._fine = (credential, self._wallet.fresh_until)
        return credential

    async def take_after(self, refused: Credential) -> Credential | None:
        """Return another token than the one that was refused, None if there is none to be had.

        Raises UpstreamLoginRequired if getting one failed.
        """
        credential = await self._renewed()
        if credential is not None and credential.token != refused.token and not credential.is_over(self._clock.now()):
            return credential
        if self._renewer.problem is not None:
            raise self._unusable()
        return None

    def refused(self, credential: Credential, reason: str) -> None:
        """The site refused this token."""
        self._refusals.add(credential, reason)
        self._fine = (None, 0.0)

    def accepted(self, credential: Credential) -> None:
        """The site took this token."""
        if self._refusals.token is not None:
            self._refusals.lift(credential)
        self._renewer.accepted(credential)

    async def refresh(self) -> None:
        """Read `.env` again if it changed. A file that cannot be read leaves everything as it was."""
        if await self._wallet.look(at_once=self.problem is not None):
            self._renewer.forgive()
        if self.credential is not None and not self._is_quiet:
            self._announced = announce(self.credential, self._announced, self._clock.now(), renews=self.renews)

    async def keep(self) -> float:
        """Renew what is due also while nobody asks; return the seconds until it should be looked at again.

        A login that does not work is looked at more often: its owner may be writing another.
        """
        await self.refresh()
        wait = await self._renewer.keep()
        return wait if self.problem is None else min(wait, _MENDED_WITHIN)

    async def renew_now(self) -> None:
        """Renew a login that has no long token, to see that it can be. Raises UpstreamError if that fails."""
        credential = self.credential
        if credential is not None and self.renews and (credential.is_access or not credential.token):
            await self._renewer.begin(credential)
            if self._renewer.problem is not None:
                raise self._renewer.problem.anew()

    def lasts(self) -> str:
        """Say how long the login lasts and whether it renews itself, in sentences for its owner."""
        return "" if self.credential is None else how_long(self.credential, self._clock.now(), renews=self.renews)

    async def close(self) -> None:
        """Let a running renewal end, within seconds; what the site has rotated already is stored."""
        await self._renewer.close()

    async def _renewed(self) -> Credential | None:
        """Return the current login, renewed if it has to be; one that is merely short is renewed beside the request."""
        await self.refresh()
        credential = self.credential
        if credential is None:
            return None
        renewing = self._renewer.begin_if_due(credential)
        if renewing and (credential.is_over(self._clock.now()) or credential in self._refusals):
            await asyncio.shield(renewing)
            if self.credential is credential:
                await self.refresh()  # its owner may have given another in the meantime
        return self.credential

    def _unusable(self) -> UpstreamError:
        """Say why there is no token to send."""
        said = self.problem or "The account's token is over, and its renewal brought none that works."
        return self._renewer.error(said)

"""The account's token: which one is sent, whether it still works, and when it is renewed.

docs/operating.md says it to the owner; docs/upstream-protocol.md, Auth, says what the site does.
"""

import asyncio
import logging
import math
from datetime import datetime, timedelta

from app.clock import Clock
from app.config import Settings
from app.config_values import Secret
from app.errors import ClockWrong, UpstreamBlocked, UpstreamError, UpstreamLoginRequired, UpstreamRenewalFailed
from app.upstream.qwen.backoff import Backoff
from app.upstream.qwen.credentials import Credential, Given
from app.upstream.qwen.pause import Pause
from app.upstream.qwen.renewal import Renewal
from app.upstream.qwen.renewing import Renewing
from app.upstream.qwen.token_file import TokenFile
from app.upstream.qwen.vault import NOTHING, Vault
from app.upstream.qwen.wallet import LOOK_EVERY, Wallet
from app.upstream.qwen.words import announce, expired, how_long, unrenewable

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 10.0
_KEEP_EVERY = 60.0
_MENDED_WITHIN = 5.0
_A_DAY = 86400.0
_MISSING = "There is no token for the account."


class TokenSource:
    """Gives the token to send. It reads `.env` again when the file changed, so that no restart is needed.

    A token that works is looked at once a second, one that does not at every request. One that comes near its end, or
    was refused, is renewed where that is possible, by one call for all who wait. A failed renewal is repeated after 10
    seconds, then after twice as long each time, up to 10 minutes; without renewal a refused token is tried again every
    10 seconds. Meanwhile everyone gets the same error.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        token: Secret,
        cookie: Secret,
        vault: Vault | None = None,
        renewal: Renewal | None = None,
        first: Given = NOTHING,
        quiet: bool = False,
    ) -> None:
        """`token` and `cookie` hold where the vault has none, which holds `first` as far as is known.

        `quiet`: nobody has to be told of the login's end.
        """
        self._clock = clock
        self._wallet = Wallet(clock, Given(token, cookie), vault, first=first)
        self._renewal = renewal
        self._is_quiet = quiet
        self._fine: tuple[Credential | None, float] = (None, 0.0)  # what was found to work, and until when
        self._announced: tuple[object, ...] | None = None
        self._refusal: tuple[Secret, float, str] | None = None
        self._backoff = Backoff(clock)
        self._renewing = Renewing(Pause(clock, first=0))
        self._slide_not_before = float("-inf")
        self._renewed_at = float("-inf")
        self._is_used = False

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> "TokenSource":
        """Take the token from `.env` and the environment, and renew it at the site."""
        in_environment = settings.token_in_environment
        return cls(
            clock,
            token=in_environment,
            cookie=settings.qwen_cookie,
            vault=TokenFile(settings.path(settings.env_file)),
            renewal=Renewal(settings, clock, base_url=settings.qwen_base_url, auth_url=settings.qwen_auth_url),
            first=NOTHING if in_environment else Given(settings.qwen_auth_token, Secret()),
        )

    @classmethod
    def fixed(cls, token: str, clock: Clock, *, quiet: bool = False, renewal: Renewal | None = None) -> "TokenSource":
        """Hold one token, for an emulator."""
        return cls(clock, token=Secret(token), cookie=Secret(), renewal=renewal, quiet=quiet)

    def heed(self, pause: Pause) -> None:
        """Share a pause: both hosts guard what a renewal calls, so none is begun in it, and a block begins one."""
        self._renewing.pause = pause

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
        credential = self.credential
        return self._renewal is not None and credential is not None and credential.can_renew(self._clock.now())

    @property
    def problem(self) -> str | None:
        """One sentence on why the token does not work, None while it does, or will be renewed, as far as is known."""
        credential = self.credential
        if credential is None:
            return self._wallet.fault or _MISSING
        said = None
        if self._is_refused(credential) and self._refusal is not None:
            said = self._refusal[2]
        elif credential.is_over(self._clock.now()):
            if self.renews and self._backoff.problem is None:
                return None
            said = expired(credential)
        if said and self._backoff.problem is not None:
            said += f" It could not be renewed. {self._backoff.problem}"
        elif said and self._renewal is not None and not self.renews:
            said += unrenewable(credential)
        return said

    def ready(self) -> Credential | None:
        """Return the token for a request where it was found to work a moment ago, else None: `take` looks again."""
        fine = self.fine
        if fine is not None:
            self._is_used = True
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
        self._is_used = True
        credential = await self._renewed()
        if credential is None or credential.is_over(self._clock.now()):
            raise self._unusable()
        if self._is_refused(credential) and self._refusal is not None:
            token, at, reason = self._refusal
            now = self._clock.monotonic()
            if now - at < _RETRY_SECONDS:
                raise self._unusable()
            self._refusal = (token, now, reason)
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
        if self._backoff.problem is not None:
            raise self._unusable()
        return None

    def refused(self, credential: Credential, reason: str) -> None:
        """The site refused this token."""
        self._refusal = (credential.token, self._clock.monotonic(), reason)
        self._fine = (None, 0.0)

    def accepted(self, credential: Credential) -> None:
        """The site took this token."""
        if self._refusal is None and not self._backoff.failures:
            return
        if self._is_refused(credential):
            self._refusal = None
        if self.credential is credential and not credential.is_short(self._clock.now()):
            self._backoff.forgive()

    async def refresh(self) -> None:
        """Read `.env` again if it changed. A file that cannot be read leaves everything as it was."""
        if await self._wallet.look(at_once=self.problem is not None):
            self._backoff.forgive()
        if self.credential is not None and not self._is_quiet:
            self._announced = announce(self.credential, self._announced, self._clock.now(), renews=self.renews)

    async def keep(self) -> float:
        """Renew what is due also while nobody asks; return the seconds until it should be looked at again.

        A login that is not in use is renewed once a day, so that its session goes on. One that does not work is looked
        at more often: its owner may be writing another.
        """
        wait = await self._keep()
        return wait if self.problem is None else min(wait, _MENDED_WITHIN)

    async def _keep(self) -> float:
        await self.refresh()
        now = self._clock.monotonic()
        credential = self.credential
        if credential is None or self._renewal is None:
            return _KEEP_EVERY
        may_slide = now >= self._slide_not_before and not self._renewing.pause.seconds
        if self._is_due(credential) and (self._is_used or now - self._renewed_at >= _A_DAY):
            await asyncio.shield(self._renew(credential))
        elif may_slide and credential.can_slide(self._clock.now()):
            await asyncio.shield(self._renewing.begin(credential, self._slide(credential, self._renewal)))
        return self._seconds_to_renewal()

    async def renew_now(self) -> None:
        """Renew a login that has no long token, to see that it can be. Raises UpstreamError if that fails."""
        credential = self.credential
        if credential is not None and self.renews and (credential.is_access or not credential.token):
            await self._renew(credential)
            if self._backoff.problem is not None:
                raise self._backoff.problem

    def lasts(self) -> str:
        """Say how long the login lasts and whether it renews itself, in sentences for its owner."""
        return "" if self.credential is None else how_long(self.credential, self._clock.now(), renews=self.renews)

    async def close(self) -> None:
        """Let a running renewal end, within seconds; what the site has rotated already is stored."""
        await self._renewing.close()

    async def _renewed(self) -> Credential | None:
        """Return the current login, renewed if it has to be; one that is merely short is renewed beside the request."""
        await self.refresh()
        credential = self.credential
        if credential is not None and (self._is_due(credential) or self._renewing.of(credential)):
            renewing = self._renew(credential)
            if credential.is_over(self._clock.now()) or self._is_refused(credential):
                await asyncio.shield(renewing)
                if self.credential is credential:
                    await self.refresh()  # its owner may have given another in the meantime
        return self.credential

    def _is_due(self, credential: Credential) -> bool:
        now = self._clock.now()
        wanted = credential.is_short(now) or self._is_refused(credential)
        return wanted and self.renews and not self._backoff.seconds and not self._renewing.pause.seconds

    def _is_refused(self, credential: Credential) -> bool:
        return self._refusal is not None and self._refusal[0] == credential.token

    def _renew(self, credential: Credential) -> asyncio.Task[None]:
        if running := self._renewing.of(credential):
            return running
        assert self._renewal is not None, "only what can be renewed is due"
        return self._renewing.begin(credential, self._renew_by_cookies(credential, self._renewal))

    async def _renew_by_cookies(self, old: Credential, renewal: Renewal) -> None:
        was_refused = self._is_refused(old)
        try:
            new = await self._renewing.answer(renewal.by_cookies(old))
        except UpstreamError as problem:
            if self.credential is not old:
                return  # its owner gave another meanwhile, which has no part in this
            pause = self._backoff.fail(problem)
            _log.warning("The login could not be renewed, next try in %.0f s at the earliest: %s", pause, problem)
            return
        now = self._clock.now()
        if await self._wallet.replace(old, new):
            self._renewed_at, self._is_used = self._clock.monotonic(), False
            if new.is_short(now):
                self._fail_by_clock(new, now)
                return
            if was_refused:  # a site that refuses the new one too must not be asked for another at once
                self._backoff.fail(None)
            else:
                self._backoff.forgive()
            _log.info("The login of account %s was renewed", new.account)

    def _fail_by_clock(self, new: Credential, now: datetime) -> None:
        """Take note of a new token that is in its last minutes by our clock; it is used, and renewed before it ends."""
        left = (new.expires_at - now).total_seconds() if new.expires_at else 0.0
        problem = ClockWrong(
            "By this machine's clock, which seems to be ahead, the token that the site just gave is "
            f"{'over' if left <= 0 else 'nearly over'}.",
            cause="clock",
        )
        pause = self._backoff.fail(problem, most=left / 2 if left > 0 else math.inf)
        _log.warning("The login is renewed again in %.0f s at the earliest: %s", pause, problem.message)

    async def _slide(self, old: Credential, renewal: Renewal) -> None:
        self._slide_not_before = self._clock.monotonic() + _A_DAY
        try:
            new = await self._renewing.answer(renewal.by_profile(old))
        except UpstreamError as problem:
            _log.warning("The session token could not be renewed, next try in a day: %s", problem)
            return
        if new is None:
            _log.info("The site gave no later session token; it is asked again in a day")
        elif await self._wallet.replace(old, new):
            _log.info("The session token of account %s was renewed", new.account)

    def _unusable(self) -> UpstreamError:
        """Say why there is no token to send."""
        why = self._backoff.problem
        if why is None and self.renews and self._renewing.pause.seconds:
            return self._renewing.pause.refusal()
        said = self.problem or "The account's token is over, and its renewal brought none that works."
        if isinstance(why, UpstreamBlocked):
            return UpstreamBlocked(said, cause="token")
        if isinstance(why, ClockWrong):
            return ClockWrong(said, cause="clock", retry_after=max(1.0, self._backoff.seconds))
        if why is None or isinstance(why, UpstreamLoginRequired):
            return UpstreamLoginRequired(said, cause="token")
        return UpstreamRenewalFailed(said, cause="token", retry_after=max(1.0, self._backoff.seconds))

    def _seconds_to_renewal(self) -> float:
        credential = self.credential
        if credential is None or credential.expires_at is None or not self.renews or not self._is_used:
            return _KEEP_EVERY
        short_at = credential.expires_at - credential.margin
        due = max((short_at - self._clock.now()).total_seconds(), self._backoff.seconds, self._renewing.pause.seconds)
        return min(max(due, LOOK_EVERY), _KEEP_EVERY)

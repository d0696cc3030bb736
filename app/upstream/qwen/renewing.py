"""The renewal of the login: when it is due, by which call, and what becomes of one that fails.

docs/upstream-protocol.md, Auth, says what the site does.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeVar

from app.clock import Clock
from app.errors import (
    ClockWrong,
    UpstreamBlocked,
    UpstreamError,
    UpstreamLoginRequired,
    UpstreamRenewalFailed,
    UpstreamTimeout,
)
from app.upstream.qwen.backoff import Backoff
from app.upstream.qwen.credentials import Credential
from app.upstream.qwen.pause import Pause
from app.upstream.qwen.refusals import Refusals
from app.upstream.qwen.renewal import Renewal
from app.upstream.qwen.wallet import LOOK_EVERY, Wallet

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_PATIENCE = 3.0
_KEEP_EVERY = 60.0
_A_DAY = 86400.0


class Renewer:
    """Renews the login in the wallet: before it is over, or once the site refused its token.

    One call serves all who wait, and no client who leaves cancels it; only the end does, and only what is asked of the
    site. A failed one is repeated after 10 seconds, then after twice as long each time, up to 10 minutes, and none is
    begun in a pause. `is_used` says that a request took the login since it was renewed.
    """

    def __init__(
        self,
        clock: Clock,
        wallet: Wallet,
        refusals: Refusals,
        pause: Pause,
        renewal: Renewal | None,
        *,
        tries_again: bool = True,
    ) -> None:
        """Without a `renewal` none is ever due. One that fails is logged, unless only its caller is to be told."""
        self.is_used = False
        self._clock = clock
        self._wallet = wallet
        self._refusals = refusals
        self._pause = pause
        self._renewal = renewal
        self._tries_again = tries_again
        self._backoff = Backoff(clock)
        self._renewed_at = float("-inf")
        self._slide_not_before = float("-inf")
        self._latest: tuple[Credential, asyncio.Task[None]] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[Any]] = set()

    @property
    def is_possible(self) -> bool:
        """Whether there is a way to renew a login that has the cookies for it."""
        return self._renewal is not None

    @property
    def can_renew(self) -> bool:
        """Whether the login is renewed without its owner, as far as is known."""
        credential = self._wallet.credential
        return self._renewal is not None and credential is not None and credential.can_renew(self._clock.now())

    @property
    def problem(self) -> UpstreamError | None:
        """Why the last renewal failed, as long as that stands."""
        return self._backoff.problem

    def error(self, said: str) -> UpstreamError:
        """Return the error of a request for which there is no token, of the kind that the last renewal failed with."""
        why = self._backoff.problem
        if why is None and self.can_renew and self._pause.seconds:
            return self._pause.refusal()
        if isinstance(why, UpstreamBlocked):
            return UpstreamBlocked(said, cause="token")
        if isinstance(why, ClockWrong):
            return ClockWrong(said, cause="clock", retry_after=max(1.0, self._backoff.seconds))
        if why is None or isinstance(why, UpstreamLoginRequired):
            return UpstreamLoginRequired(said, cause="token")
        return UpstreamRenewalFailed(said, cause="token", retry_after=max(1.0, self._backoff.seconds))

    def accepted(self, credential: Credential) -> None:
        """The site took this token: no failure stands any more, unless the token is about to end."""
        is_current = self._backoff.failures > 0 and self._wallet.credential is credential
        if is_current and not credential.is_short(self._clock.now()):
            self._backoff.forgive()

    def forgive(self) -> None:
        """The owner gave another login, which has no part in the failures before."""
        self._backoff.forgive()

    def begin_if_due(self, credential: Credential) -> asyncio.Task[None] | None:
        """Return the renewal of this login that is under way, or begins now since it is due; None if it need not be."""
        return self._under_way(credential) or (self.begin(credential) if self._is_due(credential) else None)

    def begin(self, credential: Credential) -> asyncio.Task[None]:
        """Renew a login that can be; return the renewal that is under way, if any."""
        assert self._renewal is not None, "only what can be renewed is due"
        return self._under_way(credential) or self._run(credential, self._by_cookies(credential, self._renewal))

    async def keep(self) -> float:
        """Renew what is due; return the seconds until it should be looked at again.

        A login that is not in use is renewed once a day, so that its session goes on.
        """
        now = self._clock.monotonic()
        credential = self._wallet.credential
        if credential is None or self._renewal is None:
            return _KEEP_EVERY
        may_slide = now >= self._slide_not_before and not self._pause.seconds
        if self._is_due(credential) and (self.is_used or now - self._renewed_at >= _A_DAY):
            await asyncio.shield(self.begin(credential))
        elif may_slide and credential.can_slide(self._clock.now()):
            await asyncio.shield(self._run(credential, self._by_profile(credential, self._renewal)))
        return self._seconds_to_renewal()

    async def close(self) -> None:
        """Wait a few seconds for answers, since the site may have rotated the session already; store what came."""
        if self._running:
            await asyncio.wait(self._running, timeout=_PATIENCE)
        for call in tuple(self._calls):
            call.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def _is_due(self, credential: Credential) -> bool:
        wanted = credential.is_short(self._clock.now()) or credential in self._refusals
        return wanted and self.can_renew and not self._backoff.seconds and not self._pause.seconds

    def _seconds_to_renewal(self) -> float:
        credential = self._wallet.credential
        if credential is None or credential.expires_at is None or not self.can_renew or not self.is_used:
            return _KEEP_EVERY
        short_at = credential.expires_at - credential.margin
        due = max((short_at - self._clock.now()).total_seconds(), self._backoff.seconds, self._pause.seconds)
        return min(max(due, LOOK_EVERY), _KEEP_EVERY)

    def _under_way(self, credential: Credential) -> asyncio.Task[None] | None:
        if self._latest is None or self._latest[0] is not credential or self._latest[1].done():
            return None
        return self._latest[1]

    def _run(self, credential: Credential, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="renew the login")
        self._latest = (credential, task)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _by_cookies(self, old: Credential, renewal: Renewal) -> None:
        was_refused = old in self._refusals
        try:
            new = await self._answer(renewal.by_cookies(old))
        except UpstreamError as problem:
            if self._wallet.credential is not old:
                return  # its owner gave another meanwhile, which has no part in this
            seconds = self._backoff.fail(problem)
            if self._tries_again:
                _log.warning("The login could not be renewed, next try in %.0f s at the earliest: %s", seconds, problem)
            return
        now = self._clock.now()
        if await self._wallet.replace(old, new):
            self._renewed_at, self.is_used = self._clock.monotonic(), False
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
        seconds = self._backoff.fail(problem, most=left / 2 if left > 0 else math.inf)
        if self._tries_again:
            _log.warning("The login is renewed again in %.0f s at the earliest: %s", seconds, problem.message)

    async def _by_profile(self, old: Credential, renewal: Renewal) -> None:
        self._slide_not_before = self._clock.monotonic() + _A_DAY
        try:
            new = await self._answer(renewal.by_profile(old))
        except UpstreamError as problem:
            _log.warning("The session token could not be renewed, next try in a day: %s", problem)
            return
        if new is None:
            _log.info("The site gave no later session token; it is asked again in a day")
        elif await self._wallet.replace(old, new):
            _log.info("The session token of account %s was renewed", new.account)

    async def _answer(self, call: Coroutine[Any, Any, _T]) -> _T:
        """Await a renewal's call to the site. Raises what it does, and UpstreamTimeout once `close` gave it up."""
        asking = asyncio.create_task(call, name="ask for a new login")
        self._calls.add(asking)
        asking.add_done_callback(self._calls.discard)
        await asyncio.wait([asking])
        if asking.cancelled():
            raise UpstreamTimeout("The site did not answer before the server stopped.", cause="stop")
        try:
            return asking.result()
        except UpstreamBlocked as problem:
            self._pause.blocked(problem)
            raise

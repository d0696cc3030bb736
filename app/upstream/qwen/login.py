"""The account that calls are made with: signs each of them, and remembers how it went."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Literal, TypeVar

from app.clock import Clock
from app.config import Settings
from app.core.ports import AccountStatus, Meter
from app.errors import (
    ChatGone,
    ChatInProgress,
    ParentUnknown,
    UpstreamBlocked,
    UpstreamError,
    UpstreamLoginRequired,
    UpstreamModelUnknown,
    UpstreamRateLimited,
    UpstreamRejected,
)
from app.upstream.qwen.causes import Subject
from app.upstream.qwen.credentials import Credential
from app.upstream.qwen.replies import Outer
from app.upstream.qwen.token_source import TokenSource
from app.upstream.qwen.transport import Transport

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_KINDS_NOTED = 100
_SAID_TO_ACCOUNTS = (ChatGone, ChatInProgress, ParentUnknown, UpstreamModelUnknown, UpstreamRateLimited)


class Login:
    """An account at the site and the connections of its calls; an async context manager that owns both.

    Whatever is refused for the token or by the bot protection is remembered for `account`, and every error is told to
    the meter.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        base_url: str,
        tokens: TokenSource,
        kind: Literal["qwen", "emulator"],
        meter: Meter | None,
    ) -> None:
        self.transport = Transport(settings, clock, base_url)
        self._tokens = tokens
        self._kind = kind
        self._meter = meter
        self._pause = tokens.pause
        self._noted: set[str] = set()

    async def __aenter__(self) -> "Login":
        await self._tokens.refresh()
        await self.transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tokens.close()
        await self.transport.__aexit__(kind, problem, trace)

    def account_name(self) -> str:
        """Return the account of the token as it was last read, "none" without one."""
        credential = self._tokens.credential
        return credential.account if credential else "none"

    async def account_now(self) -> str:
        """Return the account that a call would be made with now: its owner may just have given another token."""
        fine = self._tokens.fine
        if fine is not None:
            return fine.account
        await self._tokens.refresh()
        return self.account_name()

    def account(self) -> AccountStatus:
        """Return the state of the account as last known, without a call."""
        return AccountStatus(
            upstream=self._kind,
            account=self.account_name(),
            token_expires_at=self._tokens.ends_at,
            problem=self._tokens.problem or self._pause.problem,
            is_blocked=self._pause.problem is not None,
            token_renews=self._tokens.renews,
        )

    async def keep(self) -> float:
        """Renew what is due; return the seconds until it should be called again."""
        return await self._tokens.keep()

    def call(
        self,
        method: str,
        path: str,
        subject: Subject,
        *,
        chatting: bool = True,
        for_guests: bool = False,
        account: str | None = None,
        **options: Any,
    ) -> Coroutine[Any, Any, Outer]:
        """Ask the site for a JSON answer; `options` are those of `Transport.call`."""
        ask = partial(self.transport.call, method, path, subject, **options)
        return self.signed(ask, chatting=chatting, for_guests=for_guests, account=account)

    async def signed(
        self,
        ask: Callable[[Credential], Awaitable[_T]],
        *,
        chatting: bool,
        for_guests: bool = False,
        account: str | None = None,
    ) -> _T:
        """Ask with the account's token, and once more where that is refused and there is another.

        What was refused for the token was not carried out, so it may be asked again. Only calls about chats
        (`chatting`) are guarded by the bot protection. What the site gives `for_guests` too does not show that the
        token works. With `account` only its own token is sent: UpstreamRejected with the cause "account" says that
        there is another one by now.
        """
        credential = self._tokens.ready() or await self._tokens.take()
        refusal: UpstreamLoginRequired | None = None
        while True:
            if account is not None and credential.account != account:
                raise UpstreamRejected("The token is another account's by now, so nothing was sent.", cause="account")
            is_probe = chatting and self._pause.enter()
            try:
                answer = await ask(credential)
            except UpstreamError as problem:
                self.failed(problem, credential, for_guests=for_guests)
                if chatting:
                    self._pause.failed(problem)
                if refusal is not None or problem.accepted or not isinstance(problem, UpstreamLoginRequired):
                    raise
                refusal = problem
            else:
                if not for_guests:
                    self._tokens.accepted(credential)
                if chatting:
                    self._pause.passed()
                return answer
            finally:
                if is_probe:
                    self._pause.leave()
            other = await self._tokens.take_after(credential)
            if other is None:
                raise refusal
            credential = other

    def count(self, problem: UpstreamError) -> None:
        """Tell the meter of an error that says nothing about the account."""
        if self._meter is not None:
            self._meter.upstream_failed(problem.code or problem.type)

    def failed(self, problem: UpstreamError, credential: Credential, *, for_guests: bool = False) -> None:
        """Take note of an error, and of what it says about the account."""
        self.count(problem)
        if isinstance(problem, UpstreamLoginRequired):
            self._tokens.refused(credential, str(problem))
        elif isinstance(problem, UpstreamBlocked):
            self._pause.blocked(problem)
        elif isinstance(problem, _SAID_TO_ACCOUNTS) and not for_guests:
            self._tokens.accepted(credential)

    def note(self, kind: str) -> None:
        """Log what the protocol notes do not know, once for each kind: its owner may tell the maintainers."""
        if kind not in self._noted and len(self._noted) < _KINDS_NOTED:
            self._noted.add(kind)
            _log.info("The site sent %s, which is passed over", kind)

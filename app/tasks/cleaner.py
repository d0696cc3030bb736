"""Deletes upstream the chats that are to go: after their answer, or for their age (docs/operating.md, Clean-up).

The queue is in the database, so that a restart resumes it; only chats that this program made can be in it.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.clock import Clock
from app.core.ports import Deletion, SessionStore, Upstream
from app.errors import (
    StoreError,
    UpstreamBlocked,
    UpstreamError,
    UpstreamLoginRequired,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_log = logging.getLogger(__name__)
_BATCH = 100
_LONGEST_WAIT = timedelta(seconds=30)
_WAIT_FOR_A_PERSON = timedelta(minutes=10)
_NEED_A_PERSON = (UpstreamBlocked, UpstreamLoginRequired)
_OUT_OF_REACH = (UpstreamTimeout, UpstreamUnreachable)
_LOOK_EVERY = timedelta(minutes=1)  # for what grew too old, and what the owner queued by a command


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did, and how many deletions still wait; those `elsewhere` wait for another account's login."""

    deleted: int
    failed: int
    aged: int
    waiting: int
    elsewhere: int = 0


class Cleaner:
    """`sweep` does all that is due once; `run` keeps doing it. `first_retry` and `retention` are durations."""

    def __init__(
        self, upstream: Upstream, store: SessionStore, clock: Clock, *, first_retry: timedelta, retention: timedelta
    ) -> None:
        self._upstream = upstream
        self._store = store
        self._clock = clock
        self._first_retry = first_retry
        self._retention = retention
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Say that a deletion was queued."""
        self._wake.set()

    async def sweep(self) -> SweepReport:
        """Queue chats that are too old, then try every deletion that is due. Raises StoreError."""
        aged = 0
        if self._retention:
            now = self._clock.now()
            while doomed := await self._store.deletions.doom_idle(now - self._retention, now, _BATCH):
                aged += doomed
        deleted, failed, account = await self._delete_due(self._clock.now())
        elsewhere = await self._store.deletions.elsewhere(account)
        waiting = (await self._store.overview()).pending_deletions - elsewhere
        return SweepReport(deleted, failed, aged, waiting, elsewhere)

    async def _delete_due(self, now: datetime) -> tuple[int, int, str]:
        """Try each deletion that is due now; return how many were done, how many failed, and the account.

        Once each: where a try takes longer than the wait for the next one, this would go on for ever.
        """
        deleted = failed = 0
        tried: set[str] = set()
        refused: UpstreamError | None = None
        while True:
            account = await self._upstream.account_now()
            listed = await self._store.deletions.due(account, now, _BATCH)
            due = [deletion for deletion in listed if deletion.chat_id not in tried]
            if not due:
                return deleted, failed, account
            for deletion in due:
                tried.add(deletion.chat_id)
                problem = refused or await self._delete(deletion, account)
                if problem is None:
                    deleted += 1
                    continue
                if isinstance(problem, UpstreamRejected) and problem.cause == "account":
                    break  # the others are that account's too
                failed += 1
                await self._put_off(deletion, problem, was_tried=refused is None)
                if isinstance(problem, _NEED_A_PERSON + _OUT_OF_REACH):
                    refused = problem  # asking again for each of the others would make it worse, or take for ever

    async def _delete(self, deletion: Deletion, account: str) -> UpstreamError | None:
        try:
            await self._upstream.delete_chat(deletion.chat_id, account)
        except UpstreamError as problem:
            return problem
        await self._store.deletions.done(deletion.chat_id, self._clock.now())
        return None

    async def _put_off(self, deletion: Deletion, problem: UpstreamError, *, was_tried: bool) -> None:
        """Try again later: soon after a passing fault, much later where a person has to act first."""
        wait = min(self._first_retry * 2 ** min(deletion.attempts, 16), _LONGEST_WAIT)
        if not was_tried:
            wait /= 2  # before the one that was: the site may be silent about that one alone
        if isinstance(problem, _NEED_A_PERSON):
            wait = _WAIT_FOR_A_PERSON
        _log.warning(
            "Chat %s could not be deleted, next try in %.0f s: %s", deletion.chat_id, wait.total_seconds(), problem
        )
        now = self._clock.now()
        await self._store.deletions.failed(deletion.chat_id, str(problem), now, now + wait)

    async def run(self) -> None:
        """Sweep whenever something is due, until cancelled."""
        while True:
            self._wake.clear()
            try:
                report = await self.sweep()
                wait = await self._until_due()
            except StoreError as problem:
                _log.error("The clean-up queue could not be read: %s", problem)
                wait = _LONGEST_WAIT
            else:
                if report.deleted or report.aged:
                    _log.info("Chats deleted upstream: %d; queued for their age: %d", report.deleted, report.aged)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(
                    wait.total_seconds()
                ):  # wait_for would lose a cancellation that meets a wake
                    await self._wake.wait()

    async def _until_due(self) -> timedelta:
        due = await self._store.deletions.next_due(await self._upstream.account_now())
        if due is None:
            return _LOOK_EVERY
        return min(max(due - self._clock.now(), timedelta(milliseconds=10)), _LOOK_EVERY)

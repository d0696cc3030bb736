"""Deliver a message to upstream and bring its answer whole, as far as that can be done safely.

docs/operating.md, When the site fails: what certainly did nothing is tried again, and what a broken stream did not
bring is read from the chat, since the site goes on writing.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TypeVar

from app.core.canonical import sent_digest
from app.core.events import Event, Finished, Picture, Started, TextDelta, VideoTask
from app.core.ports import ChatMessage, Prompt, Upstream
from app.core.surroundings import Patience
from app.errors import UpstreamBusy, UpstreamCut, UpstreamError, UpstreamTimeout, UpstreamUnreachable

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_SOON = 5.0  # seconds; a site that names a longer wait is not asked again behind the client's back


async def retrying(work: Callable[[], Awaitable[_T]], patience: Patience) -> _T:
    """Return what `work` returns, tried again where the site was not reached, or is busy and names no wait."""
    for number in range(patience.tries - 1):
        try:
            return await work()
        except (UpstreamBusy, UpstreamUnreachable) as problem:
            if not _did_nothing(problem):
                raise
            pause = patience.retry * 2**number * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, hides nothing
            _log.info("Trying again in %.1f s: %s", pause, problem)
        await asyncio.sleep(pause)
    return await work()


def _did_nothing(problem: UpstreamError) -> bool:
    if isinstance(problem, UpstreamUnreachable):
        return not problem.accepted and problem.cause in {"connect", "dns"}
    return not problem.accepted and (problem.retry_after or 0.0) <= _SOON


@asynccontextmanager
async def delivering(
    upstream: Upstream, prompt: Prompt, patience: Patience
) -> AsyncIterator[AsyncIterator[Sequence[Event]]]:
    """Send a message and stream its answer as `Upstream.send` does, with its errors, mended where possible."""
    async with AsyncExitStack() as stack:
        broken: UpstreamError | None = None
        batches: AsyncIterator[Sequence[Event]] | None = None
        try:
            batches = await retrying(lambda: stack.enter_async_context(upstream.send(prompt)), patience)
        except (UpstreamCut, UpstreamTimeout) as problem:
            if not problem.accepted:
                raise
            broken = problem
        mended = _mended(batches, broken, _ReadBack(upstream, prompt, patience))
        yield await stack.enter_async_context(aclosing(mended))


async def _mended(
    batches: AsyncIterator[Sequence[Event]] | None, broken: UpstreamError | None, chat: "_ReadBack"
) -> AsyncGenerator[Sequence[Event], None]:
    """Relay the batches; where they end too soon, the chat's copy of the answer takes their place."""
    while batches is not None and broken is None:
        try:
            batch = await anext(batches, None)
        except (UpstreamCut, UpstreamTimeout) as problem:
            broken = problem
            break
        if batch is None:
            return
        chat.heard(batch)
        if chat.is_empty_end(batch):
            rest = await chat.rest(patient=False)
            yield [event for event in batch if not isinstance(event, Finished)]
            yield rest or [Finished()]
            return
        yield batch
    if broken is not None:
        rest = await chat.rest(patient=isinstance(broken, UpstreamCut))
        if rest is None:
            raise broken
        yield rest


class _ReadBack:
    """What was heard of an answer, and its copy in the chat."""

    def __init__(self, upstream: Upstream, prompt: Prompt, patience: Patience) -> None:
        self._upstream = upstream
        self._prompt = prompt
        self._patience = patience
        self._response_id: str | None = None
        self._written: list[str] = []
        self._shown = False  # something that is no text

    def heard(self, batch: Sequence[Event]) -> None:
        """Remember what came."""
        for event in batch:
            if isinstance(event, TextDelta):
                self._written.append(event.text)
            elif isinstance(event, Started):
                self._response_id = event.response_id
            elif isinstance(event, Picture | VideoTask):
                self._shown = True

    def is_empty_end(self, batch: Sequence[Event]) -> bool:
        """Say whether the answer ended without anything."""
        ended = any(isinstance(event, Finished) for event in batch)
        return ended and not self._shown and not any(map(str.strip, self._written))

    async def rest(self, *, patient: bool) -> Sequence[Event] | None:
        """Return what was not heard of the answer, None where the chat has no whole one that begins as it did.

        An answer that is still being written is looked at for some time if `patient`.
        """
        written, waited = "".join(self._written), 0.0
        while True:
            try:
                messages = (await self._upstream.read_chat(self._prompt.chat_id)).messages
            except UpstreamError as why:
                _log.info("The answer in chat %s cannot be read back: %s", self._prompt.chat_id, why)
                return None
            answer = self._find(messages)
            if answer is None or answer.stopped or answer.error or not answer.text.startswith(written):
                return None
            if answer.finished:
                has_any = self._shown or answer.text.strip()
                return self._events(answer, answer.text[len(written) :]) if has_any else None
            if not patient or waited >= self._patience.read_back:
                return None
            await asyncio.sleep(self._patience.every)
            waited += self._patience.every

    def _find(self, messages: Sequence[ChatMessage]) -> ChatMessage | None:
        if self._response_id is not None:
            return next((message for message in messages if message.id == self._response_id), None)
        asked = sent_digest(self._prompt.text)
        for message in reversed(messages):
            follows = message.role == "user" and message.parent_id == self._prompt.parent_id
            if follows and sent_digest(message.text) == asked:
                return next((answer for answer in messages if answer.parent_id == message.id), None)
        return None

    def _events(self, answer: ChatMessage, rest: str) -> Sequence[Event]:
        _log.info("Chat %s: the stream broke; %d more characters are in the chat", self._prompt.chat_id, len(rest))
        text = [TextDelta(rest)] if rest else []
        return [Started(answer.id, answer.parent_id), *text, Finished()]

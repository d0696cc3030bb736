"""Deliver a message to upstream and bring its answer whole, as far as that can be done safely.

docs/operating.md, When the site fails: what certainly did nothing is tried again, and what a broken stream did not
bring is read from the chat, since the site goes on writing.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Self, TypeVar

from app.core.canonical import sent_digest, unsigned
from app.core.chat_copy import newest_answer
from app.core.events import Event, Finished, Picture, Sources, Started, TextDelta, VideoTask
from app.core.ports import Answering, ChatMessage, Prompt, Upstream
from app.core.surroundings import Patience
from app.errors import (
    StoreError,
    UpstreamBusy,
    UpstreamCut,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_T = TypeVar("_T")
Known = Callable[[], Awaitable[Collection[str]]]
"""Says which answers of the chat are stored, by response id. Raises StoreError."""

_log = logging.getLogger(__name__)
_MAY_DO_NOTHING = (UpstreamBusy, UpstreamUnreachable)
_MAY_BE_WRITING = (UpstreamCut, UpstreamProtocolError, UpstreamUnreachable)  # an answer, where it was accepted
_ANSWER_LOST = (UpstreamCut, UpstreamTimeout, UpstreamUnreachable)  # where it was accepted
PASSING = (UpstreamBusy, UpstreamTimeout, UpstreamUnreachable)
_SOON = 5.0  # seconds; a site that names a longer wait is not asked again behind the client's back


async def retrying(work: Callable[[], Awaitable[_T]], patience: Patience) -> _T:
    """Return what `work` returns, tried again where the site was not reached, or is busy for a moment."""
    try:
        return await work()
    except _MAY_DO_NOTHING as problem:
        return await _again(work, patience, problem)


async def _again(
    work: Callable[[], Awaitable[_T]], patience: Patience, problem: UpstreamBusy | UpstreamUnreachable
) -> _T:
    """Return what the further tries after a problem bring; raise the last one's."""
    for number in range(patience.tries - 1):
        if not _did_nothing(problem):
            break
        spread = random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, hides nothing
        pause = max(patience.retry * 2**number * spread, problem.retry_after or 0.0)
        _log.info("Trying again in %.1f s: %s", pause, problem)
        await asyncio.sleep(pause)
        try:
            return await work()
        except _MAY_DO_NOTHING as next_problem:
            problem = next_problem
    raise problem


def _did_nothing(problem: UpstreamError) -> bool:
    if isinstance(problem, UpstreamUnreachable):
        return not problem.accepted and problem.cause in {"connect", "dns"}
    return not problem.accepted and (problem.retry_after or 0.0) <= _SOON


async def deliver(upstream: Upstream, prompt: Prompt, patience: Patience, known: Known) -> "Delivery":
    """Send a message; return its answer, mended where possible. Raises what `Upstream.send` does.

    `known` is asked only where an answer has to be looked for: one that is stored is another message's.
    """
    try:
        answer = await retrying(lambda: upstream.send(prompt), patience)
    except UpstreamError as problem:
        if not problem.accepted:
            raise
        return Delivery(problem, upstream, prompt, patience, known)
    return Delivery(answer, upstream, prompt, patience, known)


class Delivery:
    """An answer on its way, as `core.ports.Answering`: where it ends too soon, the chat's copy takes its place."""

    def __init__(
        self, answer: Answering | UpstreamError, upstream: Upstream, prompt: Prompt, patience: Patience, known: Known
    ) -> None:
        """Take the answer, or the error that came in place of one that the site may be writing."""
        self._answer = answer
        self._upstream = upstream
        self._prompt = prompt
        self._patience = patience
        self._known = known
        self._heard: list[Sequence[Event]] = []
        self._rest: Iterator[Sequence[Event]] | None = None  # what takes the place of what did not come

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Event]:
        """Return the next batch."""
        if self._rest is None:
            try:
                if isinstance(self._answer, UpstreamError):
                    raise self._answer
                batch = await anext(self._answer)
            except UpstreamError as problem:
                if problem is not self._answer and not isinstance(problem, _ANSWER_LOST):
                    raise
                self._rest = iter([await self._read_back(problem)])
            else:
                self._heard.append(batch)
                if not isinstance(batch[-1], Finished) or any(map(_is_something, chain.from_iterable(self._heard))):
                    return batch
                self._rest = iter(await self._in_place_of_nothing(batch))
        for batch in self._rest:
            return batch
        raise StopAsyncIteration

    def close(self) -> None:
        """Let go of the connection."""
        if not isinstance(self._answer, UpstreamError):
            self._answer.close()

    async def _in_place_of_nothing(self, batch: Sequence[Event]) -> list[Sequence[Event]]:
        """Return what the chat has of an answer that ended without anything; `batch` is its last one."""
        rest = await self._copy().rest(patient=False)
        said = [event for event in batch if not isinstance(event, Finished)]
        return [*([said] if said else []), rest or [Finished()]]

    async def _read_back(self, problem: UpstreamError) -> Sequence[Event]:
        """Return what a broken stream did not bring; raise its problem if that cannot be had."""
        rest = await self._copy().rest(patient=isinstance(problem, _MAY_BE_WRITING))
        if rest is None:
            raise problem
        return rest

    def _copy(self) -> "_ReadBack":
        return _ReadBack(self._upstream, self._prompt, self._patience, self._known, chain.from_iterable(self._heard))


def _is_something(event: Event) -> bool:
    """Say whether an event makes an answer more than an empty one."""
    return bool(event.text.strip()) if isinstance(event, TextDelta) else isinstance(event, Picture | VideoTask)


class _ReadBack:
    """What was heard of an answer, and its copy in the chat."""

    def __init__(
        self, upstream: Upstream, prompt: Prompt, patience: Patience, known: Known, heard: Iterable[Event]
    ) -> None:
        self._upstream = upstream
        self._prompt = prompt
        self._patience = patience
        self._known = known
        self._response_id: str | None = None
        self._pictures: set[str] = set()
        self._is_filmed = False
        written: list[str] = []
        for event in heard:
            if isinstance(event, TextDelta):
                written.append(event.text)
            elif isinstance(event, Started):
                self._response_id = event.response_id
            elif isinstance(event, Picture):
                self._pictures.add(unsigned(event.url))
            elif isinstance(event, VideoTask):
                self._is_filmed = True
        self._written = "".join(written)

    async def rest(self, *, patient: bool) -> Sequence[Event] | None:
        """Return what was not heard of the answer, None where the chat has no whole one that begins as it did.

        If `patient`, an answer that is still being written is looked at for some time, and so is a site that fails.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + (self._patience.read_back if patient else 0.0)
        while True:
            pause = self._patience.every
            try:
                answer = await self._look()
            except (UpstreamError, StoreError) as why:
                _log.info("The answer in chat %s cannot be read back: %s", self._prompt.chat_id, why)
                if not isinstance(why, PASSING):
                    return None
                pause = max(pause, why.retry_after or 0.0)
            else:
                if answer is None or not self._is_ours(answer):
                    return None
                if self._is_film(answer):  # whether it is made yet, its task tells
                    return [Started(answer.id, answer.parent_id), VideoTask(answer.video_task), Finished()]
                if answer.finished:
                    has_any = self._pictures or self._is_filmed or answer.pictures or answer.text.strip()
                    return self._events(answer, answer.text[len(self._written) :]) if has_any else None
            if loop.time() + pause > ends:
                return None
            await asyncio.sleep(pause)

    async def _look(self) -> ChatMessage | None:
        """Return the answer as the chat has it now. Raises UpstreamError, StoreError."""
        known = () if self._response_id is not None else await self._known()
        messages = (await self._upstream.read_chat(self._prompt.chat_id)).messages
        if self._response_id is not None:
            return next((message for message in messages if message.id == self._response_id), None)
        return newest_answer(messages, self._prompt.parent_id, sent_digest(self._prompt.text), known)

    def _is_ours(self, answer: ChatMessage) -> bool:
        """Say whether what was heard is the beginning of this answer, and whether it may still become whole."""
        if answer.stopped or answer.error:
            return False
        return self._is_film(answer) or answer.text.startswith(self._written)

    def _is_film(self, answer: ChatMessage) -> bool:
        return self._prompt.mode == "video" and bool(answer.video_task)

    def _events(self, answer: ChatMessage, rest: str) -> Sequence[Event]:
        _log.info("Chat %s: the stream broke; %d more characters are in the chat", self._prompt.chat_id, len(rest))
        found = [Sources(answer.sources)] if answer.sources else []
        text = [TextDelta(rest)] if rest else []
        missing = [Picture(url) for url in answer.pictures if unsigned(url) not in self._pictures]
        return [Started(answer.id, answer.parent_id), *found, *text, *missing, Finished()]

"""One answer, from the place in its chat to the committed node (docs/sessions.md, Life of a turn)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from app.core.delivery import Delivery, deliver
from app.core.drafts import Draft
from app.core.events import AnswerEvent, Ended, Event, FinishReason, Usage, VideoTask
from app.core.ports import Prompt, SessionStore
from app.core.record import State, TurnRecord, until_written
from app.core.relay import Relay
from app.core.surroundings import Surroundings
from app.core.video import following
from app.core.watch import AnswerWatch
from app.errors import (
    ChatInProgress,
    GatewayError,
    ResponseFormatUnmet,
    StoreError,
    UpstreamEmpty,
    UpstreamError,
    is_left,
    reason_of,
)

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

Send = Callable[[Sequence[AnswerEvent]], Awaitable[None]]
"""Brings a batch of an answer to the client. Raises ConnectionError when the client is gone."""


class Turn:
    """Sends a draft, relays the answer, and records how it ended, whatever happens to the request meanwhile.

    A context once it has begun: left early it ends upstream, and what was written is kept. `recorded` is done when the
    end is, `closing` when upstream was told to stop besides, if need be; the chat is free again then.
    """

    def __init__(
        self,
        around: Surroundings,
        record: TurnRecord,
        relay: Relay,
        watch: AnswerWatch,
        *,
        retries: int,
        on_left: "Callable[[Turn, BaseException | None], None]",
    ) -> None:
        """`retries`: how often the model may be asked again; `on_left` is told when the context is left, and why."""
        self.recorded: asyncio.Future[None] | None = None
        self.closing: asyncio.Future[None] | None = None
        self.watch = watch
        self._around = around
        self._record = record
        self._relay = relay
        self._retries = retries
        self._on_left = on_left
        self._opening: asyncio.Future[None] | None = None
        self._delivery: Delivery | None = None
        self._first: Sequence[Event] = ()
        self._generating = False
        self._is_recorded = False
        self._asked = 0  # how often the model was asked again

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._on_left(self, problem)

    @property
    def draft(self) -> Draft:
        """What is being answered."""
        return self._record.draft

    @property
    def was_asked_again(self) -> bool:
        """Whether the model had to answer more than once."""
        return self._asked > 0

    @property
    def chat_id(self) -> str:
        """The chat on the site, "" until it is made."""
        return self._record.chat_id

    @property
    def account(self) -> str:
        """Whose the chat is, where this turn made it; "" where it was there."""
        return self._record.account

    @property
    def used(self) -> Usage | None:
        """Upstream's count of tokens so far, answers that could not be used included; None where it did not count."""
        return self._record.used

    async def begin(self) -> None:
        """Make the chat if need be, record the node, send the prompt and wait for upstream to accept it.

        Raises UpstreamError before anything was accepted, StoreError.
        """
        self._opening = self._record.open()
        await self._around.background.outlast(self._opening, "record a turn")
        prompt = self.draft.prompt
        await self._send_patiently(prompt if prompt.chat_id else replace(prompt, chat_id=self.chat_id))

    async def _send_patiently(self, prompt: Prompt) -> None:
        """Send a message; a lock that outlasts the answer before it is waited out."""
        waited = 0.0
        while True:
            try:
                await self._send(prompt)
                return
            except ChatInProgress as problem:
                if problem.accepted:
                    raise
                if waited >= self._around.patience.total:
                    break
            await asyncio.sleep(self._around.patience.every)
            waited += self._around.patience.every
        _log.info("Chat %s is still in progress after %.0f s; asking upstream to stop it", self.chat_id, waited)
        await self._stop()
        await self._send(prompt)

    async def _send(self, prompt: Prompt) -> None:
        self._generating = True
        self._relay.expect()
        try:
            around = self._around
            known = partial(_known_answers, around.store, self.chat_id)  # not this turn's own: it holds the delivery
            self._delivery = await deliver(around.upstream, prompt, around.patience, known)
            self._first = await anext(self._delivery)
        except UpstreamError as problem:
            self._generating = problem.accepted
            self.leave()
            raise

    async def answer(self, send: Send, prepare: Callable[[Ended], _T]) -> _T:
        """Relay the answer in batches; return what `prepare` makes of its end, once the node is committed.

        The client is told of the end only then; what tells it is made ready while the disk works. Raises UpstreamError
        and StoreError, and what `send` does; from now on the prompt counts as accepted.
        """
        out: list[AnswerEvent] = []
        while True:
            try:
                out = await self._one_answer(send)
            except UpstreamError as problem:
                out = self._without_this_answer(problem)
                break
            last, ask_again = self._relay.finish(may_ask=self._asked < self._retries)
            out += last
            if ask_again is None:
                break
            await self._pass_on(out, send)
            if not await self._ask_again(ask_again):
                out, _ = self._relay.finish(may_ask=False)
                break
            self._asked += 1
            self._relay.again()
        out += self._relay.last_words()
        await self._pass_on(out, send)  # the last words need not wait for the disk
        return await self._complete(prepare)

    def _without_this_answer(self, problem: UpstreamError) -> list[AnswerEvent]:
        """Return the last words of a turn whose answer failed, where what came before it will do; else raise that."""
        if self._relay.is_enough:
            _log.warning("The pictures that came are all there are: %s", problem)
            return []
        if not self._asked:
            raise problem
        _log.warning("Asked again, the model did not answer, so its answer is taken as it was: %s", problem)
        self._relay.restore()
        try:
            return self._relay.finish(may_ask=False)[0]
        except ResponseFormatUnmet as unmet:  # what the model would have answered is not known
            problem.accepted = True
            raise problem from unmet

    async def _pass_on(self, out: Sequence[AnswerEvent], send: Send) -> None:
        if out:
            self.watch.chunk()
            await send(out)

    async def _one_answer(self, send: Send) -> list[AnswerEvent]:
        """Relay one answer of the model; return its last words. Raises UpstreamEmpty for one without any text."""
        assert self._delivery is not None
        out: list[AnswerEvent] = []
        batch: Sequence[Event] | None = self._first
        while batch is not None:
            out = self._relay.read(batch)
            if self._relay.is_over:
                break
            await self._pass_on(out, send)
            out = []
            batch = await anext(self._delivery, None)
        video = None if self.draft.leaves_video else self._relay.video
        if self._relay.is_whole:
            self._generating = video is not None
        out += self._relay.rest()
        if self._relay.is_empty:
            raise UpstreamEmpty("The site ended its answer without any text.", cause="empty")
        if video is not None:
            await self._pass_on(out, send)
            out = await self._follow(video, send)
        return out

    async def _follow(self, video: VideoTask, send: Send) -> list[AnswerEvent]:
        """Tell how far a video is, return what shows where it is. Raises VideoFailed, UpstreamTimeout."""
        async with aclosing(following(self._around.upstream, video.task_id, self._around.patience)) as states:
            async for waited, state in states:
                if state.state == "succeeded":
                    self._generating = False
                    return self._relay.show_video(state.url)
                await self._pass_on(self._relay.show_progress(waited), send)
        return []

    async def _ask_again(self, text: str) -> bool:
        """Ask the model again in the same chat; return whether that was possible.

        What it said until now is recorded, but nothing continues from it.
        """
        _log.info("Chat %s: the answer cannot be used as it is, asking again", self.chat_id)
        prompt = replace(
            self.draft.prompt, chat_id=self.chat_id, parent_id=self._record.response_id, text=text, is_sibling=False
        )
        self.leave()
        try:
            await self._send_patiently(prompt)
        except UpstreamError as problem:
            _log.warning("The model could not be asked again, its answer is taken as it is: %s", problem)
            return False
        name = "record that the model was asked again"
        self._opening = self._around.background.spawn(self._record.follow_up(prompt), name, awaited=True)
        await self._around.background.outlast(self._opening, name)
        return True

    async def _complete(self, prepare: Callable[[Ended], _T]) -> _T:
        """Commit the node; a client that leaves now cannot cut that in half."""
        self._is_recorded = True
        committed = self.recorded = self.closing = self._close("complete", self._relay.reason, None)
        self.leave()  # the next request may have the connection
        try:
            prepared = prepare(Ended(self._relay.reason, self.used))
            await self._around.background.outlast(committed, "commit a node")
        except StoreError:
            self._is_recorded = False  # being abandoned is its second chance
            raise
        except BaseException:
            self._wind_up(self._see_written(committed, "complete", self._relay.reason, None), committed)
            raise
        if self._generating:
            self.closing = self._around.background.spawn(self._stop(), "stop a generation")
        return prepared

    def abandon(self, problem: BaseException) -> None:
        """The request is over before its answer: record what was written, and end the generation upstream."""
        problem = reason_of(problem)
        self.watch.failed(problem)
        if isinstance(problem, GatewayError) and self._record.response_id:
            problem.accepted = True
        if self._is_recorded or self._opening is None:
            return
        self._is_recorded = True
        self._wind_up(self._record_abandoned(problem), self._opening)

    def leave(self) -> None:
        """Close the connection to upstream."""
        if self._delivery is not None:
            self._delivery.close()

    async def _record_abandoned(self, problem: BaseException) -> None:
        assert self._opening is not None
        await asyncio.wait([self._opening])
        if self._record.is_open:
            error = "the client left" if is_left(problem) else str(problem) or type(problem).__name__
            state: State = "aborted" if self._record.text else "failed"
            await self._see_written(self._close(state, None, error), state, None, error)

    def _close(self, state: State, reason: FinishReason | None, error: str | None) -> asyncio.Future[None]:
        return self._record.close(state, reason, error, self._relay.call_ids)

    def _wind_up(self, recording: Coroutine[Any, Any, None], before: asyncio.Future[None]) -> None:
        """Have the end recorded, and have upstream stop meanwhile, after what comes `before`."""
        spawn = self._around.background.spawn
        self.recorded = spawn(recording, "record the end of a turn")
        self.closing = spawn(self._end_upstream(self.recorded, before), "end a turn")

    async def _end_upstream(self, recorded: asyncio.Future[None], before: asyncio.Future[None]) -> None:
        await asyncio.wait([before])
        if self._generating:
            await self._stop()
        await asyncio.wait([recorded])

    async def _see_written(
        self, written: asyncio.Future[None], state: State, reason: FinishReason | None, error: str | None
    ) -> None:
        """See that an end that is being written is recorded, however long the store fails."""
        await asyncio.wait([written])
        if written.exception() is not None:
            await until_written(lambda: self._close(state, reason, error))

    async def _stop(self) -> None:
        try:
            await self._around.upstream.stop(self.chat_id, self._relay.running_id)
        except UpstreamError as problem:
            _log.warning("The generation in chat %s could not be stopped: %s", self.chat_id, problem)


async def _known_answers(store: SessionStore, chat_id: str) -> Collection[str]:
    """Return the response ids of a chat's answers that are stored. Raises StoreError."""
    known = await store.known_chat(chat_id)
    return known.nodes.keys() if known is not None else ()

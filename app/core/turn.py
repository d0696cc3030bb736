"""One answer, from the place in its chat to the committed node (docs/sessions.md, Life of a turn)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self, TypeVar

from msgspec.structs import replace

from app.core.drafts import Draft
from app.core.events import AnswerEvent, Ended, Event, Usage, VideoTask
from app.core.generation import Generation
from app.core.record import TurnRecord
from app.core.relay import Relay
from app.core.surroundings import Surroundings
from app.core.turn_end import TurnEnd
from app.core.video import following
from app.core.watch import AnswerWatch
from app.errors import ResponseFormatUnmet, UpstreamEmpty, UpstreamError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

Send = Callable[[Sequence[AnswerEvent]], Awaitable[None]]
"""Brings a batch of an answer to the client. Raises ConnectionError when the client is gone."""


class Turn:
    """Sends a draft, relays the answer, and records how it ended, whatever happens to the request meanwhile.

    A context once it has begun: left early it ends upstream, and what was written is kept.
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
        self.watch = watch
        self._around = around
        self._record = record
        self._relay = relay
        self._retries = retries
        self._on_left = on_left
        self._generation = Generation(around, record, relay)
        self._end = TurnEnd(around, record, relay, self._generation, watch)
        self._asked = 0  # how often the model was asked again

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._on_left(self, problem)

    @property
    def recorded(self) -> "asyncio.Future[None] | None":
        """Done when the end is recorded, None before it is."""
        return self._end.recorded

    @property
    def closing(self) -> "asyncio.Future[None] | None":
        """Done when the chat is free again, None before the end."""
        return self._end.closing

    @property
    def draft(self) -> Draft:
        """What is being answered."""
        return self._record.draft

    @property
    def name(self) -> str:
        """The name of the answer: the id of its first node, also where the model is asked again."""
        return self._record.name

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
        self._end.opening = opening = self._record.open()
        await self._around.background.outlast(opening, "record a turn")
        prompt = self.draft.prompt
        await self._generation.begin(prompt if prompt.chat_id else replace(prompt, chat_id=self.chat_id))

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
        return await self._end.complete(prepare)

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
        out: list[AnswerEvent] = []
        batch: Sequence[Event] | None
        batch, rest = self._generation.heard()
        while batch is not None:
            out = self._relay.read(batch)
            if self._relay.is_over:
                break
            await self._pass_on(out, send)
            out = []
            batch = await anext(rest, None)
        video = None if self.draft.leaves_video else self._relay.video
        if self._relay.is_whole:
            self._generation.is_running = video is not None
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
                    self._generation.is_running = False
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
            await self._generation.begin(prompt)
        except UpstreamError as problem:
            _log.warning("The model could not be asked again, its answer is taken as it is: %s", problem)
            return False
        name = "record that the model was asked again"
        self._end.opening = opening = self._around.background.spawn(self._record.follow_up(prompt), name, awaited=True)
        await self._around.background.outlast(opening, name)
        return True

    def abandon(self, problem: BaseException) -> None:
        """The request is over before its answer: record what was written, and end the generation upstream."""
        self._end.abandon(problem)

    def leave(self) -> None:
        """Close the connection to upstream."""
        self._generation.leave()

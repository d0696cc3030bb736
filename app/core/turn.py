"""One answer, from the place in its chat to the committed node (docs/sessions.md, Life of a turn)."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from msgspec.structs import replace

from app.core.answer import AnswerEnd, AnswerFormat, Piece
from app.core.canonical import picture_text, video_text
from app.core.citations import CitationReader
from app.core.cut import Cut
from app.core.delivery import Delivery, deliver
from app.core.drafts import Draft
from app.core.events import (
    AnswerEvent,
    CallArguments,
    Ended,
    Event,
    Finished,
    FinishReason,
    Picture,
    ReasoningDelta,
    Sources,
    Started,
    TextDelta,
    Usage,
    UsageReport,
    VideoTask,
)
from app.core.ports import Prompt
from app.core.record import State, TurnRecord
from app.core.surroundings import Surroundings
from app.core.tools.scheme import SCHEME
from app.core.video import following
from app.core.watch import AnswerWatch
from app.errors import ChatInProgress, GatewayError, StoreError, UpstreamEmpty, UpstreamError
from app.log import Joined

_log = logging.getLogger(__name__)


class Turn:
    """Sends a draft, relays the answer, and records how it ended, whatever happens to the request meanwhile.

    `closing` is the task that records an abandoned turn; the chat is free again when it is done.
    """

    def __init__(
        self,
        around: Surroundings,
        draft: Draft,
        cut: Cut,
        written: AnswerFormat,
        citations: CitationReader,
        watch: AnswerWatch,
        *,
        retries: int = 0,
    ) -> None:
        self.closing: asyncio.Task[None] | None = None
        self._around = around
        self._record = TurnRecord(around, draft, watch)
        self._cut = cut
        self._format = written
        self._citations = citations
        self._watch = watch
        self._retries = retries
        self._opening: asyncio.Task[None] | None = None
        self._delivery: Delivery | None = None
        self._first: Sequence[Event] = ()
        self._shown = False  # whether there was a picture
        self._stands_apart = False  # whether a new paragraph begins with the next words
        self._video: VideoTask | None = None
        self._generating = False
        self._running_id: str | None = None  # of the answer that is being generated, once upstream told it
        self._is_recorded = False

    @property
    def draft(self) -> Draft:
        """What is being answered."""
        return self._record.draft

    @property
    def chat_id(self) -> str:
        """The chat on the site, "" until it is made."""
        return self._record.chat_id

    @property
    def used(self) -> Usage | None:
        """Upstream's count of tokens so far, answers that could not be used included; None where it did not count."""
        return self._record.used

    async def begin(self) -> None:
        """Make the chat if need be, record the node, send the prompt and wait for upstream to accept it.

        Raises UpstreamError before anything was accepted, StoreError.
        """
        await self._in_own_task(self._record.open(), "open a turn")
        prompt = self.draft.prompt
        await self._send_patiently(prompt if prompt.chat_id else replace(prompt, chat_id=self.chat_id))

    async def _send_patiently(self, prompt: Prompt) -> None:
        """Send a message; a lock that outlasts the answer before it is waited out."""
        waited = 0.0
        while True:
            try:
                await self._send(prompt)
                return
            except ChatInProgress:
                if waited >= self._around.patience.total:
                    break
            await asyncio.sleep(self._around.patience.every)
            waited += self._around.patience.every
        _log.info("Chat %s is still in progress after %.0f s; asking upstream to stop it", self.chat_id, waited)
        await self._stop()
        await self._send(prompt)

    async def _in_own_task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run what must come to its end even if the client leaves meanwhile: a chat that was made must be recorded."""
        self._opening = self._around.background.spawn(work, name, awaited=True)
        await asyncio.shield(self._opening)

    async def _send(self, prompt: Prompt) -> None:
        self._generating, self._running_id = True, None
        try:
            self._delivery = await deliver(self._around.upstream, prompt, self._around.patience)
            self._first = await anext(self._delivery)
        except UpstreamError as problem:
            self._generating = problem.accepted
            self.leave()
            raise

    async def answer(self) -> AsyncGenerator[list[AnswerEvent], None]:
        """Relay the answer in batches; the last one is `Ended`, when the node is committed.

        Raises UpstreamError and StoreError; from then on the prompt counts as accepted.
        """
        asked = 0
        while True:
            try:
                async for batch in self._one_answer():
                    self._watch.chunk()
                    yield batch
            except UpstreamError as problem:
                if not self._format.is_enough:
                    raise
                _log.warning("The pictures that came are all there are: %s", problem)
                break
            may_ask = asked < self._retries
            end = AnswerEnd(self._format.cut()) if self._cut.reason else self._format.finish(may_ask=may_ask)
            if out := self._said(end.pieces):
                self._watch.chunk()
                yield out  # the last words need not wait for the disk
            if end.ask_again is None:
                break
            if not await self._ask_again(end.ask_again):
                if out := self._said(self._format.finish(may_ask=False).pieces):
                    self._watch.chunk()
                    yield out
                break
            asked += 1
            self._format.again()
            self._citations.again()
        if out := self._last_words():
            self._watch.chunk()
            yield out
        reason: FinishReason = "tool_calls" if self._format.calls else self._cut.reason or "stop"
        await self._complete(reason)
        yield [Ended(reason, self.used)]

    async def _one_answer(self) -> AsyncGenerator[list[AnswerEvent], None]:
        """Relay one answer of the model. Raises UpstreamEmpty for one without any text."""
        assert self._delivery is not None
        out: list[AnswerEvent] = []
        batch: Sequence[Event] | None = self._first
        while batch is not None:
            whole = self._relay(batch, out)
            if whole or self._cut.reason:
                break
            if out:
                yield out
                out = []
            batch = await anext(self._delivery, None)
        if rest := self._cut.rest():
            self._hear(rest, out)
        _log.debug("The model wrote in chat %s:\n%s", self.chat_id, Joined(self._record.heard))
        if not self._cut.reason and not self._has_content:
            raise UpstreamEmpty("The site ended its answer without any text.", cause="empty")
        if out:
            yield out
        if self._video is not None and not self.draft.leaves_video:
            async for out in self._follow(self._video):
                yield out

    @property
    def _has_content(self) -> bool:
        return self._shown or self._video is not None or any(piece.strip() for piece in self._record.heard)

    async def _follow(self, video: VideoTask) -> AsyncGenerator[list[AnswerEvent], None]:
        """Tell how far a video is, at last where it is. Raises VideoFailed, UpstreamTimeout."""
        async with aclosing(following(self._around.upstream, video.task_id, self._around.patience)) as states:
            async for waited, state in states:
                if state.state == "succeeded":
                    self._generating = False
                    out: list[AnswerEvent] = []
                    self._say_apart(video_text(state.url), out)
                    yield out
                elif self.draft.show_reasoning:
                    progress = ReasoningDelta(f"The video is being made ({waited:.0f} s).\n")
                    self._record.reasoning.append(progress.text)
                    yield [progress]

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
        await self._in_own_task(self._record.follow_up(prompt), "record that it was asked again")
        return True

    def _relay(self, batch: Sequence[Event], out: list[AnswerEvent]) -> bool:
        """Turn upstream's events into the client's; return whether the answer is whole."""
        for event in self._counted(batch):
            if isinstance(event, TextDelta):
                if text := self._cut.feed(event.text):
                    self._hear(text, out)
                if self._cut.reason:
                    return False
            elif isinstance(event, ReasoningDelta):
                if self.draft.show_reasoning:
                    self._record.reasoning.append(event.text)
                    out.append(event)
            elif isinstance(event, Picture):
                self._show(event, out)
            elif isinstance(event, Sources):
                self._citations.found(event.found)
            elif isinstance(event, VideoTask):
                self._video = event
                if self.draft.leaves_video:
                    out.append(event)
            elif isinstance(event, Started):
                self._record.response_id = self._running_id = event.response_id
            elif isinstance(event, Finished):
                self._generating = self._video is not None and not self.draft.leaves_video
                return True
        return False

    def _counted(self, batch: Sequence[Event]) -> Sequence[Event]:
        """Take the count of the batch first; under a limit, make one piece of the text that it stands for."""
        for event in batch:
            if isinstance(event, UsageReport):
                self._record.usage = event.usage
                self._cut.count(event.usage)
        return _joined(batch) if self._cut.is_limited else batch

    def _hear(self, text: str, out: list[AnswerEvent]) -> None:
        """Take the model's next words."""
        self._record.heard.append(text)
        self._say(self._format.feed(text), out)

    def _said(self, pieces: Sequence[Piece]) -> list[AnswerEvent]:
        """Send on the last of an answer."""
        out: list[AnswerEvent] = []
        self._say(pieces, out)
        self._write(self._citations.rest(), out)
        return out

    def _say(self, pieces: Sequence[Piece], out: list[AnswerEvent]) -> None:
        """Send on what became of the model's words."""
        for piece in pieces:
            if isinstance(piece, TextDelta):
                text = f"\n\n{piece.text}" if self._stands_apart and piece.text else piece.text
                self._stands_apart = self._stands_apart and not text
                self._write(self._citations.feed(text), out)
                continue
            self._write(self._citations.rest(), out)
            if isinstance(piece, CallArguments):
                _, name, arguments = self._format.calls[piece.index]
                self._record.text.append("\n\n" + SCHEME.write_call(name, arguments))
            out.append(piece)

    def _show(self, picture: Picture, out: list[AnswerEvent]) -> None:
        self._shown = True
        if self._format.take_picture():
            self._say_apart(picture_text(picture.url), out)
        out.append(picture)

    def _say_apart(self, text: str, out: list[AnswerEvent]) -> None:
        """Send a paragraph of its own, whatever is said before and after it."""
        self._stands_apart = bool(self._record.text)
        self._say([TextDelta(text)], out)
        self._stands_apart = True

    def _write(self, text: str, out: list[AnswerEvent]) -> None:
        if text:
            self._record.text.append(text)
            out.append(TextDelta(text))

    def _last_words(self) -> list[AnswerEvent]:
        out = self._said(())
        whole = bool(self._record.text) and not self._format.calls and not self._cut.reason
        if cited := self._citations.citations(whole=whole):
            out.append(cited)
        return out

    async def _complete(self, reason: FinishReason) -> None:
        """Commit the node in a task of its own, which a client that leaves now cannot cut in half."""
        self._is_recorded = True
        commit = self._around.background.spawn(self._close("complete", reason, None), "commit a node", awaited=True)
        self.closing = commit
        try:
            await asyncio.shield(commit)
        except StoreError:
            self._is_recorded = False  # being abandoned is its second chance
            raise
        finally:
            if self._generating and self._is_recorded:
                self.closing = self._around.background.spawn(self._stop(), "stop a generation")

    def abandon(self, problem: BaseException) -> None:
        """The request is over before its answer: record what was written, and end the generation upstream."""
        self._watch.failed(problem)
        if isinstance(problem, GatewayError) and self._record.response_id:
            problem.accepted = True
        if self._is_recorded or self._opening is None:
            return
        self._is_recorded = True
        self.closing = self._around.background.spawn(self._record_abandoned(problem), "record an abandoned turn")

    def leave(self) -> None:
        """Close the connection to upstream."""
        if self._delivery is not None:
            self._delivery.close()

    async def _record_abandoned(self, problem: BaseException) -> None:
        assert self._opening is not None
        await asyncio.wait([self._opening])
        if self._opening.cancelled() or self._opening.exception() is not None:
            return
        left = isinstance(problem, asyncio.CancelledError | ConnectionError | GeneratorExit)
        error = "the client left" if left else str(problem) or type(problem).__name__
        try:
            await self._close("aborted" if self._record.text else "failed", None, error)
        finally:
            if self._generating:
                await self._stop()

    async def _close(self, state: State, reason: FinishReason | None, error: str | None) -> None:
        await self._record.close(state, reason, error, tuple(call_id for call_id, _, _ in self._format.calls))

    async def _stop(self) -> None:
        try:
            await self._around.upstream.stop(self.chat_id, self._running_id)
        except UpstreamError as problem:
            _log.warning("The generation in chat %s could not be stopped: %s", self.chat_id, problem)


def _joined(batch: Sequence[Event]) -> list[Event]:
    """Return a batch with one piece of text in place of several that follow one another."""
    joined: list[Event] = []
    for event in batch:
        before = joined[-1] if joined else None
        if isinstance(event, TextDelta) and isinstance(before, TextDelta):
            joined[-1] = TextDelta(before.text + event.text)
        else:
            joined.append(event)
    return joined

"""After an unclean stop: read the answers that it cut back from upstream (docs/sessions.md, Recovery)."""

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from app.core.canonical import picture_text, video_text
from app.core.chat_copy import newest_answer
from app.core.citations import CitationReader, Marks
from app.core.history import turn_and_step
from app.core.keys import Keys
from app.core.ports import ChatMessage, NodeEnd, OpenNode
from app.core.surroundings import NO_ANSWER, Surroundings
from app.errors import ChatGone, StoreError, UpstreamError

_log = logging.getLogger(__name__)


class RecoveryPace(Struct, frozen=True):
    """Seconds between two looks at an answer that is still being written, and between two tries while the site fails.

    An answer is looked at `looks` times; the wait between tries doubles up to `most`.
    """

    look: float = 1.0
    looks: int = 5
    retry: float = 5.0
    most: float = 600.0


class Recovery:
    """Completes or closes the nodes that a stop left open, beside the server's work."""

    def __init__(self, around: Surroundings, nodes: Sequence[OpenNode], pace: RecoveryPace, marks: Marks) -> None:
        """`marks` is what becomes of an answer's citations."""
        self._around = around
        self._upstream = around.upstream
        self._store = around.store
        self._clock = around.clock
        self._open = list(nodes)
        self._pace = pace
        self._marks = marks
        self._taken: set[str] = set()  # answers of the site that are some node's already
        self._tried = asyncio.Event()
        if not nodes:
            self._tried.set()

    def is_reading(self, chat_id: str) -> bool:
        """Say whether an answer of a chat is still to be read back; nothing may be said there meanwhile."""
        return any(node.chat_id == chat_id for node in self._open)

    async def settled(self, seconds: float) -> None:
        """Wait until every node was tried once, but no longer than that: the next request often continues one."""
        if not self._tried.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._tried.wait()
            except TimeoutError:
                _log.info("Answers that the last stop cut are still being read back; not waiting for them")

    async def run(self) -> None:
        """Work until no node is open; a site that cannot be reached is tried again and again."""
        if self._open:
            _log.warning("Answers that the last stop cut: %d; reading them back from upstream", len(self._open))
        wait = self._pace.retry
        while self._open:
            try:
                for node in list(self._open):
                    if await self._done(node):
                        self._open.remove(node)
            finally:
                self._tried.set()
            if self._open:
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._pace.most)

    async def _done(self, node: OpenNode) -> bool:
        try:
            await self._recover(node)
        except (UpstreamError, StoreError) as problem:
            _log.info("A cut answer in chat %s cannot be read back yet: %s", node.chat_id, problem)
            return False
        return True

    async def _recover(self, node: OpenNode) -> None:
        """Record what became of one answer. Raises UpstreamError while that cannot be known."""
        if node.account != await self._upstream.account_now():
            await self._close(node, "its chat belongs to another account")
            return
        try:
            answer = await self._read(node)
        except ChatGone as gone:
            if node.account != await self._upstream.account_now():
                raise  # it was another account's token that did not find it
            await self._close(node, str(gone))
            await self._store.forget(node.session_id, str(gone), self._clock.now())
            return
        text, problem = "", None
        if answer is None:
            problem = "the message never reached the site"
        elif not (text := _joined(node.said, self._written(answer))).strip():
            text, problem = "", "interrupted by a restart, without any text"
        await self._close(node, problem, answer, text)
        if problem is not None and node.parent_response_id is None and not node.known_responses:
            await self._around.let_go(node.session_id, NO_ANSWER)  # its client begins another one

    async def _read(self, node: OpenNode) -> ChatMessage | None:
        """Return the node's answer; one that is still being written is stopped, so that the chat is free again."""
        chat, known = await self._upstream.read_chat(node.chat_id), node.known_responses | self._taken
        answer = newest_answer(chat.messages, node.parent_response_id, node.sent_digest, known)
        for _ in range(self._pace.looks):
            if answer is None or answer.finished:
                break
            await self._upstream.stop(node.chat_id, answer.id)
            await asyncio.sleep(self._pace.look)
            chat = await self._upstream.read_chat(node.chat_id)
            answer = next((message for message in chat.messages if message.id == answer.id), None)
        return answer

    async def _close(
        self, node: OpenNode, error: str | None, answer: ChatMessage | None = None, text: str = ""
    ) -> None:
        turn = step_key = told = None
        if text and (node.answered is not None or node.opens_turn):
            keys = Keys.of(node.owner, node.account)
            turn, step_key = turn_and_step(
                keys, node.before_key, node.user_key, node.answered or "", text, node.results
            )
            told = node.told.after_answer(text, ())
        whole = answer is not None and answer.finished and not answer.stopped
        state: Literal["complete", "aborted", "failed"] = "failed" if not text else "complete" if whole else "aborted"
        end = NodeEnd(
            node_id=node.node_id,
            state=state,
            response_id=answer.id if answer else None,
            answer_text=text,
            reasoning_text=answer.reasoning if answer else "",
            finish_reason="stop" if state == "complete" else None,
            error=error,
            turn=turn,
            step_key=step_key,
            input_tokens=None,
            output_tokens=None,
            told=told,
            recovered=bool(text),
        )
        await self._store.finish_turn(end, self._clock.now())
        if answer is not None:
            self._taken.add(answer.id)
        _log.info("%s: an answer that the last stop cut is %s%s", node.session_id, state, f": {error}" if error else "")

    def _written(self, answer: ChatMessage) -> str:
        """Return an answer as the client would have been sent it: a video as a link, each picture a paragraph."""
        reader = CitationReader(self._marks)
        reader.found(answer.sources)
        is_video = answer.video_task and re.fullmatch(r"https?://\S+", answer.text)
        text = video_text(answer.text) if is_video else reader.feed(answer.text) + reader.rest()
        return "\n\n".join([*([text] if text else []), *map(picture_text, answer.pictures)])


def _joined(said: str, rest: str) -> str:
    """Return what the client was sent in all, were it not cut; answers to two questions stand apart."""
    return f"{said.rstrip()}\n\n{rest}" if said and rest else said or rest

"""What is kept of one turn: its chat and node, what was said, and how it ended."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Literal

from msgspec.structs import replace

from app.core.canonical import sent_digest
from app.core.delivery import retrying
from app.core.drafts import Draft
from app.core.events import FinishReason, Usage
from app.core.ids import new_hex
from app.core.ports import ASKED_AGAIN, NewSession, NodeEnd, Prompt
from app.core.surroundings import NO_ANSWER, Surroundings
from app.core.watch import AnswerWatch
from app.errors import StoreError, UpstreamError

_log = logging.getLogger(__name__)
_AGAIN_SECONDS = 1.0  # sooner than the next request gives up waiting for the end of the answer before it
State = Literal["complete", "aborted", "failed"]


class TurnRecord:
    """Collects what a turn says and writes it to the store; `draft` is that of the message that is being answered.

    `name` is that of the answer, which stays the same where the model is asked again.
    `text` is what the client was sent, calls in the form that the model is taught; `heard` is what the model said in
    its last answer. `response_id` and `usage` are upstream's, of the last answer that is not taken back; `account` is
    whose a new chat is.
    """

    def __init__(self, around: Surroundings, draft: Draft, watch: AnswerWatch) -> None:
        self.draft = draft
        self.name = draft.node.id
        self.chat_id = draft.prompt.chat_id
        self.account = draft.session.account if draft.session is not None else ""
        self.response_id: str | None = None
        self.text: list[str] = []
        self.heard: list[str] = []
        self.reasoning: list[str] = []
        self.usage: Usage | None = None
        self._spent: Usage | None = None  # on answers that could not be used
        self._before: tuple[str | None, Usage | None, Usage | None] = (None, None, None)  # the same, an answer ago
        self._opened: asyncio.Future[None] | None = None
        self._around = around
        self._watch = watch

    @property
    def used(self) -> Usage | None:
        """Upstream's count of tokens so far, answers that could not be used included; None where it did not count."""
        return _sum(self.usage, self._spent) if self.usage else None

    @property
    def is_open(self) -> bool:
        """Whether the node was recorded, so that its end must be."""
        opened = self._opened
        return opened is not None and opened.done() and not opened.cancelled() and opened.exception() is None

    def open(self) -> asyncio.Future[None]:
        """Have the node recorded, in a new chat if need be; under way when this returns.

        What it returns raises UpstreamError, StoreError. A chat that was made must be recorded, whoever waits for it.
        """
        session = self.draft.session
        if session is None:
            self._opened = self._around.store.open_turn(self.draft.node, None, self._around.clock.now())
        else:
            self._opened = self._around.background.spawn(self._open_chat(session), "open a chat", awaited=True)
        return self._opened

    async def _open_chat(self, session: NewSession) -> None:
        prompt, upstream = self.draft.prompt, self._around.upstream
        self.account = account = await upstream.account_now()  # another's token may have come since it was drafted
        make = partial(upstream.create_chat, prompt.model, prompt.mode, account)
        self.chat_id = await retrying(make, self._around.patience)
        session = replace(session, chat_id=self.chat_id, account=account)
        try:
            await self._around.store.open_turn(self.draft.node, session, self._around.clock.now())
        except StoreError:  # nobody would ever find or delete it
            await self._discard_chat(account)
            raise

    async def _discard_chat(self, account: str) -> None:
        try:
            await self._around.upstream.delete_chat(self.chat_id, account)
        except UpstreamError as problem:
            _log.warning("Chat %s could not be recorded, nor deleted on the site: %s", self.chat_id, problem)

    async def follow_up(self, prompt: Prompt) -> None:
        """End the node of an answer that could not be used, and open one for what the model is asked now.

        Raises StoreError; a node that could not be ended is the turn's still.
        """
        node = self.draft.node
        next_node = replace(
            node,
            id=f"node_{new_hex()}",
            parent_id=node.id,
            depth=node.depth + 1,
            user_text=prompt.text,
            sent_text=None,
            sent_digest=sent_digest(prompt.text),
            opens_turn=False,
            rows=(),
            said="".join(self.text),
        )
        now = self._around.clock.now()
        end = self._end("complete", "stop", ASKED_AGAIN, "".join(self.heard), None)
        await self._around.store.finish_turn(end, now)
        self.draft = replace(self.draft, node=next_node, prompt=prompt, show_reasoning=False)
        self._before = self.response_id, self.usage, self._spent
        self.heard, self.reasoning, self.response_id = [], [], None
        self._spent = self.used
        self.usage = None
        self._opened = self._around.store.open_turn(next_node, None, now)
        await self._opened

    def restore(self) -> None:
        """Take back the answer that is being recorded: its node is to be continued from the answer before it."""
        failed = self.usage
        self.response_id, self.usage, spent = self._before
        self._spent = _sum(failed, spent)

    def close(
        self, state: State, reason: FinishReason | None, error: str | None, calls: tuple[str, ...]
    ) -> asyncio.Future[None]:
        """Have the node's end written; under way when this returns. What it returns raises StoreError."""
        now = self._around.clock.now()
        end = self._end(state, reason, error, "".join(self.text), calls)
        written = self._around.store.finish_turn(end, now)
        written.add_done_callback(partial(self._closed, state, now))
        return written

    def _end(
        self, state: State, reason: FinishReason | None, error: str | None, text: str, calls: tuple[str, ...] | None
    ) -> NodeEnd:
        """Return the node's end; without `calls` nothing is to continue from it, nor without text or upstream's id."""
        draft, used = self.draft, self.usage
        turn, step_key, told = None, None, None
        if text and self.response_id and calls is not None:
            turn, step_key = draft.history.keys_of(text)
            told = draft.node.told.after_answer(text, calls)
        return NodeEnd(
            node_id=draft.node.id,
            state=state,
            response_id=self.response_id,
            answer_text=text,
            reasoning_text="".join(self.reasoning),
            finish_reason=reason,
            error=error,
            turn=turn,
            step_key=step_key,
            told=told,
            input_tokens=used.input_tokens if used else None,
            output_tokens=used.output_tokens if used else None,
            calls=calls if turn and calls else (),
            scope=draft.history.keys.root,
        )

    def _closed(self, state: State, now: datetime, written: asyncio.Future[None]) -> None:
        """The end is written, if it is: say so, and see to a new chat."""
        if written.cancelled() or written.exception() is not None:
            return
        used = self.usage
        if (all_used := self.used) is not None:
            self._watch.spent(all_used, whole=state == "complete")
        if _log.isEnabledFor(logging.INFO):
            node = self.draft.node
            counted = f"{used.input_tokens} + {used.output_tokens} tokens" if used else "tokens not counted"
            _log.info("%s (%s), %s: %s, %s", node.session_id, node.match, node.model, state, counted)
        session = self.draft.session
        if session is None:
            return
        if session.delete_because or state == "failed":
            _ = self._around.background.spawn(self._let_go(session, now), "have a chat deleted")
        elif self.draft.node.sent_text is not None:  # the site makes its title of what it was sent
            self._around.on_chat_named(self.chat_id, session.title)

    async def _let_go(self, session: NewSession, now: datetime) -> None:
        """Have a new chat deleted that is not to stay or got no answer."""
        around = self._around
        if session.delete_because:
            await until_written(lambda: around.store.release(session.id, now + around.deletion_delay))
            around.on_chat_released()
        else:
            await until_written(lambda: around.let_go(session.id, NO_ANSWER))


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    """Return two counts together, as far as there are any."""
    return one + other if one and other else one or other


async def until_written(write: Callable[[], Awaitable[None]]) -> None:
    """Have something written, tried again for as long as the store's fault may pass. Raises StoreError for another."""
    is_told = False
    while True:
        try:
            await write()
        except StoreError as problem:
            if problem.retry_after is None:
                raise
            if not is_told:
                _log.warning("What became of an answer is not stored so far: %s", problem)
            is_told = True
        else:
            return
        await asyncio.sleep(_AGAIN_SECONDS)

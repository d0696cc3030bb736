"""What is kept of one turn: its chat and node, what was said, and how it ended."""

import logging
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from app.core.canonical import sent_digest
from app.core.delivery import retrying
from app.core.drafts import Draft
from app.core.events import Usage
from app.core.ids import new_hex
from app.core.ports import NodeEnd, Prompt
from app.core.surroundings import Surroundings
from app.core.watch import AnswerWatch
from app.errors import StoreError, UpstreamError

_log = logging.getLogger(__name__)
State = Literal["complete", "aborted", "failed"]


class TurnRecord:
    """Collects what a turn says and writes it to the store; `draft` is that of the message that is being answered.

    `text` is what the client was sent, calls in the form that the model is taught; `heard` is what the model said in
    its last answer. `response_id` and `usage` are upstream's, of the last answer.
    """

    def __init__(self, around: Surroundings, draft: Draft, watch: AnswerWatch) -> None:
        self.draft = draft
        self.chat_id = draft.prompt.chat_id
        self.response_id: str | None = None
        self.text: list[str] = []
        self.heard: list[str] = []
        self.reasoning: list[str] = []
        self.usage: Usage | None = None
        self._spent: Usage | None = None  # on answers that could not be used
        self._around = around
        self._watch = watch

    @property
    def used(self) -> Usage | None:
        """Upstream's count of tokens so far, answers that could not be used included; None where it did not count."""
        return self.usage + self._spent if self.usage and self._spent else self.usage

    async def open(self) -> None:
        """Make the chat if need be, and record the node. Raises UpstreamError, StoreError."""
        session = self.draft.session
        if session is not None:
            prompt, upstream = self.draft.prompt, self._around.upstream
            self.chat_id = await retrying(
                lambda: upstream.create_chat(prompt.model, prompt.mode), self._around.patience
            )
            account = self._around.upstream.account_name()  # as it is now: the token may have been replaced
            session = replace(session, chat_id=self.chat_id, account=account)
        try:
            await self._around.store.open_turn(self.draft.node, session, self._around.clock.now())
        except StoreError:
            if session is not None:  # nobody would ever find or delete it
                await self._discard_chat()
            raise

    async def _discard_chat(self) -> None:
        try:
            await self._around.upstream.delete_chat(self.chat_id)
        except UpstreamError as problem:
            _log.warning("Chat %s could not be recorded, nor deleted on the site: %s", self.chat_id, problem)

    async def follow_up(self, prompt: Prompt) -> None:
        """End the node of an answer that could not be used, and open one for what the model is asked now."""
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
        )
        end = self._end("complete", "stop", "asked again", "".join(self.heard))
        self.draft = replace(self.draft, node=next_node, prompt=prompt, show_reasoning=False)
        self.heard, self.reasoning, self.response_id = [], [], None
        self._spent = self.used
        self.usage = None
        now = self._around.clock.now()
        await self._around.store.finish_turn(end, now)
        await self._around.store.open_turn(next_node, None, now)

    async def close(self, state: State, reason: str | None, error: str | None, calls: tuple[str, ...]) -> None:
        """Write the node's end, and let a chat that is to be deleted go. Raises StoreError."""
        now = self._around.clock.now()
        text = "".join(self.text)
        turn, step_key = self.draft.history.keys_of(text) if text and self.response_id else (None, None)
        calls = calls if turn else ()
        end = replace(
            self._end(state, reason, error, text),
            turn=turn,
            step_key=step_key,
            told=self.draft.node.told.after_answer(text, calls) if turn else None,
            calls=calls,
            scope=self.draft.history.keys.root,
        )
        await self._around.store.finish_turn(end, now)
        if (all_used := self.used) is not None:
            self._watch.spent(all_used, whole=state == "complete")
        node, used = self.draft.node, self.usage
        counted = f"{used.input_tokens} + {used.output_tokens} tokens" if used else "tokens not counted"
        _log.info("%s (%s), %s: %s, %s", node.session_id, node.match, node.model, state, counted)
        await self._let_go(state, now)

    def _end(self, state: State, reason: str | None, error: str | None, text: str) -> NodeEnd:
        """Return the end of a node that nothing continues from."""
        return NodeEnd(
            node_id=self.draft.node.id,
            state=state,
            response_id=self.response_id,
            answer_text=text,
            reasoning_text="".join(self.reasoning),
            finish_reason=reason,
            error=error,
            turn=None,
            step_key=None,
            input_tokens=self.usage.input_tokens if self.usage else None,
            output_tokens=self.usage.output_tokens if self.usage else None,
        )

    async def _let_go(self, state: State, now: datetime) -> None:
        """Have a new chat deleted that is not to stay or got no answer, else named."""
        session = self.draft.session
        if session is None:
            return
        due = now + self._around.deletion_delay
        if session.delete_because:
            await self._around.store.release(session.id, due)
        elif state == "failed":
            await self._around.store.doom(session.id, "no answer", now, due)
        else:
            if self.draft.node.sent_text is not None:  # the site makes its title of what it was sent
                self._around.on_chat_named(self.chat_id, session.title)
            return
        self._around.on_chat_released()

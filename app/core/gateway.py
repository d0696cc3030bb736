"""The use case: a stateless request finds its place in a stateful chat and is answered there (docs/sessions.md)."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.core.admission import Admission
from app.core.answer import answer_format, answer_instructions
from app.core.budget import check_budget
from app.core.catalog import ModelCatalog
from app.core.cut import Cut
from app.core.drafts import IS_DELETE, SIDE_CALL, Draft, continuation, opening
from app.core.history import History, read_history
from app.core.known_texts import KnownTexts
from app.core.ladder import Found, Ladder
from app.core.messages import ChatRequest
from app.core.recovery import Recovery
from app.core.side_calls import side_call, what_is_asked
from app.core.surroundings import Surroundings
from app.core.tools.call_ids import new_call_id
from app.core.tools.results import shortened
from app.core.tools.scheme import SCHEME
from app.core.turn import Turn
from app.core.watch import AnswerWatch
from app.errors import ChatGone, ChatInProgress, ParentUnknown

_log = logging.getLogger(__name__)
_SETTLE_SECONDS = 3.0
_MOST_KNOWN = 20_000  # texts; some 5 MB


@dataclass(frozen=True, slots=True)
class Policy:
    """What the server's owner decided.

    Bytes and tokens of one message, whether chats outlive their answer, whether a client that trims its window is
    recognised by its last turns, bytes of one tool result, and how often a model is asked again for an answer that
    cannot be used.
    """

    body_budget: int
    max_input_tokens: int
    is_delete: bool
    window_match: bool
    result_budget: int
    tool_retries: int


class Gateway:
    """Answers requests. Owns which chats are busy with a live answer; everything else is in the store."""

    def __init__(
        self,
        around: Surroundings,
        catalog: ModelCatalog,
        admission: Admission,
        recovery: Recovery,
        policy: Policy,
    ) -> None:
        self._around = around
        self._recovery = recovery
        self._catalog = catalog
        self._admission = admission
        self._policy = policy
        self._ladder = Ladder(around.store, window=policy.window_match)
        self._known_texts = KnownTexts(_MOST_KNOWN)
        self._live: set[Turn] = set()

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return self._admission.waiting

    @property
    def running(self) -> int:
        """How many answers are being generated."""
        return self._admission.running

    @asynccontextmanager
    async def answer(self, request: ChatRequest) -> AsyncIterator[Turn]:
        """Begin the answer to a request; leaving the context early ends it upstream and keeps what was written.

        Raises GatewayError subclasses on entry, before upstream accepted anything.
        """
        with AnswerWatch(self._around.meter, self._around.clock) as watch:
            async with self._admission.slot():
                turn = await self._start(request, watch)
                watch.placed(turn.draft.node.match)
                try:
                    yield turn
                except BaseException as problem:
                    turn.abandon(problem)
                    raise
                finally:
                    self._part_with(turn)

    async def _start(self, request: ChatRequest, watch: AnswerWatch) -> Turn:
        """Continue in the chat that knows this history; if there is none, or it is lost or busy, open a new one."""
        choice = await self._catalog.choose(request.model)
        watch.chosen(choice.info.id if choice.info is not None else None)
        account = self._around.upstream.account().account
        shape = side_call(request)
        messages = what_is_asked(request.messages) if shape else request.messages
        messages = shortened(messages, self._policy.result_budget)
        taught = answer_instructions(request, SCHEME)
        history = read_history(messages, request.owner, account, taught, known=self._known_texts)
        delete_because = IS_DELETE if self._policy.is_delete else SIDE_CALL if shape else None
        if shape:
            _log.info("A side call (%s), answered in a chat of its own", shape)
        found = None if delete_because else await self._find(history, request.owner)
        if found is not None:
            place = found.place
            try:
                return await self._begin(continuation(request, choice, found), request, watch)
            except (ChatGone, ParentUnknown) as lost:
                _log.warning("Session %s is lost upstream, replaying into a new chat: %s", place.session_id, lost)
                await self._around.store.forget(place.session_id, str(lost), self._around.clock.now())
            except ChatInProgress:
                _log.warning("Chat %s stays in progress upstream, replaying into a new chat", place.chat_id)
        return await self._begin(opening(request, choice, history, account, delete_because), request, watch)

    async def _find(self, history: History, owner: str) -> Found | None:
        """Look up the place, and say in the log why it is this one. A chat that is busy does not count."""
        if history.anchors:
            await self._settle(owner)
        search = await self._ladder.find(history)
        if search.found is None:
            _log.info("Place: %s", search)
            return None
        place = search.found.place
        if any(turn.chat_id == place.chat_id for turn in self._live):
            _log.info("Place: new (%s: chat %s is busy with another answer)", search.found.rung, place.chat_id)
            return None
        if self._recovery.is_reading(place.chat_id):
            _log.info("Place: new (%s: an answer in chat %s is still read back)", search.found.rung, place.chat_id)
            return None
        _log.info("Place: %s in %s", search, place.session_id)
        return search.found

    async def _settle(self, owner: str) -> None:
        """Let answers that were just given up or cut be recorded first: the next request often continues one."""
        await self._recovery.settled(_SETTLE_SECONDS)
        closing = [turn.closing for turn in self._live if turn.closing and turn.draft.owner == owner]
        if closing:
            await asyncio.wait(closing, timeout=_SETTLE_SECONDS)

    async def _begin(self, draft: Draft, request: ChatRequest, watch: AnswerWatch) -> Turn:
        check_budget(draft.prompt.text, body_budget=self._policy.body_budget, max_tokens=self._policy.max_input_tokens)
        written = answer_format(request, SCHEME, new_call_id)
        cut = Cut(request.stop, request.max_tokens)
        turn = Turn(self._around, draft, cut, written, watch, retries=self._policy.tool_retries)
        self._live.add(turn)
        try:
            await turn.begin()
        except BaseException as problem:
            turn.abandon(problem)
            self._part_with(turn)
            raise
        return turn

    def _part_with(self, turn: Turn) -> None:
        """Close the turn's connection; its chat is free once the turn is recorded, and stopped upstream if need be."""
        _ = self._around.background.spawn(turn.leave(), "close a connection to upstream")
        if turn.closing is None or turn.closing.done():
            self._live.discard(turn)
        else:
            turn.closing.add_done_callback(lambda _: self._live.discard(turn))

"""The use case: a stateless request finds its place in a stateful chat and is answered there (docs/sessions.md)."""

import logging
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from app.core.admission import Admission
from app.core.answer_form import answer_format, answer_instructions, refuse_unfit
from app.core.attaching import Attached, Attaching
from app.core.catalog import Choice, ModelCatalog
from app.core.citations import CitationReader
from app.core.cut import Cut
from app.core.drafts import IS_DELETE, SIDE_CALL, Draft, continuation, opening
from app.core.finding import Finder
from app.core.following import found_after, past_of, pictured
from app.core.histories import Histories
from app.core.history import History
from app.core.ladder import Found, Search
from app.core.live_turns import LiveTurns
from app.core.messages import ChatRequest
from app.core.policy import Policy
from app.core.record import TurnRecord
from app.core.recovery import Recovery
from app.core.relay import Relay
from app.core.side_calls import side_call, what_is_asked
from app.core.surroundings import Surroundings
from app.core.telling import Telling, what_to_tell
from app.core.token_scale import TokenScale
from app.core.tools.call_ids import new_call_id
from app.core.tools.results import shortened
from app.core.tools.scheme import SCHEME
from app.core.turn import Turn
from app.core.uploads import Uploads
from app.core.watch import AnswerWatch
from app.errors import (
    ChatFull,
    ChatGone,
    ChatInProgress,
    FileUnreadable,
    InvalidRequest,
    ParentUnknown,
)

_log = logging.getLogger(__name__)
_MOST_READ = 4_000_000  # bytes; thirty conversations of a hundred turns


class _Asked(Struct, frozen=True, gc=False):
    """A request, and what was decided about it: the model, the account whose chats it is looked for in.

    `shape` is the side call that it is, `delete_because` the reason to delete its chat afterwards.
    """

    request: ChatRequest
    choice: Choice
    account: str
    watch: AnswerWatch
    shape: str | None
    delete_because: str | None


class Gateway:
    """Answers requests. Owns the turns that are under way; everything else is in the store."""

    def __init__(
        self,
        around: Surroundings,
        catalog: ModelCatalog,
        admission: Admission,
        recovery: Recovery,
        attaching: Attaching,
        uploads: Uploads,
        policy: Policy,
    ) -> None:
        self._around = around
        self._catalog = catalog
        self._admission = admission
        self._attaching = attaching
        self._uploads = uploads
        self._scale = TokenScale()
        self._policy = policy
        self._histories = Histories(_MOST_READ)
        self._live = LiveTurns()
        self._finder = Finder(around.store, recovery, self._live, window=policy.window_match)

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return self._admission.waiting

    @property
    def running(self) -> int:
        """How many answers are being generated."""
        return self._admission.running

    async def is_writing(self, name: str, owner: str) -> bool:
        """Say whether an owner's answer with this name is still being written."""
        return await self._finder.is_writing(name, owner)

    async def answer(self, request: ChatRequest) -> Turn:
        """Begin the answer to a request; the caller enters the turn that comes back as a context, at once.

        Raises GatewayError subclasses before upstream accepted anything.
        """
        watch = AnswerWatch(self._around.meter, self._around.clock)
        try:
            await self._admission.enter()
            try:
                turn = await self._start(request, watch)
            except BaseException:
                self._admission.leave()
                raise
        except BaseException as problem:
            watch.close(problem)
            raise
        watch.placed(turn.draft.node.match)
        return turn

    def _left(self, turn: Turn, problem: BaseException | None) -> None:
        """A request is over, well or not."""
        try:
            if problem is not None:
                turn.abandon(problem)
            elif not turn.was_asked_again:  # else the count is of two answers
                self._scale.learn(turn.draft.prompt.model, turn.draft.weight, turn.used)
            self._live.part_with(turn)
        finally:
            self._admission.leave()
            turn.watch.close(problem)

    async def _start(self, request: ChatRequest, watch: AnswerWatch) -> Turn:
        """Continue in the chat that knows this history; if there is none, or it is lost or busy, open a new one."""
        choice = await self._catalog.choose(request.model, request.mode)
        watch.chosen(choice.info.id if choice.info is not None else None)
        refuse_unfit(request, choice)
        account = await self._around.upstream.account_now()
        shape = _shape(request)
        messages = what_is_asked(request.messages) if shape else request.messages
        messages = shortened(messages, self._policy.result_budget)
        taught = answer_instructions(request, SCHEME)
        read = partial(
            self._histories.read,
            owner=request.owner,
            account=account,
            taught=taught,
            instructions=request.instructions,
            keep=not shape and request.follows is None,
        )
        history = read(messages)
        delete_because = IS_DELETE if self._policy.is_delete else SIDE_CALL if shape else None
        if request.purpose == "video":
            delete_because = None  # the chat is where the video is
        if shape:
            _log.info("A side call (%s), answered in a chat of its own", shape)
        asked = _Asked(request, choice, account, watch, shape, delete_because)
        if request.follows is not None:
            return await self._follow(asked, request.follows, history)
        place = None if shape or delete_because else await self._finder.find(messages, history, read, request.owner)
        return await self._answer_at(asked, place, history)

    async def _follow(self, asked: _Asked, name: str, new: History) -> Turn:
        """Begin the answer to messages that follow one that the client named."""
        named = await self._finder.answer_named(name, asked.request.owner)
        found = await found_after(self._around.store, named, new, asked.request.owner)
        if asked.choice.mode == "image":
            found = replace(found, before=await pictured(self._around.store, named.place.node_id))
        place = None
        if asked.delete_because or not named.is_live or named.account != asked.account:
            _log.info("Place: new (named: the chat of %s cannot be continued)", name)
        else:
            place = await self._finder.free(Search(found, ()))
        return await self._answer_at(asked, place, found.history, found)

    async def _answer_at(
        self, asked: _Asked, place: Found | None, history: History, followed: Found | None = None
    ) -> Turn:
        """Begin the answer at a place; where there is none, or none any more, in a new chat that is told everything.

        Where the client named the answer that is `followed`, that is also what led to it.
        """
        going_on = None if place is None else await self._go_on(asked, place)
        if isinstance(going_on, Turn):
            return going_on
        request, choice = asked.request, asked.choice
        try:
            telling = what_to_tell(history, followed)
            attached = await self._attached(asked, telling)
            past = await past_of(self._around.store, followed) if followed is not None else None
            fits = partial(self._policy.fits, choice)
            because = asked.delete_because
            draft = opening(request, choice, history, telling, asked.account, because, attached, fits, past)
            return await self._begin(draft, asked)
        except InvalidRequest as problem:
            if going_on is not None:  # by it clients know that they sent too much
                raise going_on from problem
            raise

    async def _go_on(self, asked: _Asked, found: Found) -> Turn | ChatFull | None:
        """Begin the answer at a place. Return ChatFull or None where all has to be told to a new chat."""
        place = found.place
        try:
            telling = what_to_tell(found.history, found)
            attached = await self._attached(asked, telling)
            fits = partial(self._policy.fits, asked.choice)
            return await self._begin(continuation(asked.request, asked.choice, found, telling, attached, fits), asked)
        except (ChatGone, ParentUnknown) as lost:
            if lost.accepted:
                raise
            if await self._around.upstream.account_now() != asked.account:
                _log.warning("The token became another account's, which has no chat %s", place.chat_id)
                return await self._start(asked.request, asked.watch)
            _log.warning("Session %s is lost upstream, replaying into a new chat: %s", place.session_id, lost)
            await self._around.store.forget(place.session_id, str(lost), self._around.clock.now())
        except ChatFull as full:  # the client may show less than the chat holds: a window, a summary
            _log.warning("Chat %s cannot take this too, replaying into a new chat: %s", place.chat_id, full)
            return full
        except ChatInProgress as busy:
            if busy.accepted:
                raise
            _log.warning("Chat %s stays in progress upstream, replaying into a new chat", place.chat_id)
        return None

    async def _attached(self, asked: _Asked, telling: Telling) -> Attached:
        """Choose the files that go along; a side call is about words."""
        untold = () if asked.shape else telling.untold
        return await self._attaching.choose(asked.request.owner, asked.choice.info, untold, telling.said)

    async def _begin(self, draft: Draft, asked: _Asked) -> Turn:
        request, choice, watch = asked.request, asked.choice, asked.watch
        self._policy.check(draft.prompt.text)
        self._scale.check(choice.info, draft.weight)
        draft = await self._with_files(draft)
        if self._live.is_busy(draft.prompt.chat_id):
            raise ChatInProgress("The chat became busy with another answer while files were on their way.")
        record = TurnRecord(self._around, draft, watch)
        marks = "ignored" if request.json_format is not None else self._policy.marks
        relay = Relay(
            record,
            Cut(request.stop, request.max_tokens),
            answer_format(request, draft.history.whole_system, SCHEME, new_call_id),
            CitationReader(marks),
        )
        retries = request.count - 1 if request.purpose == "pictures" else self._policy.tool_retries
        turn = Turn(self._around, record, relay, watch, retries=retries, on_left=self._left)
        self._live.add(turn)
        try:
            await turn.begin()
        except BaseException as problem:
            turn.abandon(problem)
            self._live.part_with(turn)
            raise
        return turn

    async def _with_files(self, draft: Draft) -> Draft:
        """Bring the files of a draft to upstream. Raises UpstreamError, FileUnreadable."""
        if not draft.files and not draft.letter.document:
            return draft
        files = await self._uploads.bring(draft.files)
        if draft.letter.document:
            try:
                files += await self._uploads.bring([draft.letter.file()])
            except FileUnreadable:
                self._policy.check(draft.whole)
                raise
        return replace(draft, prompt=replace(draft.prompt, files=files))


def _shape(request: ChatRequest) -> str | None:
    """Return what a request is that is no part of a conversation, None for one that is."""
    if request.purpose != "conversation":
        return request.purpose
    return None if request.follows is not None else side_call(request)

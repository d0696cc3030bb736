"""Find the stored answer that a request goes on from: one rung after the other, the first hit wins.

docs/sessions.md, Looking up. Every rung is a few indexed look-ups, however much is stored.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from app.core.canonical import canonical_assistant
from app.core.changed_calls import calls_changed_since
from app.core.history import Anchor, History, TurnRow
from app.core.messages import Message, ToolCall
from app.core.places import OTHER_PROMPT, alike_places, choose_place
from app.core.ports import CutAnswer, Match, NamedAnswer, Place, SessionStore
from app.core.system_text import is_same_prompt
from app.core.window import Doubt, agrees, choose_tail, enough_said, most_tails

_UNKNOWN = "no stored answer has this history"
_KEYS_AT_ONCE = 64  # of the longest beginnings first: the rest is seldom looked for


class Found(Struct, frozen=True, gc=False):
    """A place to go on from.

    `history` knows the key of what came before, `index` counts the messages that the chat holds already, `rows` are
    turns that the store does not know yet, `changed` are calls that the client shows as the chat does not hold them.
    `named` is the answer where the client named it and sent only what is new, `before` are answers that it left out.
    """

    place: Place
    match: Match
    rung: str
    history: History
    index: int
    rows: tuple[TurnRow, ...] = ()
    changed: tuple[ToolCall, ...] = ()
    named: NamedAnswer | None = None
    before: tuple[Message, ...] = ()


class Search(Struct, frozen=True, gc=False):
    """What was found, and why the rungs above it had no answer."""

    found: Found | None
    misses: tuple[str, ...]

    def __str__(self) -> str:
        rung = self.found.rung if self.found else "new"
        return f"{rung} ({'; '.join(self.misses)})" if self.misses else rung


class Ladder:
    """The rungs, over one owner's stored answers. `window` False leaves the window rung out (WINDOW_MATCH)."""

    def __init__(self, store: SessionStore, *, window: bool) -> None:
        self._store = store
        self._window = window

    async def find(self, history: History) -> Search:
        """Return the place of a request, and the reasons why it is none better."""
        misses: list[str] = []
        if not history.anchors:
            return Search(None, ("nothing was answered yet",))
        rungs: tuple[tuple[str, Callable[[History], Awaitable[Found | str]]], ...] = (
            ("tool-call", self._tool_call),
            ("exact", self._exact),
            ("window", self._by_window),
            ("aborted", self._aborted),
            ("branch", self._branch),
        )
        is_refused = False
        for name, rung in rungs:
            if name == "aborted" and is_refused:
                continue  # a part of another answer is no better than a whole one that was refused
            found = await rung(history)
            if isinstance(found, Found):
                return Search(found, tuple(misses))
            if name == "exact":
                is_refused = found not in {_UNKNOWN, OTHER_PROMPT}
            misses.append(f"{name}: {found}")
        return Search(None, tuple(misses))

    async def _tool_call(self, history: History) -> Found | str:
        """The request ends with results of calls that we made."""
        results = history.spoken[history.anchors[-1].index :]
        ids = {message.tool_call_id for message in results if message.role == "tool" and message.tool_call_id}
        if not ids:
            return "no result names a call"
        made = history.calls_of_turn(ids)
        callings = await self._store.find_calls(sorted({*ids, *made}), history.keys.root)
        ours = {call_id: calling for call_id, calling in callings.items() if call_id in ids}
        if len(ours) < len(ids):
            return "not every call is ours" if ours else "the calls are not ours"
        calling = next(iter(ours.values()))
        place = calling.place
        if any(other.place.node_id != place.node_id for other in ours.values()):
            return "the calls are of different answers"
        # a client may show the calls of one answer one after the other, each with its result
        shown = {
            name: made[name] for name, each in callings.items() if name in made and each.place.node_id == place.node_id
        }
        index = min(shown.values(), default=history.last_answer - 1) + 1
        if _spoke_since(history, index, shown):
            return "an answer came between the calls and these results"
        turn = history.turn_of(index - 1)
        if agrees(history, history.turns[turn], calling.asked) is not True and history.turns[turn].has_user:
            return "the question that the calls are for was changed"
        changed = await calls_changed_since(self._store, place, history, index, shown)
        return Found(place, "tool-call", "tool-call", history.placed(turn, place.before_key), index, changed=changed)

    async def _exact(self, history: History) -> Found | str:
        """The whole history is stored, as the client tells it."""
        found = await self._at_anchor(history, [history.before_answer], "exact")
        if isinstance(found, Found) and not is_same_prompt(found.place.system_digest, history.system_digest):
            cut = await self._aborted(history)  # a part of an answer under the same prompt is more likely meant
            if isinstance(cut, Found) and is_same_prompt(cut.place.system_digest, history.system_digest):
                return cut
        return found

    async def _at_anchor(self, history: History, befores: Sequence[str], match: Match) -> Found | str:
        """Look for the node at the last answer, given what may be before its turn."""
        found = await self._at(history, history.anchors, befores, match)
        late = _late_results(history) if isinstance(found, str) else None
        return found if late is None else await self._at(history, [late], befores, match)

    async def _at(
        self, history: History, anchors: Sequence[Anchor], befores: Sequence[str], match: Match
    ) -> Found | str:
        named = {history.key_of(anchor, before): (anchor, before) for before in befores for anchor in anchors}
        is_step = anchors[0].results is not None
        places = _by_key(await (self._store.find_step(*named) if is_step else self._store.find_turn(*named)))
        misses = [_UNKNOWN]
        for key, (anchor, before) in named.items():
            if same := places.get(key):
                choice = choose_place(same, history, anchor.turn, anchor.index)
                if isinstance(choice, Place):
                    return Found(choice, match, match, history.placed(anchor.turn, before), anchor.index)
                misses.append(choice.reason)
        return misses[-1]

    async def _by_window(self, history: History) -> Found | str:
        """The client's turns are the last ones of a stored conversation."""
        if not self._window:
            return "switched off"
        anchor = history.anchors[0]
        whole_turn = anchor.results is None and anchor.turn < len(history.turns) - 1
        key = await self._conversation(history, anchor.turn + 1 if whole_turn else anchor.turn)
        if isinstance(key, Doubt):
            return key.reason
        if not whole_turn:
            return await self._at_anchor(history, [key], "window")
        places = await self._store.find_turn(key)
        if not places:
            return "the chat of that conversation is gone"
        choice = choose_place(places, history, anchor.turn, anchor.index)
        if isinstance(choice, Doubt):
            return choice.reason
        return Found(choice, "window", "window", history.placed(anchor.turn + 1, key), anchor.index)

    async def _conversation(self, history: History, turns: int) -> str | Doubt:
        """Return the key of the stored conversation that the first turns of the history are the end of."""
        if not enough_said(history, turns):
            return Doubt("too little was said to know it by")
        newest_first = history.turns[turns - 1 :: -1]
        doubt, most = Doubt("no conversation was looked at"), most_tails(turns)
        for same_user in (True, False):
            root = history.keys.root
            tails = await self._store.find_tails(newest_first, root, same_user=same_user, limit=most)
            if len(tails) >= most:
                return Doubt("too many conversations end like it")
            choice = choose_tail(history, newest_first, tails)
            if not isinstance(choice, Doubt):
                return choice.key
            doubt = choice
        return doubt

    async def _aborted(self, history: History) -> Found | str:
        """The last answer was cut, and the client has another part of it than we have."""
        anchor = history.anchors[0]
        turn = history.turns[anchor.turn]
        answer = "" if anchor.results is not None else history.answer_of(turn)
        if not answer:
            return "the last message is not an answer"
        befores = [history.before_answer]
        if self._window and anchor.turn:
            key = await self._conversation(history, anchor.turn)
            befores += [key] if isinstance(key, str) else []
        named = {history.keys.asked(before, turn.user_key): before for before in befores}
        cuts = [cut for cut in await self._store.find_cut(*named) if _begins_alike(answer, cut)]
        cut = _nearest(answer, cuts, history, anchor) if cuts else None
        if cut is None:
            return "no answer that was cut begins like it"
        placed = history.placed(anchor.turn, named[cut.place.key])
        return Found(cut.place, "exact", "aborted", placed, anchor.index, placed.turn_rows(anchor.turn))

    async def _branch(self, history: History) -> Found | str:
        """The beginning of the history is stored; the rest will be told."""
        told = list(enumerate(zip(history.turns, history.turn_rows(0), strict=False), 1))
        ends = {row.key: number for number, (turn, row) in reversed(told) if turn.answered}
        keys = list(ends)
        for first in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[first : first + _KEYS_AT_ONCE]
            places = _by_key(await self._store.find_turn(*some))
            for key in some:
                if same := places.get(key):
                    end = history.turns[ends[key] - 1].end
                    choice = choose_place(same, history, ends[key] - 1, end)
                    if isinstance(choice, Place):
                        return Found(choice, "branch", "branch", history, end, history.turn_rows(ends[key]))
        return "no beginning of it is stored"


def _spoke_since(history: History, index: int, shown: Collection[str]) -> bool:
    """Say whether an assistant said more after the first of the calls that are shown than to make the others."""
    since = [message for message in history.spoken[index : history.last_answer] if message.role == "assistant"]
    if not since:
        return False
    words = {"", canonical_assistant(history.spoken[index - 1].text)}
    return any(
        canonical_assistant(message.text) not in words or any(call.id not in shown for call in message.tool_calls)
        for message in since
    )


def _late_results(history: History) -> Anchor | None:
    """Return where results of earlier calls go that come after an answer to the others.

    That answer made no call, so it is known by its turn; the ids say which results its chat was told.
    """
    last = history.anchors[-1]
    if last.results is None or not history.told.up_to(last.index).is_answered:
        return None
    return replace(last, results=None)


def _by_key(places: Sequence[Place]) -> dict[str, list[Place]]:
    grouped: dict[str, list[Place]] = {}
    for place in places:
        grouped.setdefault(place.key, []).append(place)
    return grouped


def _begins_alike(answer: str, cut: CutAnswer) -> bool:
    """Say whether a cut answer goes on as the client's, or ends somewhat sooner.

    Where the client has more than twice as much, it is rather another answer that begins alike.
    """
    if len(answer) <= len(cut.answered):
        return False  # it ends before the answer that was cut began
    stored = cut.answered + canonical_assistant(cut.text)
    return stored.startswith(answer) or (len(stored) * 2 >= len(answer) and answer.startswith(stored))


def _nearest(answer: str, cuts: Sequence[CutAnswer], history: History, anchor: Anchor) -> CutAnswer | None:
    """Return the cut answer that differs least in length from the client's, of those that can be the client's."""
    alike = alike_places([cut.place for cut in cuts], history, anchor.turn, anchor.index)
    if isinstance(alike, Doubt):
        return None

    def difference(cut: CutAnswer) -> int:
        return abs(len(cut.answered) + len(canonical_assistant(cut.text)) - len(answer))

    return min((cut for cut in cuts if cut.place in alike), key=difference)

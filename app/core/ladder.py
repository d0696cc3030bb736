"""Find the stored answer that a request goes on from: one rung after the other, the first hit wins.

docs/sessions.md, Looking up. Every rung is a few indexed look-ups, however much is stored.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from app.core.canonical import canonical_assistant
from app.core.history import History, TurnRow
from app.core.ports import CutAnswer, Match, Place, SessionStore
from app.core.window import MOST_TAILS, Doubt, choose_tail, enough_said


@dataclass(frozen=True, slots=True)
class Found:
    """A place to go on from.

    `history` knows the key of what came before, `index` counts the messages that the chat holds already, `rows` are
    turns that the store does not know yet.
    """

    place: Place
    match: Match
    rung: str
    history: History
    index: int
    rows: tuple[TurnRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
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
        climb = _Climb(history)
        rungs: tuple[tuple[str, Callable[[_Climb], Awaitable[Found | str]]], ...] = (
            ("tool-call", self._tool_call),
            ("exact", self._exact),
            ("window", self._by_window),
            ("aborted", self._aborted),
            ("branch", self._branch),
        )
        for name, rung in rungs:
            found = await rung(climb)
            if isinstance(found, Found):
                return Search(found, tuple(misses))
            misses.append(f"{name}: {found}")
        return Search(None, tuple(misses))

    async def _tool_call(self, climb: "_Climb") -> Found | str:
        """The request ends with results of calls that we made."""
        history, anchor = climb.history, climb.history.anchors[-1]
        results = history.spoken[anchor.index :]
        ids = {message.tool_call_id for message in results if message.role == "tool" and message.tool_call_id}
        if not ids:
            return "no result names a call"
        places = await self._store.find_calls(sorted(ids), history.keys.root)
        if len(places) < len(ids):
            return "not every call is ours" if places else "the calls are not ours"
        place = next(iter(places.values()))
        if any(other.node_id != place.node_id for other in places.values()):
            return "the calls are of different answers"
        placed = history.placed(anchor.turn, place.before_key)
        return Found(place, "tool-call", "tool-call", placed, anchor.index)

    async def _exact(self, climb: "_Climb") -> Found | str:
        """The whole history is stored, as the client tells it."""
        found = await self._at_anchor(climb.history, [climb.before], "exact")
        return found or "no stored answer has this history"

    async def _at_anchor(self, history: History, befores: Sequence[str], match: Match) -> Found | None:
        """Look for the node at the last answer, given what may be before its turn."""
        named = {history.key_of(anchor, before): (anchor, before) for before in befores for anchor in history.anchors}
        is_step = history.anchors[0].results is not None
        place = await (self._store.find_step(*named) if is_step else self._store.find_turn(*named))
        if place is None:
            return None
        anchor, before = named[place.key]
        return Found(place, match, match, history.placed(anchor.turn, before), anchor.index)

    async def _by_window(self, climb: "_Climb") -> Found | str:
        """The client's turns are the last ones of a stored conversation."""
        if not self._window:
            return "switched off"
        history, anchor = climb.history, climb.history.anchors[0]
        whole_turn = anchor.results is None and anchor.turn < len(history.turns) - 1
        key = await self._conversation(history, anchor.turn + 1 if whole_turn else anchor.turn)
        if isinstance(key, Doubt):
            return key.reason
        if not whole_turn:
            return await self._at_anchor(history, [key], "window") or "that conversation holds no such step"
        place = await self._store.find_turn(key)
        if place is None:
            return "the chat of that conversation is gone"
        return Found(place, "window", "window", history.placed(anchor.turn + 1, key), anchor.index)

    async def _conversation(self, history: History, turns: int) -> str | Doubt:
        """Return the key of the stored conversation that the first turns of the history are the end of."""
        past = history.turns[:turns]
        if not enough_said(past):
            return Doubt("too little was said to know it by")
        tails = await self._store.find_tails(past[::-1], history.keys.root, same_user=True, limit=MOST_TAILS)
        choice = choose_tail(past, tails)
        if isinstance(choice, Doubt) and len(tails) < MOST_TAILS:
            tails = await self._store.find_tails(past[::-1], history.keys.root, same_user=False, limit=MOST_TAILS)
            choice = choose_tail(past, tails)
        if len(tails) >= MOST_TAILS:
            return Doubt("too many conversations end like it")
        return choice if isinstance(choice, Doubt) else choice.key

    async def _aborted(self, climb: "_Climb") -> Found | str:
        """The last answer was cut, and the client has another part of it than we have."""
        history, anchor = climb.history, climb.history.anchors[0]
        turn = history.turns[anchor.turn]
        if anchor.results is not None or not turn.answer:
            return "the last message is not an answer"
        befores = [climb.before]
        if self._window and anchor.turn:
            key = await self._conversation(history, anchor.turn)
            befores += [key] if isinstance(key, str) else []
        named = {history.keys.asked(before, turn.user_key): before for before in befores}
        cut = _nearest(turn.answer, await self._store.find_cut(*named))
        if cut is None:
            return "no answer that was cut begins like it"
        placed = history.placed(anchor.turn, named[cut.place.key])
        return Found(cut.place, "exact", "aborted", placed, anchor.index, placed.turn_rows(anchor.turn))

    async def _branch(self, climb: "_Climb") -> Found | str:
        """The beginning of the history is stored; the rest will be told."""
        history = climb.history
        told = list(enumerate(zip(history.turns, history.turn_rows(0), strict=False), 1))
        ends = {row.key: number for number, (turn, row) in reversed(told) if turn.answered}
        place = await self._store.find_turn(*ends) if ends else None
        if place is None:
            return "no beginning of it is stored"
        known = ends[place.key]
        rows = history.turn_rows(known)
        return Found(place, "branch", "branch", history, history.turns[known - 1].end, rows)


class _Climb:
    """One request's way up the ladder."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.before = history.key_before(history.anchors[0].turn)


def _nearest(answer: str, cuts: Sequence[CutAnswer]) -> CutAnswer | None:
    """Return the cut answer that differs least in length, of those that go on as the client's or end somewhat sooner.

    Where the client has more than twice as much, it is rather another answer that begins alike.
    """
    best: tuple[int, CutAnswer] | None = None
    for cut in cuts:
        stored = cut.answered + canonical_assistant(cut.text)
        if stored.startswith(answer) or (len(stored) * 2 >= len(answer) and answer.startswith(stored)):
            difference = abs(len(stored) - len(answer))
            if best is None or difference < best[0]:
                best = (difference, cut)
    return best[1] if best else None

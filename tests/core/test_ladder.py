"""Whatever is stored and however a history comes back: the place is right, or there is none."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.core import told
from app.core.canonical import canonical_assistant, canonical_user, digest, squeeze
from app.core.history import History, TurnRead, TurnRow
from app.core.ladder import Ladder, Search
from app.core.messages import Message, ToolCall
from app.core.ports import Calling, CutAnswer, Place, SessionStore
from app.core.told import Told
from app.core.window import Tail, TailTurn
from tests.core.fakes import read_history

Turns = tuple[tuple[str, str], ...]
LONG = "a longer answer, which no other conversation is likely to have got word for word"
users = st.sampled_from(["go on", "why?", "hello", "hello there", "tell me more", "ok"])
answers = st.sampled_from(["OK", "Done.", "No.", "Well, " + LONG, LONG])
conversations = st.lists(st.tuples(users, answers), min_size=1, max_size=5).map(tuple)
stores = st.lists(conversations, min_size=0, max_size=6)


@dataclass
class Memory:
    """The look-ups of a session store over lists, as slow and as plain as can be."""

    paths: dict[str, Turns] = field(default_factory=dict)
    places: list[tuple[TurnRow, Place]] = field(default_factory=list)
    turns: dict[str, tuple[TurnRow, str | None]] = field(default_factory=dict)
    cuts: list[tuple[str, CutAnswer]] = field(default_factory=list)

    def tell(self, conversation: Turns, *, cut: str | None = None) -> None:
        """Store every answer of a conversation; `cut` is what there is of a last answer that was stopped."""
        for number in range(len(conversation)):
            history = read(*messages(conversation[:number]), Message("user", conversation[number][0]))
            last = cut is not None and number + 1 == len(conversation)
            answer = cut if last and cut is not None else conversation[number][1]
            row, _ = history.keys_of(answer)
            name = f"node-{len(self.places)}"
            path = (*conversation[:number], (conversation[number][0], answer))
            place = Place(
                row.key, name, "session", f"chat-{name}", f"r-{name}", row.before_key, "", number + 1, False, Told()
            )
            self.paths[name] = path
            self.places.append((row, place))
            self.turns.setdefault(row.key, (row, conversation[number][0]))
            if last:
                asked = history.asked_key
                self.cuts.append((asked, CutAnswer(replace(place, key=asked), "", answer)))

    async def find_turn(self, *keys: str) -> Sequence[Place]:
        return [place for key in keys for row, place in reversed(self.places) if row.key == key]

    async def find_step(self, *keys: str) -> Sequence[Place]:
        return []

    async def find_calls(self, ids: Sequence[str], scope: str) -> Mapping[str, Calling]:
        return {}

    async def answer_text(self, node_id: str) -> str | None:
        return None

    async def find_cut(self, *keys: str) -> Sequence[CutAnswer]:
        return [cut for asked, cut in reversed(self.cuts) if asked in keys]

    async def find_tails(
        self, newest_first: Sequence[TurnRead], scope: str, *, same_user: bool, limit: int
    ) -> Sequence[Tail]:
        tails = []
        for row, _ in reversed(self.turns.values()):
            if same_user and row.user_key != newest_first[0].user_key:
                continue
            walked: list[TailTurn] = []
            before = row.key
            for turn in newest_first:
                if before not in self.turns or self.turns[before][0].answer_key != turn.answer_key:
                    break
                stored, text = self.turns[before]
                walked.append(TailTurn(stored.user_key, None if stored.user_key == turn.user_key else text))
                before = stored.before_key
            if len(walked) == len(newest_first):
                tails.append(Tail(row.key, tuple(walked), is_whole=before == scope))
        return tails[:limit]


def placed(key: str, name: str, before_key: str, depth: int) -> Place:
    return Place(key, name, "session", f"chat-{name}", f"r-{name}", before_key, "", depth, False, Told())


def messages(turns: Turns) -> list[Message]:
    return [
        message for asked, answered in turns for message in (Message("user", asked), Message("assistant", answered))
    ]


def read(*said: Message) -> History:
    return read_history(said, "owner", "account")


def search(memory: Memory, history: History, *, window: bool = True) -> Search:
    return asyncio.run(Ladder(cast(SessionStore, memory), window=window).find(history))


def stored(conversations: list[Turns]) -> Memory:
    memory = Memory()
    for conversation in conversations:
        memory.tell(conversation)
    return memory


def ends_with(path: Turns, client: Turns) -> bool:
    tail = path[len(path) - len(client) :]
    return len(path) >= len(client) and all(
        canonical_assistant(answer) == canonical_assistant(told) and canonical_user(said) in canonical_user(asked)
        for (asked, answer), (said, told) in zip(tail, client, strict=True)
    )


@given(stores, conversations, st.integers(1, 5))
def test_what_is_found_holds_what_the_client_sent_and_nothing_else(
    others: list[Turns], mine: Turns, window: int
) -> None:
    memory = stored([*others, mine])
    client = mine[-window:]
    found = search(memory, read(*messages(client), Message("user", "and now?"))).found
    if found is None:
        return
    path = memory.paths[found.place.node_id]
    if found.match == "window":
        assert ends_with(path, client)
    else:
        assert path == client[: len(path)]
        assert found.index == 2 * len(path)


@given(stores, conversations)
def test_a_whole_history_that_is_stored_is_found_exactly(others: list[Turns], mine: Turns) -> None:
    memory = stored([*others, mine, *others])
    result = search(memory, read(*messages(mine), Message("user", "and now?")))
    assert result.found is not None
    assert (result.found.match, memory.paths[result.found.place.node_id]) == ("exact", mine)


@given(stores, conversations, st.integers(1, 5))
def test_two_conversations_that_end_alike_are_never_guessed_between(
    others: list[Turns], mine: Turns, window: int
) -> None:
    memory = stored([*others, mine])
    client = mine[-window:]
    found = search(memory, read(*messages(client), Message("user", "and now?"))).found
    if found is None or found.match != "window":
        return
    path = memory.paths[found.place.node_id]
    alike = {
        other
        for other in memory.paths.values()
        if other[-len(client) :] == path[-len(client) :] and (len(other) == len(client)) == (len(path) == len(client))
    }
    assert alike == {path}


@given(stores, conversations, st.integers(1, 5))
def test_what_follows_a_window_is_known_by_the_whole_conversation(
    others: list[Turns], mine: Turns, window: int
) -> None:
    memory = stored([*others, mine])
    found = search(memory, read(*messages(mine[-window:]), Message("user", "and now?"))).found
    if found is None or found.match == "branch":
        return
    path = memory.paths[found.place.node_id]
    whole = read(*messages(path), Message("user", "and now?"))
    assert found.history.keys_of("an answer") == whole.keys_of("an answer")


@given(stores, conversations, st.integers(1, 5))
def test_without_the_window_rung_only_whole_beginnings_are_found(others: list[Turns], mine: Turns, window: int) -> None:
    memory = stored([*others, mine])
    client = mine[-window:]
    found = search(memory, read(*messages(client), Message("user", "and now?")), window=False).found
    if found is not None:
        assert memory.paths[found.place.node_id] == client[: found.place.depth]


@given(conversations, st.integers(1, 30), st.integers(1, 60))
def test_a_cut_answer_is_found_by_any_part_of_it(mine: Turns, written: int, received: int) -> None:
    assume(len(squeeze(LONG[:received])) <= 2 * len(squeeze(LONG[:written])))
    *before, (asked, _) = mine
    memory = Memory()
    memory.tell((*before, (asked, LONG)), cut=LONG[:written])
    history = read(*messages((*before, (asked, LONG[:received]))), Message("user", "and now?"))
    result = search(memory, history)
    assert result.found is not None
    assert result.found.place.node_id == f"node-{len(mine) - 1}"
    assert result.found.rung in {"exact", "aborted"}
    assert result.found.index == 2 * len(mine)


def test_a_much_longer_answer_that_begins_like_a_cut_one_is_another() -> None:
    memory = Memory()
    memory.tell((("hello", LONG),), cut=LONG[:3])
    result = search(memory, read(*messages((("hello", LONG),)), Message("user", "and now?")))
    assert result.found is None


def test_the_search_says_why_each_rung_above_missed() -> None:
    memory = stored([(("hello", LONG), ("why?", LONG))])
    told = str(search(memory, read(*messages((("hello", LONG), ("what?", "No."))), Message("user", "and now?"))))
    assert told.startswith("branch (tool-call: no result names a call; exact: no stored answer has this history; ")
    assert "window: no stored conversation ends with these turns; aborted: no answer that was cut" in told
    assert str(search(memory, read(Message("user", "hello")))) == "new (nothing was answered yet)"


def test_the_work_for_beginnings_that_are_refused_grows_with_the_history_and_no_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digests = 0

    def counting(*parts: str) -> str:
        nonlocal digests
        digests += 1
        return digest(*parts)

    monkeypatch.setattr(told, "digest", counting)

    def work(turns: int) -> int:
        nonlocal digests
        digests = 0
        loop = (Message("assistant", "", (ToolCall("call_of_theirs", "look", "{}"),)), Message("tool", "22 degrees"))
        said = [(Message("user", f"{number}"), *loop, Message("assistant", "Done.")) for number in range(turns)]
        history = read(*(message for turn in said for message in turn), Message("user", "and now?"))
        memory = Memory()
        for number, row in enumerate(history.turn_rows(0)):
            place = placed(row.key, f"node-{number}", row.before_key, number)
            memory.places.append((row, replace(place, told=Told("other", "other", "other"))))
        digests = 0
        assert search(memory, history, window=False).found is None
        return digests

    assert work(200) <= 2 * work(100) + 10

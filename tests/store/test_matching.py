"""What a store must find when a history comes back altered. Nothing here knows SQL."""

import pytest
from msgspec.structs import replace

from app.clock import timestamp
from app.core.history import TurnRead, TurnRow
from app.core.ports import NewNode, NodeEnd, SessionStore
from app.core.told import Told
from app.core.window import Tail, TailTurn
from tests.store.making import OpenStore, Outside, end, minute, node, session, turn

ROOT = "root"


def asked(name: str, answer: str = "", user: str = "") -> TurnRead:
    """A client's turn; by default its user text is that of the stored turn `name`."""
    return TurnRead((0,), (1,), user or f"user of {name}", answer or f"answer of {name}", 0, 0, True, True)


def row(name: str, before: str = ROOT, answer: str = "") -> TurnRow:
    return turn(name, before=before, answer=answer)


def placed(new: NewNode, of: TurnRow, *, opens: bool = True) -> NewNode:
    return replace(new, before_key=of.before_key, user_key=of.user_key, opens_turn=opens)


async def conversation(store: SessionStore, name: str, *turns: TurnRow) -> None:
    """Store a session whose answers end these turns, one below the other."""
    parent = None
    for number, each in enumerate(turns, 1):
        new = node(f"{name}{number}", name, parent=parent, depth=number, says=f"text of {each.key}")
        await store.open_turn(placed(new, each), None if parent else session(name), minute(number))
        await store.finish_turn(ended(f"{name}{number}", each), minute(number))
        parent = f"{name}{number}"


def ended(name: str, of: TurnRow, **more: object) -> NodeEnd:
    return replace(end(name), turn=of, **more)  # fields by name


async def tails(store: SessionStore, *newest_first: TurnRead, same_user: bool = False, limit: int = 9) -> list[Tail]:
    return list(await store.find_tails(newest_first, ROOT, same_user=same_user, limit=limit))


# --- keys and calls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["turn", "step"])
async def test_the_first_key_that_has_a_live_node_wins(store: SessionStore, kind: str) -> None:
    find = store.find_turn if kind == "turn" else store.find_step
    for name in ("a1", "b1", "c1"):
        await store.open_turn(node(name, name[0]), session(name[0]), minute(1))
        await store.finish_turn(end(name, turn_key=f"turn-{name}", step_key=f"step-{name}"), minute(2))
    keys = [f"{kind}-{name}" for name in ("nobody", "b1", "c1", "a1")]
    for wanted in ("b1", "c1", "a1"):
        place = (await find(*keys))[0]
        assert (place.node_id, place.key, place.before_key) == (wanted, f"{kind}-{wanted}", f"before-{wanted}")
        await store.forget(wanted[0], "gone", minute(9))
    assert not await find(*keys)


@pytest.mark.parametrize("kind", ["turn", "step"])
async def test_the_nodes_of_the_first_key_come_first(store: SessionStore, kind: str) -> None:
    for name, key in (("a1", "first"), ("b1", "first"), ("c1", "second")):
        await store.open_turn(node(name, name[0]), session(name[0]), minute(1))
        await store.finish_turn(end(name, turn_key=key, step_key=key), minute(2))
    places = await (store.find_turn("first", "second") if kind == "turn" else store.find_step("first", "second"))
    assert [place.node_id for place in places] == ["b1", "a1", "c1"]


@pytest.mark.parametrize(
    ("made", "answered"),
    [
        ((), ()),
        (("call-1", "call-2"), ()),
        (("call-1", "call-2"), ("call-1", "call-2")),
        (("call-1", "call-2"), ("call-1",)),
        (("call-1",), ("earlier-1", "earlier-2")),
        ((), ("earlier-1",)),
    ],
)
async def test_a_place_says_what_its_chat_was_told(
    store: SessionStore, made: tuple[str, ...], answered: tuple[str, ...]
) -> None:
    told = Told("all", "calls", "results", made, frozenset({"picture"}), answered)
    await store.open_turn(node("a1", "a"), session("a"), minute(1))
    await store.finish_turn(end("a1", turn_key="key", told=told), minute(2))
    assert [place.told for place in await store.find_turn("key")] == [told]


async def test_calls_are_found_by_their_ids_in_their_owners_scope(store: SessionStore) -> None:
    for name in ("a", "b"):
        await store.open_turn(node(f"{name}1", name), session(name), minute(1))
        calls = (f"call-{name}1", f"call-{name}2")
        await store.finish_turn(ended(f"{name}1", row(f"k-{name}"), calls=calls, scope=f"scope-{name}"), minute(2))
    found = await store.find_calls(["call-a1", "call-a2", "call-b1", "nobody"], "scope-a")
    assert {call_id: calling.place.node_id for call_id, calling in found.items()} == {"call-a1": "a1", "call-a2": "a1"}
    await store.forget("a", "gone", minute(3))
    assert await store.find_calls(["call-a1"], "scope-a") == {}
    assert list(await store.find_calls(["call-a1", "call-b1"], "scope-b")) == ["call-b1"]


async def test_calls_of_a_second_end_are_not_kept_and_do_no_harm(store: SessionStore) -> None:
    await store.open_turn(node("a1", "a"), session("a"), minute(1))
    first = ended("a1", row("k1"), calls=("call-1",), scope="scope")
    await store.finish_turn(first, minute(2))
    await store.finish_turn(first, minute(3))
    await store.finish_turn(ended("a1", row("k2"), calls=("call-2",), scope="scope"), minute(4))
    assert list(await store.find_calls(["call-1", "call-2"], "scope")) == ["call-1"]


# --- tails ----------------------------------------------------------------------------------------------------------


async def test_a_conversation_is_walked_back_from_its_last_answer(store: SessionStore) -> None:
    await conversation(store, "a", row("k1"), row("k2", "k1"), row("k3", "k2"))
    equal = (TailTurn("user of k3", None), TailTurn("user of k2", None))
    assert await tails(store, asked("k3"), asked("k2")) == [Tail("k3", equal, is_whole=False)]
    whole = await tails(store, asked("k3"), asked("k2"), asked("k1"))
    assert [(tail.key, len(tail.turns), tail.is_whole) for tail in whole] == [("k3", 3, True)]
    assert await tails(store, asked("k3"), asked("k2"), asked("k1"), asked("k0")) == []


@pytest.mark.parametrize("same_user", [False, True])
@pytest.mark.parametrize("place", range(3))
async def test_a_different_answer_ends_the_walk(store: SessionStore, place: int, same_user: bool) -> None:
    await conversation(store, "a", row("k1"), row("k2", "k1"), row("k3", "k2"))
    told = [asked("k3"), asked("k2"), asked("k1")]
    assert len(await tails(store, *told, same_user=same_user)) == 1
    told[place] = replace(told[place], answer_key="another")
    assert await tails(store, *told, same_user=same_user) == []


async def test_conversations_that_share_their_first_turns_are_each_found_whole(store: SessionStore) -> None:
    await conversation(store, "a", row("k1"), row("k2", "k1"), row("a3", "k2", answer="ok"))
    await conversation(store, "b", row("k1"), row("k2", "k1"), row("b3", "k2", answer="ok"))
    await conversation(store, "c", row("c2"), row("c3", "c2", answer="ok"))
    found = await tails(store, asked("x", "ok"), asked("k2"), asked("k1"))
    assert [(tail.key, [turn.user_key for turn in tail.turns], tail.is_whole) for tail in found] == [
        ("b3", ["user of b3", "user of k2", "user of k1"], True),
        ("a3", ["user of a3", "user of k2", "user of k1"], True),
    ]


async def test_a_conversation_of_another_scope_is_never_whole(store: SessionStore) -> None:
    await conversation(store, "a", row("k1", "another root"))
    assert [tail.is_whole for tail in await tails(store, asked("k1"))] == [False]


async def test_a_user_text_is_given_only_where_it_differs(store: SessionStore) -> None:
    await conversation(store, "a", row("k1"), row("k2", "k1"))
    (tail,) = await tails(store, asked("k2", user="raw"), asked("k1"))
    assert tail.turns == (TailTurn("user of k2", "text of k2"), TailTurn("user of k1", None))
    assert await tails(store, asked("k2", user="raw"), asked("k1"), same_user=True) == []


async def test_the_text_of_a_turn_is_that_of_its_first_message_also_after_a_tool_loop(store: SessionStore) -> None:
    await store.open_turn(placed(node("a1", "a", says="the question"), row("step")), session("a"), minute(1))
    await store.finish_turn(ended("a1", row("step")), minute(2))
    loop = placed(node("a2", "a", parent="a1", depth=2, says="a result"), row("k1"), opens=False)
    await store.open_turn(loop, None, minute(3))
    await store.finish_turn(ended("a2", row("k1")), minute(4))
    (tail,) = await tails(store, asked("k1", user="raw"))
    assert tail.turns == (TailTurn("user of k1", "the question"),)


async def test_turns_that_a_replay_told_count_too_but_have_no_text(store: SessionStore) -> None:
    told = placed(node("a1", "a"), row("k3", "k2"))
    await store.open_turn(replace(told, rows=(row("k1"), row("k2", "k1"))), session("a"), minute(1))
    await store.finish_turn(ended("a1", row("k3", "k2")), minute(2))
    (tail,) = await tails(store, asked("k3"), asked("k2", user="raw"), asked("k1"))
    assert (tail.turns[1], tail.is_whole) == (TailTurn("user of k2", None), True)


async def test_only_the_newest_that_end_alike_are_looked_at(store: SessionStore) -> None:
    for name in "abcd":
        await conversation(store, name, row(f"k-{name}", answer="ok"))
    found = await tails(store, asked("x", "ok"), limit=2)
    assert [tail.key for tail in found] == ["k-d", "k-c"]
    assert [tail.key for tail in await tails(store, asked("k-a", "ok"), same_user=True)] == ["k-a"]


async def test_where_as_many_end_alike_as_are_looked_at_no_text_is_read(store: SessionStore) -> None:
    await conversation(store, "a", *(row(f"k{n}", f"k{n - 1}", answer="ok") for n in range(1, 6)))
    for limit, known in ((5, True), (4, False)):
        found = await tails(store, *(asked("x", "ok", user="raw") for _ in range(2)), limit=limit)
        texts = {turn.user_text for tail in found for turn in tail.turns}
        assert (len(found), texts) == (4, {f"text of k{n}" for n in range(1, 6)} if known else {None})


async def test_a_text_that_several_conversations_hold_is_kept_once(store: SessionStore) -> None:
    await conversation(store, "a", row("k1", answer="ok"), row("k2", "k1", answer="ok"), row("k3", "k2", answer="ok"))
    newer, older = await tails(store, *(asked("x", "ok", user="raw") for _ in range(2)))
    assert newer.turns[1].user_text == "text of k2"
    assert newer.turns[1].user_text is older.turns[0].user_text


async def test_a_chain_that_bites_its_tail_is_walked_no_further_than_the_client_goes(store: SessionStore) -> None:
    await conversation(store, "a", row("k1", "k2", answer="ok"), row("k2", "k1", answer="ok"))
    await conversation(store, "b", row("k3", "k3", answer="ok"))
    for turns in (1, 2, 500):
        found = await tails(store, *(asked("k3", "ok") for _ in range(turns)))
        assert [(tail.key, len(tail.turns), tail.is_whole) for tail in found] == [
            (key, turns, False) for key in ("k3", "k2", "k1")
        ]


async def test_a_turn_is_remembered_only_where_something_may_continue(store: SessionStore) -> None:
    for name in ("side", "lost", "no id", "no keys", "kept"):
        why = "side call" if name == "side" else None
        await store.open_turn(
            placed(node(name, f"in {name}"), row(name)), session(f"in {name}", delete_because=why), minute(1)
        )
    await store.forget("in lost", "gone", minute(2))
    for name in ("side", "lost", "kept"):
        await store.finish_turn(ended(name, row(name, answer="ok")), minute(3))
    await store.finish_turn(ended("no id", row("no id", answer="ok"), response_id=None), minute(3))
    await store.finish_turn(end("no keys", state="failed"), minute(3))
    assert [tail.key for tail in await tails(store, asked("x", "ok"))] == ["kept"]


# --- answers that were cut, and what is known of a chat -------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "recovered", "found"), [("aborted", False, 1), ("complete", True, 1), ("complete", False, 0)]
)
async def test_answers_that_were_cut_are_found_by_what_was_asked(
    store: SessionStore, state: str, recovered: bool, found: int
) -> None:
    for name in ("a", "b"):
        new = replace(node(f"{name}1", name), asked_key="asked", answered="before")
        await store.open_turn(new, session(name), minute(1))
        await store.finish_turn(ended(f"{name}1", row(f"k-{name}"), state=state, recovered=recovered), minute(2))
    cuts = await store.find_cut("nobody", "asked")
    assert [(cut.place.node_id, cut.answered, cut.text) for cut in cuts] == [
        ("b1", "before", "answer b1"),
        ("a1", "before", "answer a1"),
    ][: 2 * found]
    await store.forget("b", "gone", minute(3))
    assert len(await store.find_cut("asked")) == found


async def test_what_is_stored_of_a_chat_is_known_with_how_new_it_is(open_store: OpenStore) -> None:
    async with open_store() as store:
        await conversation(store, "a", row("k1"))
        assert await store.known_chat("chat-of-nobody") is None
        known = await store.known_chat("chat-of-a")
        assert known is not None
        assert (known.session_id, known.live, known.is_open, known.known_until) == ("a", True, False, None)
        assert known.nodes["response-a1"].turn_key == "k1"
        await store.saw_chat("chat-of-a", minute(7))
        await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(3))
    async with open_store() as store:
        known = await store.known_chat("chat-of-a")
        assert known is not None
        assert (known.is_open, known.known_until) == (True, minute(7))
        await store.forget("a", "gone", minute(8))
        known = await store.known_chat("chat-of-a")
        assert known is not None
        assert not known.live


async def test_what_a_pull_brings_in_from_the_past_does_not_make_a_session_look_unused(
    store: SessionStore, outside: Outside
) -> None:
    await store.open_turn(node("a1", "a"), session("a"), minute(30))
    await store.finish_turn(end("a1", turn_key="k1"), minute(31))
    await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(1))
    await store.finish_turn(end("a2", turn_key="k2"), minute(2))
    assert outside.value("SELECT last_used_at FROM sessions") == timestamp(minute(31))

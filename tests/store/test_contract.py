"""What every session store must do. Nothing here knows SQL: a further store joins in `conftest.open_store`."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from app.core.ports import Deletion, OpenNode, Place, SessionStore, StoreOverview
from app.core.told import Told
from tests.store.making import ACCOUNT, OpenStore, end, minute, node, session, written


async def conversation(store: SessionStore, name: str = "a", at: int = 0) -> None:
    """A session with one answered node, `<name>1`, whose turn key is `key-<name>1`."""
    await store.open_turn(node(f"{name}1", name), session(name), minute(at))
    await store.finish_turn(end(f"{name}1", turn_key=f"key-{name}1", step_key=f"step-{name}1"), minute(at))


async def test_an_answered_node_is_found_by_its_turn_key(store: SessionStore) -> None:
    await conversation(store)
    assert await store.find_turn("key-a1") == [
        Place(
            key="key-a1",
            before_key="before-a1",
            node_id="a1",
            session_id="a",
            chat_id="chat-of-a",
            response_id="response-a1",
            system_digest="digest",
            depth=1,
            has_children=False,
            told=None,
            input_tokens=10,
        )
    ]


async def test_an_answered_node_is_found_by_its_step_key(store: SessionStore) -> None:
    await conversation(store)
    [place] = await store.find_step("step-a1")
    assert place.node_id == "a1"


async def test_turn_keys_and_step_keys_are_two_kinds(store: SessionStore) -> None:
    await conversation(store)
    assert not await store.find_turn("step-a1")
    assert not await store.find_step("key-a1")


async def test_an_unknown_key_finds_nothing(store: SessionStore) -> None:
    await conversation(store)
    assert not await store.find_turn("key-of-nobody")
    assert not await store.find_step("")


async def test_nodes_with_one_key_are_found_the_newest_first(store: SessionStore) -> None:
    for name in ("a", "b", "c"):
        await store.open_turn(node(f"{name}1", name), session(name), minute(0))
        await store.finish_turn(end(f"{name}1", turn_key="shared"), minute(1))
    assert [place.session_id for place in await store.find_turn("shared")] == ["c", "b", "a"]


async def test_when_the_newest_is_lost_the_one_before_is_found(store: SessionStore) -> None:
    for name in ("a", "b"):
        await store.open_turn(node(f"{name}1", name), session(name), minute(0))
        await store.finish_turn(end(f"{name}1", turn_key="shared"), minute(1))
    await store.forget("b", "not found", minute(2))
    assert [place.session_id for place in await store.find_turn("shared")] == ["a"]


async def test_a_node_without_an_answer_is_not_found(store: SessionStore) -> None:
    await store.open_turn(node("a1", "a"), session("a"), minute(0))
    assert not await store.find_turn("key-a1")


async def test_an_answer_without_a_response_id_is_not_found_whatever_its_keys_say(store: SessionStore) -> None:
    await store.open_turn(node("a1", "a"), session("a"), minute(0))
    await store.finish_turn(end("a1", turn_key="key", step_key="step", response_id=None), minute(1))
    assert not await store.find_turn("key")
    assert not await store.find_step("step")


async def test_an_aborted_answer_with_keys_is_found(store: SessionStore) -> None:
    await store.open_turn(node("a1", "a"), session("a"), minute(0))
    await store.finish_turn(end("a1", turn_key="key", state="aborted", error="the client left"), minute(1))
    assert await store.find_turn("key")


async def test_only_the_first_end_of_a_node_counts(store: SessionStore) -> None:
    await conversation(store)
    await store.finish_turn(end("a1", turn_key="other", state="failed", error="too late"), minute(2))
    assert not await store.find_turn("other")
    assert await store.find_turn("key-a1")


@pytest.mark.parametrize("answered", [False, True])
async def test_a_node_has_children_as_soon_as_one_is_opened(store: SessionStore, answered: bool) -> None:
    await conversation(store)
    await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(1))
    if answered:
        await store.finish_turn(end("a2", turn_key="key-a2"), minute(2))
        [place] = await store.find_turn("key-a2")
        assert (place.depth, place.has_children) == (2, False)
    [place] = await store.find_turn("key-a1")
    assert place.has_children


async def test_what_was_finished_is_found_after_a_restart(open_store: OpenStore) -> None:
    async with open_store() as store:
        await conversation(store)
    async with open_store() as store:
        assert await store.find_turn("key-a1")
        assert await store.interrupted(minute(5)) == []


async def test_what_was_open_at_a_restart_is_told_with_all_that_finding_it_needs(open_store: OpenStore) -> None:
    async with open_store() as store:
        await conversation(store)
        await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(1))
        await store.open_turn(node("b1", "b"), session("b"), minute(1))
    async with open_store() as store:
        cut = await store.interrupted(minute(2))
        assert [(node.node_id, node.chat_id, node.parent_response_id) for node in cut] == [
            ("b1", "chat-of-b", None),
            ("a2", "chat-of-a", "response-a1"),
        ]
        assert cut[1] == OpenNode(
            node_id="a2",
            session_id="a",
            chat_id="chat-of-a",
            owner="owner",
            account=ACCOUNT,
            parent_response_id="response-a1",
            sent_digest="sent-a2",
            before_key="before-a2",
            user_key="user-a2",
            answered="",
            results=0,
            opens_turn=True,
            told=Told(),
            known_responses=frozenset({"response-a1"}),
        )
        await store.finish_turn(end("b1", turn_key="key-b1"), minute(4))
        assert await store.find_turn("key-b1")
        assert await store.find_turn("key-a1")


async def test_what_was_open_is_told_with_what_its_message_is_known_by(open_store: OpenStore) -> None:
    async with open_store() as store:
        sent = replace(node("a1", "a", says="the question"), sent_text="a transcript", answered="so far", results=2)
        await store.open_turn(sent, session("a"), minute(1))
    async with open_store() as store:
        (cut,) = await store.interrupted(minute(2))
        assert (cut.sent_digest, cut.answered, cut.results) == ("sent-a1", "so far", 2)


async def test_what_was_open_in_a_chat_that_is_to_be_deleted_has_failed(open_store: OpenStore) -> None:
    async with open_store() as store:
        await store.open_turn(node("s1", "s"), session("s", delete_because="side call"), minute(0))
    async with open_store() as store:
        assert await store.interrupted(minute(5)) == []
        await store.finish_turn(end("s1", turn_key="key-s1"), minute(6))
        assert not await store.find_turn("key-s1")


async def test_nothing_continues_in_a_forgotten_chat(store: SessionStore) -> None:
    await conversation(store)
    await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(1))
    await store.forget("a", "not found", minute(2))
    await store.finish_turn(end("a2", turn_key="key-a2", step_key="step-a2"), minute(3))
    assert not await store.find_turn("key-a1")
    assert not await store.find_step("step-a1")
    assert not await store.find_turn("key-a2")
    assert not await store.find_step("step-a2")


async def test_forgetting_one_chat_leaves_the_others(store: SessionStore) -> None:
    await conversation(store, "a")
    await conversation(store, "b")
    await store.forget("a", "not found", minute(2))
    assert await store.find_turn("key-b1")


# --- deletions ------------------------------------------------------------------------------------------------------


async def side_call(store: SessionStore, name: str = "s", at: int = 0, account: str = ACCOUNT) -> None:
    await store.open_turn(
        node(f"{name}1", name), session(name, delete_because="side call", account=account), minute(at)
    )
    await store.finish_turn(end(f"{name}1", turn_key=f"key-{name}1", step_key=f"step-{name}1"), minute(at))


async def test_a_side_call_is_never_found(store: SessionStore) -> None:
    await side_call(store)
    assert not await store.find_turn("key-s1")
    assert not await store.find_step("step-s1")


async def test_a_held_deletion_is_not_due_until_it_is_released(store: SessionStore) -> None:
    await side_call(store)
    assert await store.deletions.due(ACCOUNT, minute(100), 10) == []
    assert await store.deletions.next_due(ACCOUNT) is None
    await store.release("s", minute(3))
    assert await store.deletions.due(ACCOUNT, minute(2), 10) == []
    assert await store.deletions.due(ACCOUNT, minute(3), 10) == [Deletion("chat-of-s", 0)]
    assert await store.deletions.next_due(ACCOUNT) == minute(3)


async def test_a_release_does_not_move_a_deletion_that_already_waits(store: SessionStore) -> None:
    await side_call(store)
    await store.release("s", minute(3))
    await store.release("s", minute(50))
    assert await store.deletions.next_due(ACCOUNT) == minute(3)


async def test_a_chat_that_stays_has_no_deletion_to_release(store: SessionStore) -> None:
    await conversation(store)
    await store.release("a", minute(1))
    assert await store.deletions.due(ACCOUNT, minute(100), 10) == []


async def test_a_restart_releases_what_was_held(open_store: OpenStore) -> None:
    async with open_store() as store:
        await store.open_turn(node("s1", "s"), session("s", delete_because="side call"), minute(0))
    async with open_store() as store:
        await store.interrupted(minute(5))
        assert await store.deletions.due(ACCOUNT, minute(5), 10) == [Deletion("chat-of-s", 0)]


async def test_a_failed_try_is_counted_and_put_off(store: SessionStore) -> None:
    await side_call(store)
    await store.release("s", minute(1))
    await store.deletions.failed("chat-of-s", "unreachable", minute(2), minute(4))
    assert await store.deletions.due(ACCOUNT, minute(3), 10) == []
    await store.deletions.failed("chat-of-s", "unreachable", minute(5), minute(7))
    assert await store.deletions.due(ACCOUNT, minute(7), 10) == [Deletion("chat-of-s", 2)]


async def test_deletions_come_longest_overdue_first_and_no_more_than_asked(store: SessionStore) -> None:
    for name, due in (("r", 3), ("s", 1), ("t", 2)):
        await side_call(store, name)
        await store.release(name, minute(due))
    due_now = await store.deletions.due(ACCOUNT, minute(9), 2)
    assert [deletion.chat_id for deletion in due_now] == ["chat-of-s", "chat-of-t"]
    assert await store.deletions.next_due(ACCOUNT) == minute(1)


async def test_deletions_of_another_account_wait_for_that_account(store: SessionStore) -> None:
    await side_call(store, account="someone else")
    await store.release("s", minute(1))
    assert await store.deletions.due(ACCOUNT, minute(9), 10) == []
    assert await store.deletions.next_due(ACCOUNT) is None
    assert await store.deletions.due("someone else", minute(9), 10) == [Deletion("chat-of-s", 0)]
    assert (await store.deletions.elsewhere(ACCOUNT), await store.deletions.elsewhere("someone else")) == (1, 0)


async def test_a_deletion_that_is_done_is_gone(store: SessionStore) -> None:
    await side_call(store)
    await store.release("s", minute(1))
    await store.deletions.done("chat-of-s", minute(2))
    assert await store.deletions.due(ACCOUNT, minute(9), 10) == []
    assert await store.overview() == StoreOverview(sessions=1, nodes=1, pending_deletions=0)


async def test_a_doomed_session_is_not_found_and_its_deletion_waits_for_its_time(store: SessionStore) -> None:
    for name in ("a", "b"):
        await conversation(store, name)
    await store.doom("a", "no answer", minute(1), minute(2))
    await store.doom("a", "no answer", minute(1), minute(2))
    assert not await store.find_turn("key-a1")
    assert await store.find_turn("key-b1")
    assert await store.deletions.due(ACCOUNT, minute(1), 5) == []
    assert await store.deletions.due(ACCOUNT, minute(2), 5) == [Deletion("chat-of-a", 0)]


async def test_an_answer_that_ends_after_its_session_was_doomed_is_not_found(store: SessionStore) -> None:
    await conversation(store)
    await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(1))
    await store.doom("a", "no answer", minute(2), minute(3))
    await store.finish_turn(end("a2", turn_key="key-a2", step_key="step-a2"), minute(4))
    assert not await store.find_step("step-a1")
    assert not await store.find_turn("key-a2")
    assert not await store.find_step("step-a2")


async def test_dooming_changes_nothing_where_no_chat_is_live(store: SessionStore) -> None:
    await side_call(store)
    await conversation(store, "a")
    await store.forget("a", "not found", minute(1))
    await conversation(store, "b")
    await store.doom("b", "no answer", minute(2), minute(3))
    await store.deletions.done("chat-of-b", minute(4))
    for name in ("s", "a", "b", "nobody"):
        await store.doom(name, "no answer", minute(5), minute(6))
    assert await store.deletions.due(ACCOUNT, minute(9), 10) == []
    assert (await store.overview()).pending_deletions == 1, "the side call's, which is still held"


async def test_an_idle_session_is_doomed_and_its_deletion_is_due_at_once(store: SessionStore) -> None:
    await conversation(store, at=0)
    assert await store.deletions.doom_idle(minute(10), minute(20), 5) == 1
    assert not await store.find_turn("key-a1")
    assert not await store.find_step("step-a1")
    assert await store.deletions.due(ACCOUNT, minute(20), 5) == [Deletion("chat-of-a", 0)]
    assert await store.deletions.doom_idle(minute(10), minute(20), 5) == 0


async def test_a_session_in_use_is_not_idle(store: SessionStore) -> None:
    await conversation(store, at=0)
    await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(5))
    assert await store.deletions.doom_idle(minute(10), minute(20), 5) == 0, "an answer still runs"
    await store.finish_turn(end("a2", turn_key="key-a2"), minute(10))
    assert await store.deletions.doom_idle(minute(10), minute(20), 5) == 0, "its end was a use"
    assert await store.deletions.doom_idle(minute(10) + timedelta(milliseconds=1), minute(20), 5) == 1


async def test_of_idle_sessions_the_oldest_are_doomed_first_and_no_more_than_asked(store: SessionStore) -> None:
    for name, at in (("a", 3), ("b", 1), ("c", 2)):
        await conversation(store, name, at)
    assert await store.deletions.doom_idle(minute(10), minute(20), 2) == 2
    assert await store.find_turn("key-a1")
    assert not await store.find_turn("key-b1")
    assert not await store.find_turn("key-c1")
    assert await store.deletions.doom_idle(minute(10), minute(20), 2) == 1


async def test_neither_side_calls_nor_forgotten_chats_are_doomed_for_their_age(store: SessionStore) -> None:
    await side_call(store)
    await conversation(store, "a")
    await store.forget("a", "not found", minute(1))
    assert await store.deletions.doom_idle(minute(100), minute(100), 5) == 0


async def test_the_overview_counts(store: SessionStore) -> None:
    assert await store.overview() == StoreOverview(sessions=0, nodes=0, pending_deletions=0)
    await conversation(store)
    await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(1))
    await side_call(store)
    await written(store)
    assert await store.overview() == StoreOverview(sessions=2, nodes=3, pending_deletions=1)


# --- texts and crowds -----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec=None), min_size=1, max_size=40))
async def test_any_text_is_taken(store: SessionStore, text: str) -> None:
    name = str(uuid4())
    await store.open_turn(node(f"{name}-1", name, says=text), session(name, title=text), minute(0))
    await store.finish_turn(end(f"{name}-1", turn_key=name, says=text, error=text), minute(1))
    assert await store.find_turn(name)
    await store.forget(name, text, minute(2))
    assert not await store.find_turn(name)


async def test_half_a_surrogate_pair_is_taken_everywhere(store: SessionStore) -> None:
    broken = "half \ud83d of it"
    await store.open_turn(node("a1", "a", says=broken), session("a", title=broken, delete_because=broken), minute(0))
    await store.finish_turn(end("a1", says=broken, error=broken), minute(1))
    await store.deletions.failed("chat-of-a", broken, minute(2), minute(3))
    assert await store.deletions.due(ACCOUNT, minute(3), 1) == [Deletion("chat-of-a", 1)]
    await conversation(store, "b")
    await store.doom("b", broken, minute(4), minute(5))
    await conversation(store, "c")
    await store.forget("c", broken, minute(6))
    for key in ("key-b1", "key-c1"):
        assert not await store.find_turn(key)


async def test_a_turn_is_under_way_when_the_call_returns_and_nobody_need_wait(open_store: OpenStore) -> None:
    async with open_store() as store:
        opened = store.open_turn(node("a1", "a"), session("a"), minute(0))
        ended = store.finish_turn(end("a1", turn_key="key-a1"), minute(1))
    assert opened.done()
    assert ended.done()
    async with open_store() as store:
        assert await store.find_turn("key-a1")


async def test_cancelling_the_one_that_waits_undoes_nothing(store: SessionStore) -> None:
    async def turn(name: str) -> None:
        await store.open_turn(node(f"{name}1", name), session(name), minute(0))
        await store.finish_turn(end(f"{name}1", turn_key=f"key-{name}1"), minute(1))

    waiting = asyncio.create_task(turn("a"))
    await asyncio.sleep(0)
    waiting.cancel()
    opened = store.open_turn(node("b1", "b"), session("b"), minute(0))
    opened.cancel()
    await asyncio.wait([waiting])
    for name in ("a", "b"):
        await store.finish_turn(end(f"{name}1", turn_key=f"key-{name}1"), minute(2))
        assert await store.find_turn(f"key-{name}1")


async def test_many_conversations_at_once_are_all_kept(store: SessionStore) -> None:
    names = [f"s{number}" for number in range(50)]
    await asyncio.gather(*(conversation(store, name) for name in names))
    places = await asyncio.gather(*(store.find_turn(f"key-{name}1") for name in names))
    assert [place.session_id for [place] in places] == names

"""What every store knows of an answer by its name, and of the way to it."""

from dataclasses import dataclass

from msgspec.structs import replace

from app.core.ports import ASKED_AGAIN, KeptAnswer, NamedAnswer, NodeFile, PathNode, SessionStore
from tests.store.making import ACCOUNT, OWNER, end, minute, node, session


@dataclass(frozen=True)
class Said:
    """A node of a path as these tests compare it."""

    said: str | None
    answer: str | None


async def answered(store: SessionStore, name: str, parent: str | None = None, *, calls: tuple[str, ...] = ()) -> None:
    """An answered node of the session `a`, which the first one opens."""
    opened = node(name, "a", parent=parent, depth=int(name[1:]))
    await store.open_turn(opened, None if parent else session("a"), minute(0))
    await store.finish_turn(replace(end(name, turn_key=f"key-{name}"), calls=calls, scope="scope"), minute(1))


async def named(store: SessionStore, name: str) -> NamedAnswer:
    found = await store.find_answer(name, OWNER)
    assert found is not None
    return found


async def said(store: SessionStore, name: str, *, whole: bool = True) -> list[Said]:
    return [Said(each.said, each.answer) for each in await store.path(name, whole=whole)]


async def test_an_answer_is_found_by_its_name_with_the_keys_of_its_turn(store: SessionStore) -> None:
    await answered(store, "a1")
    found = await named(store, "a1")
    assert (found.account, found.is_live, found.state) == (ACCOUNT, True, "complete")
    assert (found.place.before_key, found.user_key, found.answer_key) == ("before-a1", "user-a1", "answer of key-a1")
    assert (found.place.node_id, found.place.response_id) == ("a1", "response-a1")


async def test_an_answer_is_found_by_its_owner_only(store: SessionStore) -> None:
    await answered(store, "a1")
    assert await store.find_answer("a1", "somebody else") is None
    assert await store.find_answer("a2", OWNER) is None


async def test_an_answer_keeps_its_name_and_keys_when_its_chat_is_lost(store: SessionStore) -> None:
    await answered(store, "a1")
    await store.forget("a", "not found", minute(2))
    found = await named(store, "a1")
    assert (found.is_live, found.answer_key) == (False, "answer of key-a1")


async def test_an_answer_that_failed_has_no_keys(store: SessionStore) -> None:
    await store.open_turn(node("a1", "a"), session("a"), minute(0))
    await store.finish_turn(end("a1", state="failed", response_id=None, error="rate limited"), minute(1))
    found = await named(store, "a1")
    assert (found.state, found.answer_key) == ("failed", "")


async def test_the_name_of_an_answer_that_was_asked_for_again_is_that_of_the_last_one(store: SessionStore) -> None:
    await store.open_turn(node("a1", "a"), session("a"), minute(0))
    await store.finish_turn(end("a1", error=ASKED_AGAIN), minute(1))
    assert (await named(store, "a1")).answer_key == ""
    await answered(store, "a2", "a1")
    await answered(store, "a3", "a2")
    assert (await named(store, "a1")).place.node_id == "a2"
    assert [each.asked_again for each in await store.path("a2", whole=True)] == [True, False]


async def test_what_is_kept_of_an_answer_is_its_owners(store: SessionStore) -> None:
    await answered(store, "a1", calls=("call_2", "call_1"))
    assert await store.kept_answer("a1", OWNER) == KeptAnswer(
        model="qwen3-max",
        created_at=minute(0),
        state="complete",
        error="",
        finish_reason="stop",
        text="answer a1",
        reasoning="thoughts a1",
        calls=("call_2", "call_1"),
    )
    assert await store.kept_answer("a1", "somebody else") is None


async def test_a_path_leads_from_the_first_message_to_the_answer_and_past_no_other_branch(store: SessionStore) -> None:
    await answered(store, "a1")
    await answered(store, "a2", "a1")
    await store.open_turn(node("b2", "a", parent="a1", depth=2), None, minute(2))
    await store.finish_turn(end("b2", turn_key="key-b2"), minute(3))
    assert await said(store, "a2") == [Said("question a1", "answer a1"), Said("question a2", "answer a2")]
    assert await said(store, "b2") == [Said("question a1", "answer a1"), Said("question b2", "answer b2")]
    assert await said(store, "a2", whole=False) == [Said("question a2", "answer a2")]


async def test_a_path_within_a_turn_begins_where_that_turn_does(store: SessionStore) -> None:
    await answered(store, "a1")
    await answered(store, "a2", "a1")
    step = replace(node("a3", "a", parent="a2", depth=3), opens_turn=False, before_key="before-a2")
    await store.open_turn(step, None, minute(2))
    await store.finish_turn(end("a3", turn_key="key-a3"), minute(3))
    path = await store.path("a3", whole=False)
    assert [(each.said, each.opens_turn) for each in path] == [("question a2", True), ("question a3", False)]


async def test_a_path_tells_files_calls_and_what_was_sent(store: SessionStore) -> None:
    files = (NodeFile("image", "fox.png", "d1"), NodeFile("document", "b.txt", "d2"))
    await store.open_turn(replace(node("a1", "a"), files=files, sent_text="all of it"), session("a"), minute(0))
    await store.finish_turn(replace(end("a1", turn_key="k"), calls=("call_2", "call_1"), scope="s"), minute(1))
    assert await store.path("a1", whole=True) == [
        PathNode(
            "question a1",
            "all of it",
            "answer a1",
            ("fox.png", "b.txt"),
            ("call_2", "call_1"),
            True,
            False,
            True,
            "digest",
        )
    ]

"""What a person sees who opens the file: the views, the queries of docs/history.md, and what STORE_TEXT=0 leaves."""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from app.core.history import TurnRead
from app.core.ports import SessionStore
from app.store import statements
from tests.store.making import (
    MIGRATIONS,
    Outside,
    change,
    end,
    minute,
    node,
    session,
    sqlite_store,
    tell_a_story,
    written,
)

PAGE = MIGRATIONS.parent.parent / "docs" / "history.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
async def told(store: SessionStore) -> AsyncIterator[SessionStore]:
    """A store with content that stays open, as the server keeps it, while somebody looks."""
    await tell_a_story(store)
    await store.open_turn(node("d1", "d", says="Are you there?"), session("d", title="Doors"), minute(20))
    await store.finish_turn(end("d1", state="aborted", error="the client left"), minute(21))
    yield store


# --- views ----------------------------------------------------------------------------------------------------------


async def test_the_history_reads_in_order_along_each_branch(told: SessionStore, outside: Outside) -> None:
    first = [(1, "user", "What is a tide?"), (1, "assistant", "The sea's rise and fall.")]
    rows = outside.rows("SELECT branch, turn, role, text FROM v_history WHERE session = 'a'")
    branches = {
        branch: [row[1:] for row in rows if row[0] == branch] for branch in dict.fromkeys(row[0] for row in rows)
    }
    assert list(branches.values()) == [
        [*first, (2, "user", "Why twice a day?"), (2, "assistant", "Two bulges.")],
        [*first, (2, "user", "How high?"), (2, "assistant", "Up to 16 metres.")],
    ]


async def test_each_saying_has_its_own_time_and_state(told: SessionStore, outside: Outside) -> None:
    await told.open_turn(node("d2", "d", parent="d1", depth=2), None, minute(22))
    await written(told)
    assert outside.rows("SELECT at, role, text, state FROM v_history WHERE session = 'd'") == [
        ("2026-11-22T09:20:00.000Z", "user", "Are you there?", "aborted"),
        ("2026-11-22T09:21:00.000Z", "assistant", "answer d1", "aborted"),
        ("2026-11-22T09:22:00.000Z", "user", "question d2", "open"),
        ("2026-11-22T09:22:00.000Z", "assistant", None, "open"),
    ]


async def test_cut_and_recovered_answers_are_shown_as_such(told: SessionStore, outside: Outside) -> None:
    await told.open_turn(node("d2", "d", parent="d1", depth=2), None, minute(22))
    await told.finish_turn(replace(end("d2", turn_key="key-d2"), recovered=True), minute(23))
    said = outside.rows("SELECT turn, role, state FROM v_history WHERE session = 'd'")
    assert said == [
        (1, "user", "aborted"),
        (1, "assistant", "aborted"),
        (2, "user", "recovered"),
        (2, "assistant", "recovered"),
    ]
    assert outside.rows("SELECT session, aborted, recovered FROM v_sessions ORDER BY session") == [
        ("a", 0, 0),
        ("b", 0, 0),
        ("c", 0, 0),
        ("d", 1, 1),
    ]
    assert outside.value("SELECT state FROM nodes WHERE id = 'd2'") == "complete", "the table keeps how it ended"


async def test_sessions_are_listed_last_used_first_with_their_shape(told: SessionStore, outside: Outside) -> None:
    query = "SELECT session, title, state, nodes, turns, branches, last_used_at FROM v_sessions"
    assert outside.rows(query) == [
        ("d", "Doors", "live", 1, 1, 1, "2026-11-22T09:21:00.000Z"),
        ("c", "Title, please", "doomed", 1, 1, 1, "2026-11-22T09:10:00.000Z"),
        ("b", "Rivers", "gone", 1, 1, 1, "2026-11-22T09:07:00.000Z"),
        ("a", "Tides", "live", 3, 2, 2, "2026-11-22T09:05:00.000Z"),
    ]


async def test_the_end_of_a_chat_is_no_use_of_it(told: SessionStore, outside: Outside) -> None:
    await told.deletions.done("chat-of-c", minute(30))
    query = "SELECT state, state_reason, state_since, last_used_at FROM sessions WHERE id IN ('b', 'c') ORDER BY id"
    assert outside.rows(query) == [
        ("gone", "not found", "2026-11-22T09:08:00.000Z", "2026-11-22T09:07:00.000Z"),
        ("deleted", "side call", "2026-11-22T09:30:00.000Z", "2026-11-22T09:10:00.000Z"),
    ]
    assert outside.value("SELECT count(*) FROM v_history WHERE session = 'c'") == 2, "its history stays"


async def test_a_doomed_session_says_why_and_since_when(told: SessionStore, outside: Outside) -> None:
    await told.doom("d", "no answer", minute(30), minute(31))
    assert outside.rows("SELECT state, state_reason, state_since, last_used_at FROM sessions WHERE id = 'd'") == [
        ("doomed", "no answer", "2026-11-22T09:30:00.000Z", "2026-11-22T09:21:00.000Z"),
    ]
    assert outside.rows("SELECT chat_id, reason, next_try, since FROM v_deletions WHERE title = 'Doors'") == [
        ("chat-of-d", "no answer", "2026-11-22T09:31:00.000Z", "2026-11-22T09:30:00.000Z"),
    ]


async def test_a_session_says_for_how_many_hours_nobody_used_it(store: SessionStore, outside: Outside) -> None:
    await store.open_turn(node("a1", "a"), session("a"), datetime.now(UTC) - timedelta(hours=2))
    await written(store)
    assert outside.value("SELECT idle_hours FROM v_sessions") == pytest.approx(2.0, abs=0.15)


async def test_pending_deletions_say_why_and_what_went_wrong(told: SessionStore, outside: Outside) -> None:
    assert outside.rows("SELECT * FROM v_deletions") == [
        (
            "chat-of-c",
            "Title, please",
            "side call",
            1,
            "2026-11-22T09:13:00.000Z",
            "2026-11-22T09:12:00.000Z unreachable",
            "2026-11-22T09:09:00.000Z",
        )
    ]


# --- the page -------------------------------------------------------------------------------------------------------


def test_the_page_has_queries() -> None:
    assert len(QUERIES) >= 8


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: " ".join(query.split())[:40])
async def test_a_query_of_the_page_finds_something_while_the_server_runs(
    told: SessionStore, path: Path, query: str
) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        assert reader.execute(query).fetchall()


async def test_the_page_names_every_column_of_every_view(store: SessionStore, outside: Outside) -> None:
    page = PAGE.read_text("utf-8")
    for view in ("v_sessions", "v_history", "v_deletions"):
        described = next(line for line in page.splitlines() if line.startswith(f"| `{view}`"))
        for (column,) in outside.rows("SELECT name FROM pragma_table_info(?)", (view,)):
            assert f"`{column}`" in described, f"{view}.{column}"


async def test_a_copy_made_while_the_server_runs_is_whole(told: SessionStore, path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "backup.db"
    with closing(sqlite3.connect(path)) as shell:
        shell.execute("VACUUM INTO ?", (str(copy),))
    async with sqlite_store(copy) as store:
        assert await store.find_turn("key-a2") == await told.find_turn("key-a2")
        assert await store.overview() == await told.overview()


# --- STORE_TEXT=0 ---------------------------------------------------------------------------------------------------


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_without_texts_none_reaches_the_disk_but_places_are_found(path: Path, outside: Outside) -> None:
    asked = node("a1", "a", says="SECRETLY asked")
    async with sqlite_store(path, store_text=False) as store:
        await store.open_turn(asked, session("a", title="SECRETLY begun"), minute(0))
        await store.finish_turn(end("a1", turn_key="key-a1", says="SECRETLY answered"), minute(1))
        assert await store.find_turn("key-a1")
        kept = everything_in(path.parent)
        assert b"SECRETLY" not in kept
        assert b"thoughts" not in kept
    columns = "user_text, sent_text, answer_text, reasoning_text, user_chars, answer_chars, input_tokens"
    assert outside.rows(f"SELECT {columns} FROM nodes") == [(None, None, None, None, 14, 17, 10)]
    assert outside.value("SELECT title FROM sessions") is None


async def test_without_texts_what_needs_one_finds_nothing_and_the_rest_works(path: Path) -> None:
    cut = replace(node("a1", "a", says="SECRETLY asked"), answered="SECRETLY before", sent_text="SECRETLY sent")
    async with sqlite_store(path, store_text=False) as store:
        await store.open_turn(cut, session("a"), minute(0))
        await store.finish_turn(end("a1", turn_key="key-a1", state="aborted", says="SECRETLY cut"), minute(1))
        await store.open_turn(replace(cut, id="a2", parent_id="a1", depth=2), None, minute(2))
        assert b"SECRETLY" not in everything_in(path.parent)
        assert await store.find_cut("asked-a1") == []
        ended = TurnRead((0,), (1,), "another user", "answer of key-a1", 0, 0, True, True)
        (tail,) = await store.find_tails([ended], "root", same_user=False, limit=9)
        assert [turn.user_text for turn in tail.turns] == [None]
    async with sqlite_store(path, store_text=False) as store:
        (node_left,) = await store.interrupted(minute(3))
        assert (node_left.node_id, node_left.sent_digest, node_left.answered) == ("a2", "sent-a1", None)


async def test_half_a_surrogate_pair_is_stored_as_a_question_mark(store: SessionStore, outside: Outside) -> None:
    await store.open_turn(node("a1", "a", says="half \ud83d, whole \N{GRINNING FACE}"), session("a"), minute(0))
    await written(store)
    assert outside.value("SELECT user_text FROM nodes") == "half ?, whole \N{GRINNING FACE}"


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_where_nothing_may_continue_no_key_is_stored(store: SessionStore, outside: Outside) -> None:
    await store.open_turn(node("a1", "a"), session("a"), minute(0))
    await store.open_turn(node("b1", "b"), session("b", delete_because="side call"), minute(0))
    await store.open_turn(node("c1", "c"), session("c"), minute(0))
    await store.forget("a", "not found", minute(1))
    for name in ("a1", "b1"):
        await store.finish_turn(end(name, turn_key=name, step_key=name), minute(2))
    await store.finish_turn(end("c1", turn_key="c1", step_key="c1", response_id=None), minute(2))
    assert outside.rows("SELECT state, turn_key, step_key FROM nodes") == [("complete", None, None)] * 3


ENDINGS: dict[str, Callable[[SessionStore], Coroutine[Any, Any, object]]] = {
    "forget": lambda store: store.forget("a", "not found", minute(30)),
    "doom": lambda store: store.doom("a", "no answer", minute(30), minute(31)),
    "doom_idle": lambda store: store.deletions.doom_idle(minute(10), minute(30), 5),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_a_session_that_ends_loses_its_keys_and_no_other_does(
    told: SessionStore, outside: Outside, name: str
) -> None:
    await told.open_turn(node("e1", "e"), session("e"), minute(25))
    await told.finish_turn(end("e1", turn_key="key-e1", step_key="step-e1"), minute(26))
    keyed = "SELECT DISTINCT session_id FROM nodes WHERE turn_key IS NOT NULL OR step_key IS NOT NULL ORDER BY 1"
    assert outside.rows(keyed) == [("a",), ("e",)]
    await ENDINGS[name](told)
    assert outside.rows(keyed) == [("e",)]


@pytest.mark.parametrize(
    "change",
    ["UPDATE sessions SET state = 'gone' WHERE id = 'a'", "UPDATE nodes SET response_id = NULL WHERE session_id = 'a'"],
)
async def test_a_key_that_was_left_behind_finds_nothing(told: SessionStore, path: Path, change: str) -> None:
    assert await told.find_turn("key-a2")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(change)
    assert not await told.find_turn("key-a2")


# --- what the schema refuses, and how it finds ----------------------------------------------------------------------


SESSION = "INSERT INTO sessions (id, owner, account, chat_id, model, {time}) VALUES ('x', 'o', 'a', ?, 'm', ?, ?, ?)"
TIMES = "state_since, created_at, last_used_at"
NOW = "2026-11-22T09:00:00.000Z"


@pytest.mark.parametrize("chat_id", ["", "short"])
async def test_a_chat_without_a_proper_id_is_refused(store: SessionStore, path: Path, chat_id: str) -> None:
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError, match=r"CHECK.*chat_id"):
        other.execute(SESSION.format(time=TIMES), (chat_id, NOW, NOW, NOW))


@pytest.mark.parametrize("time", ["2026-11-22 09:00:00", "2026-11-22T09:00:00.000+01:00", "1764000000", ""])
async def test_a_time_of_another_form_is_refused(store: SessionStore, path: Path, time: str) -> None:
    for place in range(3):
        times = [NOW, NOW, NOW]
        times[place] = time
        with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            other.execute(SESSION.format(time=TIMES), ("chat-of-x", *times))


async def test_only_a_chat_that_we_made_can_be_deleted(told: SessionStore, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            other.execute("INSERT INTO deletions (chat_id, reason, created_at) VALUES ('their chat', 'why', ?)", (NOW,))


KEYS = '["key"]'
TAIL = {"turns": '[["u", "a"]]', "answer_key": "a", "user_key": "u", "limit": 9}
OF_REQUEST = {"k"}  # read from end to end: what the request itself brings, and what was found
OF_WALK = {"json_each", "c", "w", "(subquery"}
LOOK_UPS: dict[str, tuple[str, Any, set[str]]] = {
    "nodes_by_turn": (statements.FIND_TURN, (KEYS,), OF_REQUEST),
    "nodes_by_step": (statements.FIND_STEP, (KEYS,), OF_REQUEST),
    "sqlite_autoindex_tool_calls_1": (statements.FIND_CALLS, {"ids": KEYS, "scope": "root"}, OF_REQUEST),
    "nodes_by_asked": (statements.FIND_CUT, {"keys": KEYS, "limit": 9}, OF_REQUEST),
    "turns_by_answer": (statements.FIND_TAILS, TAIL, OF_WALK),
    "turns_by_answer_and_user": (statements.FIND_TAILS_OF_USER, TAIL, OF_WALK),
    "nodes_open": (statements.OPEN_NODES, (), {"n"}),
}


def explain(path: Path, statement: str, values: Any) -> list[tuple[int, str]]:
    """The steps of a statement, each with the number of the step that it belongs to, 0 for the statement itself."""
    with closing(sqlite3.connect(path)) as other:
        return [(row[1], row[3]) for row in other.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


def assert_goes_through(index: str, path: Path, *, may_sort: bool = False) -> None:
    """No table is read from end to end or indexed on the fly, and nothing is sorted but the few rows that are found."""
    statement, values, small = LOOK_UPS[index]
    plan = explain(path, statement, values)
    assert any(re.search(rf"^(SEARCH|SCAN) \w+ USING (COVERING )?INDEX {index}\b", step) for _, step in plan), plan
    for inside, step in plan:
        if step.startswith("SCAN") or "AUTOMATIC" in step:
            name = step.split()[1].split("-")[0]
            assert name in small, plan
            assert name != "n" or f"INDEX {index}" in step, plan
        assert inside == 0 or may_sort or "TEMP B-TREE" not in step, plan


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("index", LOOK_UPS)
async def test_a_look_up_goes_through_the_index_of_its_key(
    told: SessionStore, path: Path, index: str, analyzed: bool
) -> None:
    if analyzed:
        change(path, "ANALYZE")
    # SQLite sorts the turns of an answer where it counted exactly four turns in all, until the next start
    assert_goes_through(index, path, may_sort=analyzed and index == "turns_by_answer")


@pytest.mark.parametrize("index", LOOK_UPS)
async def test_what_was_counted_while_the_file_was_small_misleads_no_look_up(path: Path, index: str) -> None:
    async with sqlite_store(path) as store:
        await store.open_turn(node("a1", "a"), session("a"), minute(0))
        await store.finish_turn(replace(end("a1", turn_key="k", step_key="s"), calls=("c",)), minute(1))
        await store.deletions.doom_idle(minute(0), minute(2), 5)
    change(path, "ANALYZE")
    async with sqlite_store(path):
        assert_goes_through(index, path)


NAMED = {"id": "node_a", "owner": "o"}
NAMED_LOOK_UPS: dict[str, tuple[str, Any]] = {
    "an answer": (statements.FIND_ANSWER, NAMED),
    "what is kept of it": (statements.KEPT_ANSWER, NAMED),
    "its turn": (statements.PATH, {"id": "node_a", "whole": False}),
    "all that led to it": (statements.PATH, {"id": "node_a", "whole": True}),
    "calls": (statements.MADE_CALLS, {"ids": KEYS, "owner": "o"}),
}


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("name", NAMED_LOOK_UPS)
async def test_a_look_up_by_name_reads_no_table_from_end_to_end(
    told: SessionStore, path: Path, name: str, analyzed: bool
) -> None:
    if analyzed:
        change(path, "ANALYZE")
    plan = [step for _, step in explain(path, *NAMED_LOOK_UPS[name])]
    read = {step.split()[1].split("-")[0] for step in plan if step.startswith("SCAN") or " AUTOMATIC " in step}
    assert read <= {"CONSTANT", "a", "asked", "p", "json_each", "(subquery"}, plan  # what was found, and what is asked


CHORES: dict[str, tuple[str, Any]] = {
    "fail open nodes": (statements.FAIL_OPEN_NODES, (NOW,)),
    "doom keys": (statements.DOOM_KEYS, ()),
    "next deletion": (statements.NEXT_DELETION, ("account",)),
    "due deletions": (statements.DUE_DELETIONS, {"now": NOW, "in_an_hour": NOW, "account": "account", "limit": 5}),
    "doom idle": (statements.DOOM_IDLE, {"at": NOW, "before": NOW, "limit": 5}),
}


@pytest.mark.parametrize("name", CHORES)
async def test_a_chore_reads_only_what_is_open_or_to_be_deleted(told: SessionStore, path: Path, name: str) -> None:
    plan = [step for _, step in explain(path, *CHORES[name])]
    scanned = [step for step in plan if step.startswith("SCAN") or " AUTOMATIC " in step]
    assert all(re.match(r"(SCAN|SEARCH) d\b|SCAN nodes USING INDEX nodes_open", step) for step in scanned), plan


async def test_the_index_of_a_key_holds_only_nodes_with_a_key(told: SessionStore, outside: Outside) -> None:
    for index in ("nodes_by_turn", "nodes_by_step"):
        assert outside.value("SELECT sql FROM sqlite_schema WHERE name = ?", (index,)).endswith("IS NOT NULL")

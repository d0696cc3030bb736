"""What the store's tests are made of: sessions, nodes and their ends, and a look into the file from outside."""

import sqlite3
import stat
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from app.clock import SystemClock
from app.core.history import TurnRow
from app.core.ports import NewNode, NewSession, NodeEnd, SessionStore
from app.core.told import Told
from app.errors import StoreUnusable
from app.store.sqlite import SqliteSessionStore, open_sqlite

MIGRATIONS = Path(__file__).parent.parent.parent / "migrations" / "sqlite"
NEWEST = len(list(MIGRATIONS.glob("*.sql")))
START = datetime(2026, 11, 22, 9, tzinfo=UTC)
OWNER = "owner"
ACCOUNT = "00000000-0000-4000-8000-000000000001"

OpenStore = Callable[[], AbstractAsyncContextManager[SessionStore]]
"""Opens the same store again and again, as a restart does."""


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def sqlite_store(
    path: Path, *, migrations: Path = MIGRATIONS, store_text: bool = True, busy_seconds: float = 0.2
) -> AbstractAsyncContextManager[SqliteSessionStore]:
    return open_sqlite(path, migrations, store_text=store_text, clock=SystemClock(), busy_seconds=busy_seconds)


async def written(store: SessionStore) -> None:
    """Have what has begun written, as any other write does, and a second."""
    await store.saw_chat("a chat that is not stored", START)


def session(name: str, *, delete_because: str | None = None, account: str = ACCOUNT, title: str = "") -> NewSession:
    return NewSession(
        id=name,
        owner=OWNER,
        account=account,
        chat_id=f"chat-of-{name}",
        model="qwen3-max",
        title=title or f"About {name}",
        delete_because=delete_because,
    )


def node(name: str, of: str, *, parent: str | None = None, depth: int = 1, says: str = "") -> NewNode:
    return NewNode(
        id=name,
        session_id=of,
        parent_id=parent,
        depth=depth,
        match="exact" if parent else "new",
        model="qwen3-max",
        system_digest="digest",
        user_text=says or f"question {name}",
        sent_text=None,
        before_key=f"before-{name}",
        user_key=f"user-{name}",
        asked_key=f"asked-{name}",
        answered="",
        results=0,
        opens_turn=True,
        sent_digest=f"sent-{name}",
        told=Told(),
    )


def turn(key: str, *, before: str = "root", user: str = "", answer: str = "") -> TurnRow:
    return TurnRow(key, before, user or f"user of {key}", answer or f"answer of {key}")


def end(
    name: str,
    *,
    turn_key: str | None = None,
    step_key: str | None = None,
    response_id: str | None = "",
    state: Literal["complete", "aborted", "failed"] = "complete",
    says: str = "",
    error: str | None = None,
    told: Told | None = None,
) -> NodeEnd:
    return NodeEnd(
        node_id=name,
        state=state,
        response_id=f"response-{name}" if response_id == "" else response_id,
        answer_text=says or f"answer {name}",
        reasoning_text=f"thoughts {name}",
        finish_reason="stop" if state == "complete" else None,
        error=error,
        turn=turn(turn_key) if turn_key else None,
        step_key=step_key,
        input_tokens=10,
        output_tokens=20,
        told=told,
    )


@dataclass(frozen=True)
class Outside:
    """A person's look into the file."""

    path: Path

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query, values).fetchall()

    def value(self, query: str, values: Sequence[Any] = ()) -> Any:
        return self.rows(query, values)[0][0]


async def tell_a_story(store: SessionStore) -> None:
    """One conversation whose second question was edited, one whose chat upstream lost, one side call to delete."""
    await store.open_turn(node("a1", "a", says="What is a tide?"), session("a", title="Tides"), minute(0))
    await store.finish_turn(end("a1", turn_key="key-a1", says="The sea's rise and fall."), minute(1))
    await store.open_turn(node("a2", "a", parent="a1", depth=2, says="Why twice a day?"), None, minute(2))
    await store.finish_turn(end("a2", turn_key="key-a2", says="Two bulges."), minute(3))
    await store.open_turn(node("a3", "a", parent="a1", depth=2, says="How high?"), None, minute(4))
    await store.finish_turn(end("a3", turn_key="key-a3", says="Up to 16 metres."), minute(5))
    await store.open_turn(node("b1", "b", says="Name a river."), session("b", title="Rivers"), minute(6))
    await store.finish_turn(end("b1", turn_key="key-b1", says="The Rhine."), minute(7))
    await store.forget("b", "not found", minute(8))
    side = session("c", title="Title, please", delete_because="side call")
    await store.open_turn(node("c1", "c", says="Find a title."), side, minute(9))
    await store.finish_turn(end("c1", says="Rivers and tides"), minute(10))
    await store.release("c", minute(11))
    await store.deletions.failed("chat-of-c", "unreachable", minute(12), minute(13))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def set_mode(path: Path, wanted: int) -> None:
    path.chmod(wanted)


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


async def make(path: Path) -> None:
    async with sqlite_store(path) as store:
        await tell_a_story(store)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)


def read(path: Path) -> bytes:
    return path.read_bytes()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


async def refusal(path: Path, migrations: Path = MIGRATIONS) -> str:
    """Open a file that must be refused and left byte for byte as it was; return what is said."""
    before = read(path)
    with pytest.raises(StoreUnusable) as refused:
        async with sqlite_store(path, migrations=migrations):
            raise AssertionError("it was opened")
    assert read(path) == before
    assert str(path) in refused.value.message
    assert not refused.value.should_retry
    return refused.value.message

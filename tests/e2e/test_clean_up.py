"""Chats are deleted when they should be, only ours, and in spite of failures."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from app.clock import SystemClock
from app.config import load
from app.emulator import Emulator
from app.main import Program, open_program
from app.tasks.cleaner import Cleaner, SweepReport
from tests.e2e.harness import AGE_SESSIONS, Server, emulating, eventually, serving

DOG = "My dog is called Waldo."
NAMING = '[{"role":"user","mainText":"hi"},{"role":"assistant","mainText":"Hello"}]'


async def test_with_is_delete_no_chat_stays_and_every_turn_is_a_replay(tmp_path: Path) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, IS_DELETE="1") as server:
        talk = server.conversation()
        first = await talk.say(DOG)
        second = await talk.say("What is my dog called?")
        assert (first.match, second.match) == ("new", "new")
        assert "Waldo" in second.text
        await eventually(lambda: not emulator.chats)
        assert emulator.delete_all_calls == 0
        await eventually(lambda: not _pending(server))


async def test_a_deletion_that_fails_is_tried_again_also_after_a_restart(tmp_path: Path) -> None:
    async with emulating() as emulator:
        emulator.script.fault("server_error", times=2, target="delete")
        settings = {"IS_DELETE": "1", "DELETE_RETRY_SECONDS": "0.3"}
        async with serving(tmp_path, emulator, **settings) as server:
            await server.conversation().say("hi")
            await eventually(lambda: any(request.method == "DELETE" for request in emulator.requests))
        assert len(emulator.chats) == 1
        async with serving(tmp_path, emulator, **settings):
            await eventually(lambda: not emulator.chats)


@pytest.mark.parametrize("fault", ["rate_limited", "busy", "empty"])
async def test_a_chat_whose_first_message_got_no_answer_is_deleted(server: Server, fault: str) -> None:
    server.emulator.script.fault(fault, times=3)
    assert (await server.conversation().say("hi", enable_thinking=False)).status >= 400
    await eventually(lambda: not server.emulator.chats)


async def test_a_side_call_is_answered_apart_and_its_chat_deleted(server: Server) -> None:
    talk = server.conversation()
    await talk.say("Hello")
    named = await server.client.chat(
        [{"role": "system", "content": "Name the topic."}, {"role": "user", "content": NAMING}]
    )
    assert named.match == "new"
    assert server.emulator.shown[-1].feature_config["thinking_enabled"] is False
    await eventually(lambda: len(server.emulator.chats) == 1)
    assert (await talk.say("Go on")).match == "exact"


@pytest.mark.parametrize(
    "asked",
    [
        {"role": "user", "content": "Please generate a four to five word title summarizing our conversation."},
        {"role": "system", "content": "Summarize the discussion briefly in 200 words or less, as a prompt."},
    ],
)
async def test_a_title_or_summary_of_a_conversation_leaves_no_trace_in_it(
    server: Server, asked: dict[str, str]
) -> None:
    """NextChat asks for both with the real history; the model sees it, but the chat on the site does not grow."""
    talk = server.conversation()
    await talk.say("My dog is called Waldo.")
    named = await server.client.chat([*talk.messages, asked])
    assert (named.status, named.match) == (200, "new")
    apart = server.emulator.shown[-1]
    assert apart.text.endswith(asked["content"])
    assert "Waldo" in apart.text
    await eventually(lambda: len(server.emulator.chats) == 1)
    (chat,) = server.emulator.chats.values()
    assert (len(chat.nodes), apart.chat_id == chat.id) == (2, False)
    reply = await talk.say("What is my dog called?")
    assert (reply.match, server.emulator.shown[-1].user_action) == ("exact", "chat")


async def test_chats_that_were_not_used_for_long_are_deleted_but_their_history_stays(
    tmp_path: Path,
) -> None:
    async with emulating() as emulator:
        async with serving(tmp_path, emulator) as server:
            await server.conversation().say("old")
        with closing(sqlite3.connect(server.database)) as database, database:
            database.execute(AGE_SESSIONS)
        async with serving(tmp_path, emulator) as server:
            await server.conversation().say("young")
        async with serving(tmp_path, emulator, RETENTION_DAYS="30") as server:
            await eventually(lambda: len(emulator.chats) == 1)
            await eventually(lambda: not _pending(server))
            with closing(sqlite3.connect(server.database)) as database, database:
                states = database.execute("SELECT title, state FROM v_sessions ORDER BY title").fetchall()
                texts = database.execute("SELECT text FROM v_history WHERE role = 'user'").fetchall()
        assert states == [("old", "deleted"), ("young", "live")]
        assert ("old",) in texts


def _pending(server: Server) -> int:
    with closing(sqlite3.connect(server.database)) as database, database:
        return int(database.execute("SELECT count(*) FROM v_deletions").fetchone()[0])


@pytest.mark.parametrize("fault", ["anti_bot", "expired"])
async def test_a_refused_account_is_not_asked_again_for_every_chat(tmp_path: Path, fault: str) -> None:
    async with emulating() as emulator:
        async with serving(tmp_path, emulator, IS_DELETE="1", DELETE_RETRY_SECONDS="60") as server:
            for text in ("one", "two", "three"):
                await server.conversation().say(text)
        environ = {"QWEN_AUTH_TOKEN": emulator.mint_token(), "QWEN_BASE_URL": emulator.url}
        settings = await asyncio.to_thread(load, tmp_path, environ)
        async with open_program(settings, SystemClock()) as program:
            services = program.services
            emulator.script.fault(fault, times=3, target="delete")
            cleaner = Cleaner(
                services.upstream,
                services.store,
                services.clock,
                first_retry=timedelta(seconds=60),
                retention=timedelta(0),
            )
            asked = len(emulator.requests)
            with closing(sqlite3.connect(server.database)) as database, database:
                database.execute("UPDATE deletions SET due_at = '2020-01-01T00:00:00.000Z'")
            assert await cleaner.sweep() == SweepReport(deleted=0, failed=3, aged=0, waiting=3)
            assert [request.method for request in emulator.requests[asked:]].count("DELETE") == 1


class StoppedClock(SystemClock):
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = super().now().replace(microsecond=0)

    def now(self) -> datetime:
        return self.at


@asynccontextmanager
async def one_to_delete(folder: Path, emulator: Emulator, clock: StoppedClock) -> AsyncIterator[Program]:
    """A program whose first retry is after a second, with one chat that was to be deleted long ago."""
    async with serving(folder, emulator, IS_DELETE="1", DELETE_RETRY_SECONDS="60") as server:
        await server.conversation().say("hi")
    clock.at += timedelta(hours=1)
    environ = {
        "QWEN_AUTH_TOKEN": emulator.mint_token(),
        "QWEN_BASE_URL": emulator.url,
        "QWEN_AUTH_URL": emulator.auth_url,
        "DELETE_RETRY_SECONDS": "1",
    }
    settings = await asyncio.to_thread(load, folder, environ)
    async with open_program(settings, clock) as program:
        yield program


async def due(program: Program, clock: StoppedClock) -> timedelta:
    """Return how long it is until the next deletion."""
    services = program.services
    at = await services.store.deletions.next_due(services.upstream.account_name())
    assert at is not None
    return at - clock.at


async def test_the_pause_before_a_deletion_is_tried_again_doubles_up_to_half_a_minute(tmp_path: Path) -> None:
    clock, pauses = StoppedClock(), []
    async with emulating() as emulator, one_to_delete(tmp_path, emulator, clock) as program:
        for tries in range(1, 9):
            emulator.script.fault("server_error", target="delete")
            assert await program.cleaner.sweep() == SweepReport(deleted=0, failed=1, aged=0, waiting=1)
            assert deletes(emulator) == tries
            pause = await due(program, clock)
            pauses.append(pause.total_seconds())
            clock.at += pause - timedelta(milliseconds=5)
            assert await program.cleaner.sweep() == SweepReport(deleted=0, failed=0, aged=0, waiting=1), "not yet"
            clock.at += timedelta(milliseconds=5)
        assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
        assert await program.cleaner.sweep() == SweepReport(deleted=1, failed=0, aged=0, waiting=0)
        assert not emulator.chats


@pytest.mark.parametrize("fault", ["anti_bot", "expired"])
async def test_a_deletion_that_needs_a_person_first_waits_for_ten_minutes(tmp_path: Path, fault: str) -> None:
    clock = StoppedClock()
    async with emulating() as emulator, one_to_delete(tmp_path, emulator, clock) as program:
        emulator.script.fault(fault, target="delete")
        assert await program.cleaner.sweep() == SweepReport(deleted=0, failed=1, aged=0, waiting=1)
        assert await due(program, clock) == timedelta(minutes=10)


class JumpingClock(SystemClock):
    """A clock that somebody sets anew."""

    def __init__(self) -> None:
        self.off = timedelta()

    def now(self) -> datetime:
        return super().now() + self.off


def deletes(emulator: Emulator) -> int:
    return sum(request.method == "DELETE" for request in emulator.requests)


@pytest.mark.parametrize("jump", [timedelta(days=-2), timedelta(days=2)])
async def test_a_clock_that_is_set_anew_loses_neither_the_thread_nor_a_deletion(
    tmp_path: Path, jump: timedelta
) -> None:
    clock = JumpingClock()
    async with emulating() as emulator, serving(tmp_path, emulator, clock) as server:
        talk = server.conversation()
        await talk.say("My dog is called Waldo.")
        clock.off = jump
        assert (await talk.say("What is my dog called?")).match == "exact"
        emulator.script.fault("server_error", target="delete")
        await server.client.chat([{"role": "user", "content": NAMING}])
        await eventually(lambda: deletes(emulator) >= 1)
        clock.off = timedelta()
        await server.client.chat([{"role": "user", "content": NAMING}])
        await eventually(lambda: len(emulator.chats) == 1)
        assert (await talk.say("And again: what is my dog called?")).text == "Your dog is Waldo."

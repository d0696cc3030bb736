"""What the owner does at the command line: pull chats of the browser, look at sessions, erase them."""

import asyncio
import contextlib
import io
import json
import logging
import os
import re
import resource
import shutil
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import pytest

from app.__main__ import main
from app.emulator import Emulator
from tests.e2e.harness import AGE_SESSIONS, Client, Conversation, emulating, eventually, serving
from tests.e2e.processes import ROOT, environment, server_process
from tests.samples import data_url
from tests.upstream.scripted import CHAT, good, refusal, reply, running_site

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"
SECOND = timedelta(seconds=1)


class Shell:
    """A person's terminal in front of one database and one emulated account."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}

    async def run(self, *arguments: str, **settings: str) -> tuple[int, str]:
        """Run a command in this process, which spares the start of one; return its exit code and what it said."""
        environ = environment(self.folder, **self.settings, **settings)
        return await asyncio.to_thread(_command, arguments, environ)

    async def run_apart(self, *arguments: str, **settings: str) -> str:
        """Run a command in a process whose standard input is closed; return what it said."""
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "app", *arguments),
            cwd=ROOT,
            env=environment(self.folder, **self.settings, **settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return said.decode()

    def rows(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.folder / "qwen-thread.db")) as database:
            return database.execute(query).fetchall()


def _command(arguments: Sequence[str], environ: dict[str, str]) -> tuple[int, str]:
    said, log = io.StringIO(), logging.getLogger()
    level, handlers = log.level, list(log.handlers)
    try:
        with (
            mock.patch.dict(os.environ, environ, clear=True),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            code = main(list(arguments))
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        log.handlers[:] = handlers
        log.setLevel(level)
    return code, said.getvalue()


@pytest.fixture
async def shell(tmp_path: Path, emulator: Emulator) -> Shell:
    return Shell(tmp_path, emulator)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def shown(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [
        message
        for asked, answered in turns
        for message in ({"role": "user", "content": asked}, {"role": "assistant", "content": answered})
    ]


async def test_a_chat_of_the_browser_continues_in_a_client_that_shows_its_history(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    chat_id, _, first = await emulator.browse(None, DOG, "A fine name.")
    await emulator.browse(chat_id, "Tell me about cats.", "They purr.")
    await emulator.browse(chat_id, "Tell me about birds.", "They sing.", parent_id=first)
    code, told = await shell.run("pull")
    assert (code, "Chats listed: 1, read: 1, new answers: 3, passed over: 0." in told) == (0, True)
    async with server_process(shell.folder, **shell.settings) as server:
        client = Client(session, server.url)
        for turns in (
            ((DOG, "A fine name."), ("Tell me about cats.", "They purr.")),
            ((DOG, "A fine name."), ("Tell me about birds.", "They sing.")),
        ):
            reply = await client.chat([*shown(*turns), {"role": "user", "content": ASK}])
            assert (reply.match, reply.text) == ("exact", "Your dog is Waldo.")
            assert (emulator.shown[-1].chat_id, emulator.shown[-1].text) == (chat_id, ASK)
    assert shell.rows("SELECT branches, origin, title FROM v_sessions") == [(2, "pulled", DOG)]


async def test_a_pull_can_be_repeated_and_takes_only_what_is_new(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    await emulator.browse(None, "One", "1")
    chat_id, _, _ = await emulator.browse(None, "Two", "2")
    assert "new answers: 2" in (await shell.run("pull"))[1]
    reads = sum(request.method == "GET" and request.path.endswith(chat_id) for request in emulator.requests)
    assert "new answers: 0" in (await shell.run("pull"))[1]
    assert sum(request.path.endswith(chat_id) for request in emulator.requests) == reads
    emulator.chats[chat_id].updated_at += 60
    await emulator.browse(chat_id, "Three", "3")
    emulator.chats[chat_id].updated_at += 60
    assert "new answers: 1" in (await shell.run("pull"))[1]
    assert shell.rows("SELECT count(*), count(DISTINCT response_id) FROM nodes") == [(3, 3)]


async def test_a_pull_ends_where_the_site_repeats_a_page_past_the_end_of_its_list(shell: Shell) -> None:
    async with running_site() as site:
        site.on("GET /api/v2/chats/", good([{"id": CHAT, "title": "One", "updated_at": 1790000000}]))
        site.on(f"GET /api/v2/chats/{CHAT}", reply(refusal("Not_Found")))
        shell.settings["QWEN_BASE_URL"] = site.url
        code, told = await shell.run("pull")
    assert (code, "Chats listed: 1, read: 0" in told) == (0, True), told
    assert sum("page=" in request.path for request in site.requests) == 2


async def test_our_own_chat_that_was_continued_in_the_browser(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    async with server_process(shell.folder, **shell.settings) as server:
        talk = Conversation(Client(session, server.url), system="Be brief.")
        await talk.say(DOG)
        code, told = await shell.run("pull")
        assert (code, "in use by another qwen-thread" in told, "Stop that one, pull, and" in told) == (1, True, True)
        await server.stop()
    (chat_id,) = emulator.chats
    await emulator.browse(chat_id, "Is that a good name?", "The best.")
    emulator.chats[chat_id].updated_at += 60
    assert "new answers: 1" in (await shell.run("pull"))[1]
    async with server_process(shell.folder, **shell.settings) as server:
        talk.client.url = server.url
        talk.messages += shown(("Is that a good name?", "The best."))
        reply = await talk.say(ASK)
    assert (reply.match, reply.text, emulator.shown[-1].text) == ("exact", "Your dog is Waldo.", ASK)


async def test_a_chat_of_the_browser_is_never_deleted_upstream(
    shell: Shell, emulator: Emulator, tmp_path: Path
) -> None:
    chat_id, _, _ = await emulator.browse(None, DOG, "A fine name.")
    await shell.run("pull")
    with contextlib.closing(sqlite3.connect(tmp_path / "qwen-thread.db", isolation_level=None)) as database:
        database.execute(AGE_SESSIONS)
    assert "deleted on the site: 0" in (await shell.run("sweep", RETENTION_DAYS="1"))[1]
    code, told = await shell.run("sessions", "delete", "--yes", chat_id)
    assert (code, "Sessions erased: 1" in told) == (0, True)
    assert list(emulator.chats) == [chat_id]
    assert shell.rows("SELECT count(*) FROM sessions") == shell.rows("SELECT count(*) FROM turns") == [(0,)]


async def test_sessions_are_listed_shown_and_exported(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with server_process(shell.folder, **shell.settings) as server:
        talk = Conversation(Client(session, server.url))
        await talk.say(DOG)
        await talk.say("Say something.")
        talk.messages.pop()
        last = await talk.again()
        code, listed = await shell.run("sessions", "list")  # also while the server runs
        assert code == 0
        assert DOG in listed.splitlines()[1]
        name = last.session.removeprefix("session_")[:12]
        assert name in listed
        code, told = await shell.run("sessions", "show", name)
        assert code == 0
        assert told.index("## Branch 1 of 2") < told.index("## Branch 2 of 2")
        assert told.count(DOG) == 3
        await server.stop()
    file = tmp_path / "history.jsonl"
    code, told = await shell.run("sessions", "export", "--format", "jsonl", "--output", str(file))
    assert (code, told.strip()) == (0, f"Sessions written to {file}: 1")
    branches = [json.loads(line) for line in file.read_text().splitlines()]
    assert [[message["role"] for message in branch["messages"]] for branch in branches] == [
        ["user", "assistant"] * 2
    ] * 2
    assert branches[0]["messages"][0]["content"] == DOG
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "as the database that it came from"
    code, told = await shell.run("sessions", "export", "--output", str(file))
    assert (code, f"{file} exists already and was left as it is; name a new file." in told) == (1, True)
    code, told = await shell.run("sessions", "export", "--output", str(tmp_path / "missing" / "history.md"))
    assert (code, f"There is no folder {tmp_path / 'missing'}; make it" in told) == (1, True)
    assert "Cannot listen" not in told


async def test_words_that_would_steer_a_terminal_are_shown_for_what_they_are(
    shell: Shell, emulator: Emulator, tmp_path: Path
) -> None:
    asked, answered = "Red \x1b[31m\x9b2J\u202e\ttitle", "One\x07\n\ttwo\r\n三\u3000👩\u200d🚀\rgone"
    await emulator.browse(None, asked, answered)
    assert r"Red \x1b[31m\x9b2J\u202e" in (await shell.run("pull"))[1]
    assert r"Red \x1b[31m\x9b2J\u202e title" in (await shell.run("sessions", "list"))[1]
    _, told = await shell.run("sessions", "show", "session_")
    assert "Red \\x1b[31m\\x9b2J\\u202e\ttitle" in told
    assert "One\\x07\n\ttwo\r\n三\u3000👩\u200d🚀\\rgone" in told
    await shell.run("sessions", "export", "--format", "jsonl", "--output", str(tmp_path / "history.jsonl"))
    written = json.loads(await asyncio.to_thread((tmp_path / "history.jsonl").read_text, "utf-8"))
    assert [message["content"] for message in written["messages"]] == [asked, answered], "a file holds what was said"


async def test_every_character_reaches_a_pipe_whatever_the_encoding_of_the_system(
    shell: Shell, emulator: Emulator
) -> None:
    await emulator.browse(None, "潮汐是什么?", "Ebbe 🌊")
    await shell.run("pull")
    listed = await shell.run_apart("sessions", "list", PYTHONIOENCODING="cp1252")
    assert "潮汐是什么?" in listed
    assert "Ebbe 🌊" in await shell.run_apart("sessions", "show", "session_", PYTHONIOENCODING="cp1252")


@pytest.mark.measured
async def test_where_the_shell_closed_the_input_nobody_is_asked(shell: Shell, emulator: Emulator) -> None:
    await emulator.browse(None, DOG, "A fine name.")
    await shell.run("pull")
    told = await shell.run_apart("sessions", "delete", "session_")
    assert "Nothing was erased: there is no terminal to ask at." in told
    assert "No token was found in what you pasted." in await shell.run_apart("login")


async def test_an_answer_that_failed_is_shown_with_its_reason(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    async with server_process(shell.folder, **shell.settings) as server:
        emulator.script.fault("inspection")
        reply = await Client(session, server.url).chat([{"role": "user", "content": DOG}])
        assert reply.status == 400
        await eventually(lambda: shell.rows("SELECT 1 FROM nodes WHERE state = 'failed'"))
        await server.stop()
    code, told = await shell.run("sessions", "show", "session_")
    assert (code, DOG in told, "not kept" in told) == (0, True, False)
    assert "(failed: The site's content inspection refused" in told
    code, told = await shell.run("sessions", "export", "--format", "jsonl")
    answer = json.loads(told)["messages"][1]
    assert (answer["content"], answer["state"]) == ("", "failed")
    assert answer["error"].startswith("The site's content inspection refused")


async def test_only_what_is_not_kept_is_shown_as_not_kept(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    await emulator.browse(None, "", "An answer to nothing.")
    await shell.run("pull")
    assert "not kept" not in (await shell.run("sessions", "list"))[1]
    async with server_process(shell.folder, **shell.settings, STORE_TEXT="0") as server:
        reply = await Conversation(Client(session, server.url)).say(DOG)
        await server.stop()
    assert (await shell.run("sessions", "list"))[1].count("(not kept: STORE_TEXT=0)") == 1
    assert (await shell.run("sessions", "show", reply.session))[1].count("(not kept: STORE_TEXT=0)") == 2


async def test_an_export_that_fails_leaves_no_file_behind(shell: Shell, emulator: Emulator, tmp_path: Path) -> None:
    await emulator.browse(None, DOG, "A fine name. " * 20_000)
    await shell.run("pull")
    file = tmp_path / "history.md"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        code, told = await shell.run("sessions", "export", "--output", str(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (code, "could not be written: File too large; nothing is left of it" in told) == (1, True)
    assert not file.exists()


NOTES_IN_PASSING = """
from app.__main__ import main
main(["sessions"])
import os, sqlite3
notes = sqlite3.connect("")
notes.execute("PRAGMA cache_size = 1")
notes.execute("CREATE TABLE notes AS SELECT randomblob(1000000)")
for name in os.listdir("/proc/self/fd"):
    print(os.path.realpath(f"/proc/self/fd/{name}"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the open files of a process as Linux shows them")
async def test_what_sqlite_notes_on_the_disk_in_passing_is_beside_the_database(tmp_path: Path) -> None:
    settings = environment(tmp_path)  # what measures coverage loads SQLite first
    settings.pop("SQLITE_TMPDIR", None)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", NOTES_IN_PASSING, cwd=ROOT, env=settings, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert f"{tmp_path}/etilqs_" in said.decode()


AFTER_A_COMMAND = """
import resource, sys
from app.__main__ import main
main(sys.argv[1:])
print(resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.parametrize("command", ["login", "pull", "sessions", "sweep"])
async def test_no_command_leaves_a_token_in_what_a_crash_leaves_behind(shell: Shell, command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AFTER_A_COMMAND, command),
        cwd=ROOT,
        env=environment(shell.folder, **shell.settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert said.decode().splitlines()[-1] == "(0, 0)"


async def test_sessions_without_more_lists_them(shell: Shell, emulator: Emulator) -> None:
    for text in ("One", "Two"):
        await emulator.browse(None, text, "1")
    await shell.run("pull")
    listed = await shell.run("sessions", "list")
    assert await shell.run("sessions") == listed
    assert len(listed[1].splitlines()) == 3
    assert len((await shell.run("sessions", "list", "--limit", "1"))[1].splitlines()) == 2


@pytest.mark.parametrize(
    "arguments", [("sessions", "list", "--limit", "0"), ("sessions", "list", "--limit", "-1"), ("pull", "--most", "0")]
)
async def test_a_number_that_looks_at_nothing_is_refused(shell: Shell, arguments: tuple[str, ...]) -> None:
    code, told = await shell.run(*arguments)
    assert (code, "must be a whole number of 1 or more" in told) == (2, True)


def is_waiting(pid: int) -> bool:
    """Say whether a process sleeps until something comes, as Linux tells it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.measured
@pytest.mark.skipif(not shutil.which("setsid"), reason="nothing here gives a process a terminal")
@pytest.mark.parametrize("key", ["\x03", "\x04"])
async def test_ctrl_c_or_ctrl_d_instead_of_an_answer_erases_nothing(
    shell: Shell, emulator: Emulator, tmp_path: Path, key: str
) -> None:
    await emulator.browse(None, DOG, "A fine name.")
    await shell.run("pull")
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *("setsid", "--ctty", "--wait", sys.executable, "-m", "app", "sessions", "delete", "session_"),
        cwd=ROOT,
        env=environment(tmp_path, **shell.settings),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)

    async def press() -> None:
        while True:  # a key that comes just before the program waits for it may not be heeded
            await eventually(lambda: is_waiting(process.pid))
            os.write(ours, key.encode())
            await asyncio.sleep(5)

    told, pressing = "", None
    with contextlib.suppress(OSError):  # a terminal whose last program ended
        while piece := await asyncio.to_thread(os.read, ours, 65536):
            told += piece.decode()
            if told.endswith("[y/N] ") and pressing is None:
                pressing = asyncio.create_task(press())
    assert pressing is not None, told
    pressing.cancel()
    os.close(ours)
    assert "To erase here: 1; chats to delete on the site: 0." in told
    assert await process.wait() == (130 if key == "\x03" else 1)
    assert "Traceback" not in told
    assert shell.rows("SELECT count(*) FROM sessions") == [(1,)]


async def test_a_session_is_erased_here_and_on_the_site(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    async with server_process(shell.folder, **shell.settings) as server:
        client = Client(session, server.url)
        kept, gone = Conversation(client), Conversation(client)
        await kept.say("Keep this.")
        await kept.say("And this.")
        await gone.say("Erase this.")
        last = await gone.say("And this.")
        await server.stop()
    code, told = await shell.run("sessions", "delete", last.session)
    assert (code, "Say --yes" in told) == (1, True)
    code, told = await shell.run("sessions", "delete", last.session, "--yes")
    assert code == 0
    assert "Chats deleted on the site: 1" in told
    assert len(emulator.chats) == 1
    assert b"Erase this." not in (shell.folder / "qwen-thread.db").read_bytes()
    assert shell.rows("SELECT count(*) FROM sessions") == [(1,)]
    async with server_process(shell.folder, **shell.settings) as server:
        kept.client.url = server.url
        assert (await kept.say("And now?")).match == "exact"


async def test_what_the_site_was_given_of_files_goes_with_the_last_session_that_has_them(
    shell: Shell, session: aiohttp.ClientSession
) -> None:
    async with server_process(shell.folder, **shell.settings) as server:
        client = Client(session, server.url)
        await client.chat([with_files("Keep these.", "kept.txt", "shared.txt")])
        erased = await client.chat([with_files("Erase these.", "erased.txt", "shared.txt")])
        await server.stop()
    names = "SELECT name FROM uploads ORDER BY name"
    assert shell.rows(names) == [("erased.txt",), ("kept.txt",), ("shared.txt",)]
    await shell.run("sessions", "delete", erased.session, "--yes")
    assert shell.rows(names) == [("kept.txt",), ("shared.txt",)]
    assert b"erased.txt" not in (shell.folder / "qwen-thread.db").read_bytes()


def with_files(text: str, *names: str) -> dict[str, Any]:
    """Return a message with files whose content is their name."""
    files = [{"filename": name, "file_data": data_url(name.encode(), "text/plain")} for name in names]
    parts = [{"type": "text", "text": text}, *({"type": "file", "file": file} for file in files)]
    return {"role": "user", "content": parts}


async def test_what_the_site_was_given_is_forgotten_at_the_start_where_it_has_ended(
    shell: Shell, session: aiohttp.ClientSession
) -> None:
    async with server_process(shell.folder, **shell.settings) as server:
        await Client(session, server.url).chat([with_files("Look.", "ended.txt", "good.txt")])
        await server.stop()
    with contextlib.closing(sqlite3.connect(shell.folder / "qwen-thread.db", isolation_level=None)) as database:
        database.execute("UPDATE uploads SET expires_at = '2020-01-01T00:00:00.000Z' WHERE name = 'ended.txt'")
    await shell.run("sweep")
    assert shell.rows("SELECT name FROM uploads") == [("good.txt",)]


@pytest.mark.parametrize("upstream", ["qwen", "emulator"])
async def test_a_file_that_cannot_be_used_is_not_taken_for_the_emulator_s(
    shell: Shell, emulator: Emulator, upstream: str
) -> None:
    await emulator.browse(None, DOG, "A fine name.")
    await shell.run("pull")
    (shell.folder / "qwen-thread.db-open").mkdir()
    code, told = await shell.run("sessions", "delete", "session_", "--yes", UPSTREAM=upstream)
    assert (code, "db-open cannot be used: Is a directory. Make it usable, and try again." in told) == (1, True)


async def test_a_session_is_erased_while_the_server_runs(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    async with server_process(shell.folder, **shell.settings) as server:
        talk = Conversation(Client(session, server.url))
        await talk.say(DOG)
        reply = await talk.say(ASK)
        code, told = await shell.run("sessions", "delete", reply.session, "--yes")
        assert (code, "within a minute" in told) == (0, True)
        assert "(erased; its chat is still to be deleted)" in (await shell.run("sessions", "list"))[1]
        assert (await talk.say(ASK)).match == "new"
        hold = emulator.script.hold("", pieces=["a ", "b"], before=1)
        body = {"model": "qwen3.7-plus", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        async with session.post(f"{server.url}/v1/chat/completions", json=body) as response:
            await hold.reached()
            await eventually(lambda: shell.rows("SELECT 1 FROM nodes WHERE state = 'open'"))
            code, told = await shell.run("sessions", "delete", response.headers["X-Session-Id"], "--yes")
            assert (code, "being answered just now" in told) == (1, True)
            hold.release()


async def test_a_session_whose_chat_is_gone_leaves_nothing_behind_when_erased(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    async with server_process(shell.folder, **shell.settings) as server:
        talk = Conversation(Client(session, server.url))
        lost = await talk.say(DOG)
        await emulator.delete_chat(emulator.shown[0].chat_id)
        found = await talk.say(ASK)
        await server.stop()
    code, told = await shell.run("sessions", "delete", "--yes", lost.session, found.session)
    assert (code, "Sessions erased: 2" in told) == (0, True)
    for table in ("sessions", "nodes", "turns", "deletions"):
        assert shell.rows(f"SELECT count(*) FROM {table}") == [(0,)], table


async def test_a_deletion_that_the_site_blocked_is_told_with_the_time_of_the_next_try(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    async with server_process(shell.folder, **shell.settings) as server:
        asked = await Conversation(Client(session, server.url)).say(DOG)
        await server.stop()
    emulator.script.fault("anti_bot", target="delete")
    assert (await shell.run("sessions", "delete", "--yes", asked.session))[0] == 0
    code, told = await shell.run("sweep")
    [(due,)] = shell.rows("SELECT due_at FROM deletions")
    named = re.search(r"still waiting for their time: 1\. The next one is due at (\S+ \S+) UTC; a server", told)
    assert named, told
    assert (code, list(emulator.chats)) == (0, [emulator.shown[0].chat_id])
    assert timedelta() <= datetime.fromisoformat(f"{named[1]}+00:00") - datetime.fromisoformat(due) <= SECOND


async def test_a_name_that_is_not_one_session_is_told(shell: Shell, emulator: Emulator) -> None:
    assert "There is no database" in (await shell.run("sessions", "list"))[1]
    await emulator.browse(None, "One", "1")
    await emulator.browse(None, "Two", "2")
    await shell.run("pull", "--owner", "anna")
    code, told = await shell.run("sessions", "show", "session_")
    assert (code, "the beginning of 2 sessions: " in told) == (1, True)
    listed = [line.split()[2] for line in (await shell.run("sessions", "list"))[1].splitlines()[1:]]
    assert f"sessions: {', '.join(listed)}. Write more of the one that you mean." in told
    for number in range(20):
        await emulator.browse(None, f"Number {number}", "1")
        if number == 17:
            await shell.run("pull")
            assert "the beginning of 20 sessions, such as " in (await shell.run("sessions", "delete", "session_"))[1]
    await shell.run("pull")
    code, told = await shell.run("sessions", "export", "session_")
    assert (code, "the beginning of more than 20 sessions, such as " in told) == (1, True)
    assert told.count(",") == 5, "a few of them are named"
    assert "There is no session nobody" in (await shell.run("sessions", "show", "nobody"))[1]
    assert "There are no sessions." in (await shell.run("sessions", "list", "--owner", "ben"))[1]


async def test_a_chat_gets_the_title_that_a_person_expects(tmp_path: Path) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator) as server:
        emulator.script.fault("server_error", target="rename")
        for text in ("This title cannot be set.", DOG):
            await server.conversation(system="You are a helpful assistant, and you are brief.").say(text)
        await server.conversation().say("A plain first message.")
        titles = [chat.title for chat in emulator.chats.values()]
        await eventually(lambda: DOG in [chat.title for chat in emulator.chats.values()])
        assert titles[0].startswith("<instructions>")
        assert titles[2] == "A plain first message."
        assert (
            sum(
                request.method == "POST" and request.path.endswith(tuple(emulator.chats))
                for request in emulator.requests
            )
            == 2
        )


async def test_what_was_said_in_the_browser_before_our_last_turn_is_brought_in_too(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    async with server_process(shell.folder, **shell.settings) as server:
        talk = Conversation(Client(session, server.url))
        await talk.say(DOG)
        (chat_id,) = emulator.chats
        await emulator.browse(chat_id, "Tell me about birds.", "They sing.")
        await talk.say(ASK)
        await server.stop()
    assert "new answers: 1" in (await shell.run("pull"))[1]
    assert "read: 0, new answers: 0" in (await shell.run("pull"))[1]


async def test_a_chat_of_another_owner_is_left_alone(
    shell: Shell, emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    shell.settings["API_KEYS"] = "alice:sk-alice-key-0000000000,bob:sk-bob-key-000000000000"
    async with server_process(shell.folder, **shell.settings) as server:
        await Conversation(Client(session, server.url, "sk-alice-key-0000000000")).say(DOG)
        await server.stop()
    (chat_id,) = emulator.chats
    await emulator.browse(chat_id, "Tell me about birds.", "They sing.", parent_id="")
    emulator.chats[chat_id].updated_at += 60
    assert "passed over: 1" in (await shell.run("pull", "--owner", "bob"))[1]
    async with server_process(shell.folder, **shell.settings) as server:
        history = [*shown(("Tell me about birds.", "They sing.")), {"role": "user", "content": "More."}]
        assert (await Client(session, server.url, "sk-bob-key-000000000000").chat(history)).match == "new"

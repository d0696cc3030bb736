"""A chat that cannot be gone on in: it is gone on the site, or an answer in it is still to be read back."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.core.ports import Prompt
from app.emulator import Emulator
from app.errors import ChatGone
from tests.e2e.habits import assistant, user
from tests.e2e.harness import Messages, Server, emulating, serving
from tests.e2e.studio import Said, Studio, studio_server

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"


async def begun(server: Server) -> tuple[Messages, str]:
    """Return the history of a conversation of one turn, and its session."""
    first = await server.client.chat([user(DOG)])
    return [user(DOG), assistant(first.text)], first.session


def refused(emulator: Emulator) -> int:
    """Count the messages for chats that the site does not know."""
    return sum(asked.path.endswith("/chat/completions") and asked.status == 404 for asked in emulator.requests)


@pytest.mark.parametrize("again", [ASK, "And what was its name?"])
async def test_a_chat_that_is_gone_is_tried_once_and_not_by_the_next_request(server: Server, again: str) -> None:
    """The next one has the same history: a regenerate, or an edit of its last text."""
    history, session = await begun(server)
    await server.emulator.delete_chat(server.emulator.shown[0].chat_id)
    first = await server.client.chat([*history, user(ASK)])
    assert (first.status, first.match, first.text, refused(server.emulator)) == (200, "new", "Your dog is Waldo.", 1)
    second = await server.client.chat([*history, user(again)])
    assert (second.status, refused(server.emulator)) == (200, 1)
    assert session not in {first.session, second.session}
    with closing(sqlite3.connect(server.database)) as database:
        assert database.execute("SELECT state FROM sessions WHERE id = ?", (session,)).fetchall() == [("gone",)]


class Contradicting(Studio):
    """Names the answer to the second message, and says that its chat is gone."""

    async def send(self, prompt: Prompt) -> Said:
        if len(self.prompts) != 1:
            return await super().send(prompt)
        self.prompts.append(prompt)
        problem = ChatGone("The site has no such chat.")
        problem.accepted = True
        raise problem


async def test_a_message_that_the_site_took_is_not_replayed_whatever_it_says(tmp_path: Path) -> None:
    studio = Contradicting()
    async with studio_server(tmp_path, studio) as client:
        first = await client.chat([user(DOG)], model="talker")
        reply = await client.chat([user(DOG), assistant(first.text), user(ASK)], model="talker")
    assert (reply.status, reply.error["code"], len(studio.prompts)) == (502, "upstream_chat_gone", 2)
    assert reply.headers["x-should-retry"] == "false"


class Replaced(Studio):
    """The owner gives another account's token while the second message is on its way."""

    async def send(self, prompt: Prompt) -> Said:
        if len(self.prompts) != 1:
            return await super().send(prompt)
        self.prompts.append(prompt)
        self.owner = "another account"
        raise ChatGone("The site has no such chat.")


async def test_a_chat_that_another_account_s_token_did_not_find_is_not_given_up(tmp_path: Path) -> None:
    studio = Replaced()
    async with studio_server(tmp_path, studio) as client:
        first = await client.chat([user(DOG)], model="talker")
        history = [user(DOG), assistant(first.text), user(ASK)]
        theirs = await client.chat(history, model="talker")
        assert (theirs.status, theirs.match) == (200, "new")
        studio.owner = "account"
        ours = await client.chat(history, model="talker")
        assert (ours.match, ours.session) == ("exact", first.session)
        studio.owner = "another account"
        history += [assistant(theirs.text), user("And again?")]
        again = await client.chat(history, model="talker")
        assert (again.match, again.session) == ("exact", theirs.session)


def leave_open(database: Path) -> None:
    """Leave an answer open below the first one, as a process that was killed while it came."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO nodes (id, session_id, parent_id, depth, match, model, user_text, user_chars, "
            "system_digest, before_key, user_key, created_at) SELECT 'cut', session_id, id, 2, 'exact', model, "
            "'cut', 3, '', turn_key, 'user', created_at FROM nodes"
        )


async def test_in_a_chat_whose_cut_answer_is_still_to_be_read_back_nothing_is_said(tmp_path: Path) -> None:
    async with emulating() as emulator:
        async with serving(tmp_path, emulator) as server:
            history, session = await begun(server)
        leave_open(server.database)
        chat = emulator.shown[0].chat_id
        emulator.script.fault("server_error", target="read")
        async with serving(tmp_path, emulator) as server:
            reply = await server.client.chat([*history, user(ASK)])
            assert (reply.match, reply.text) == ("new", "Your dog is Waldo.")
            assert emulator.shown[-1].chat_id != chat
        async with serving(tmp_path, emulator) as server:
            reply = await server.client.chat([*history, user("What was its name?")])
            assert (reply.match, reply.session, emulator.shown[-1].chat_id) == ("exact", session, chat)

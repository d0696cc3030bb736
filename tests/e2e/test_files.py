"""Files in messages: the model is shown them, once, and conversations with files keep their thread."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from app.commands.sessions import json_lines, markdown
from app.emulator.state import Shown
from app.main import MIGRATIONS
from app.store.archive import open_archive
from tests.e2e.harness import MODEL, Reply, Server, emulating, serving
from tests.samples import MP4, PDF, PNG, TEXT, WAV, data_url, png

pytestmark = pytest.mark.asyncio(loop_scope="module")
TEXT_ONLY = "qwen3-coder-plus"
LONG = "It shows a plain square, and nothing else can be seen in it at all."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with emulating() as emulator, serving(tmp_path_factory.mktemp("files"), emulator) as server:
        yield server


def picture(data: bytes = PNG) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(data, "image/png")}}


def document(data: bytes, name: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": data_url(data, "application/octet-stream")}}


def says(text: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}, *parts]}


def answered(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def last(server: Server) -> Shown:
    return server.emulator.shown[-1]


def digests(shown: Shown) -> list[str]:
    return [file.digest for file in shown.files]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def ask(server: Server, *messages: dict[str, Any], answer: str | None = None, **fields: Any) -> Reply:
    if answer is not None:
        server.emulator.script.answer(answer)
    reply = await server.client.chat(list(messages), **fields)
    assert reply.status == 200, reply.body
    return reply


def uploads(server: Server) -> int:
    return sum(request.method == "PUT" for request in server.emulator.requests)


async def test_the_model_is_shown_files_of_every_kind(server: Server) -> None:
    sound = {"type": "input_audio", "input_audio": {"data": data_url(WAV, "audio/wav"), "format": "wav"}}
    film = {"type": "video_url", "video_url": {"url": data_url(MP4, "video/mp4")}}
    await ask(server, says("What?", picture(), document(PDF, "a.pdf"), document(TEXT, "b.txt"), sound, film))
    shown = [(file.type, file.content_type, file.name, file.digest) for file in last(server).files]
    assert shown == [
        ("image", "image/png", "image.png", sha256(PNG)),
        ("file", "application/pdf", "a.pdf", sha256(PDF)),
        ("file", "text/plain", "b.txt", sha256(TEXT)),
        ("audio", "audio/wav", "audio.wav", sha256(WAV)),
        ("video", "video/mp4", "video.mp4", sha256(MP4)),
    ]
    assert last(server).text == "What?"


async def test_a_follow_up_goes_on_natively_and_sends_no_file_again(server: Server) -> None:
    first = says("What is the colour of this?", picture())
    opened = await ask(server, first, answer="Red.")
    before = uploads(server)
    reply = await ask(server, first, answered("Red."), says("And how large is it?"))
    assert (reply.match, reply.session) == ("exact", opened.session)
    assert (last(server).text, last(server).files) == ("And how large is it?", [])
    assert uploads(server) == before


async def test_the_same_bytes_are_uploaded_once_also_for_requests_at_once(server: Server) -> None:
    shown, before = png(1, 2, 3), uploads(server)
    await asyncio.gather(*(ask(server, says(f"Number {number}: what is it?", picture(shown))) for number in range(3)))
    await ask(server, says("And once more?", picture(shown), picture(shown)))
    assert uploads(server) == before + 1
    assert digests(last(server)) == [sha256(shown)], "the same picture twice in a message is one"


async def test_equal_words_with_another_picture_are_another_conversation(server: Server) -> None:
    one, other = png(10, 0, 0), png(0, 10, 0)
    first = await ask(server, says("Describe it.", picture(one)), answer=LONG)
    again = await ask(server, says("Describe it.", picture(other)), answered(LONG), says("Really?"))
    assert (again.match, again.session == first.session) == ("new", False)
    assert digests(last(server)) == [sha256(other)]
    assert "[attached: image.png]" in last(server).text
    right = await ask(server, says("Describe it.", picture(one)), answered(LONG), says("Really?"))
    assert (right.match, right.session) == ("exact", first.session)


async def test_two_at_once_in_one_chat_do_not_meet_there_while_files_go_up(server: Server) -> None:
    asked = says("Remember: the number is 12.")
    opened = await ask(server, asked, answer="Noted, it is twelve.")
    history, stops = (asked, answered("Noted, it is twelve.")), len(server.emulator.stops)
    both = await asyncio.gather(
        *(ask(server, *history, says("What is on it?", picture(png(77, 0, number)))) for number in range(2))
    )
    assert sorted(reply.match for reply in both) == ["exact", "new"]
    assert {reply.session == opened.session for reply in both} == {True, False}
    assert len(server.emulator.stops) == stops


async def test_a_client_that_drops_old_pictures_keeps_its_thread(server: Server) -> None:
    asked = says("What does this photo show, please?", picture(png(7, 7, 7)))
    opened = await ask(server, asked, answer=LONG)
    reply = await ask(server, says("What does this photo show, please?"), answered(LONG), says("Thanks."))
    assert (reply.match, reply.session, last(server).files) == ("window", opened.session, [])


async def test_a_picture_that_was_exchanged_is_asked_about_anew(server: Server) -> None:
    await ask(server, says("Say hello first."), answer="Hello.")
    before = [says("Say hello first."), answered("Hello.")]
    await ask(server, *before, says("What is it?", picture(png(1, 1, 1))))
    one = last(server)
    reply = await ask(server, *before, says("What is it?", picture(png(2, 2, 2))))
    assert (reply.match, last(server).user_action) == ("exact", "edit")
    assert (last(server).chat_id, last(server).parent_id) == (one.chat_id, one.parent_id)
    assert digests(last(server)) == [sha256(png(2, 2, 2))]


async def test_a_replay_shows_the_newest_files_and_names_the_rest(server: Server) -> None:
    shades = [png(shade, 90, 90) for shade in range(7)]
    history = [
        message
        for number, shade in enumerate(shades)
        for message in (says(f"Picture {number}", picture(shade)), answered(f"I see number {number}."))
    ]
    before = uploads(server)
    await ask(server, *history, says("Which was the last?"))
    assert digests(last(server)) == [sha256(shade) for shade in shades[2:]]
    assert last(server).text.count("[attached: image.png]") == 5
    assert last(server).text.count("[attached, not shown again: image.png]") == 2
    assert uploads(server) == before + 5


async def test_a_file_that_cannot_be_had_any_more_does_not_stop_a_replay(server: Server) -> None:
    gone = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/cat.png"}}
    reply = await ask(server, says("A cat", gone), answered("Yes."), says("And now?"))
    assert (reply.match, last(server).files) == ("new", [])
    assert "[attached, not shown again: cat.png]" in last(server).text


async def test_a_replay_to_a_model_that_sees_nothing_names_what_was_shown(server: Server) -> None:
    await ask(server, says("Look", picture()), answered("Nice."), says("And now?"), model=TEXT_ONLY)
    assert (last(server).files, "[attached, not shown again: image.png]" in last(server).text) == ([], True)


@pytest.mark.parametrize(
    ("parts", "model", "code", "told"),
    [
        ([picture()], TEXT_ONLY, "unsupported_file", MODEL),
        ([picture(png(n, 0, 9)) for n in range(6)], MODEL, "file_limit_exceeded", "more than 5 files of the kind im"),
        ([{"type": "audio_url", "audio_url": data_url(WAV + bytes([n]), "audio/wav")} for n in range(2)], MODEL,
         "file_limit_exceeded", "more than 1 file of the kind audio"),
        ([{"type": "file", "file": {"file_id": "file-none"}}], MODEL, "file_not_found", "file-none"),
        ([{"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/cat.png"}}], MODEL, "file_not_fetched",
         "not an address of the public internet"),
    ],
)  # fmt: skip
async def test_what_cannot_be_shown_is_refused_before_anything_is_sent(
    server: Server, parts: list[dict[str, Any]], model: str, code: str, told: str
) -> None:
    chats, sent = len(server.emulator.chats), uploads(server)
    reply = await server.client.chat([says("Look", *parts)], model=model)
    assert reply.status in {400, 404}
    assert (reply.error["code"], reply.error["type"]) == (code, "invalid_request_error")
    assert told in reply.error["message"]
    assert (len(server.emulator.chats), uploads(server)) == (chats, sent)


async def test_a_document_that_the_site_cannot_read_is_the_request_s_fault(server: Server) -> None:
    server.emulator.script.parse("failed")
    reply = await server.client.chat([says("Read", document(b"%PDF-1.4 broken", "broken.pdf"))])
    assert (reply.status, reply.error["code"]) == (400, "invalid_file")
    assert "broken.pdf" in reply.error["message"]


@pytest.mark.parametrize(("fault", "shade"), [("signature", 90), ("token_expired", 91), ("denied", 92)])
async def test_a_key_that_the_site_s_store_refuses_is_the_site_s_fault(server: Server, fault: str, shade: int) -> None:
    server.emulator.script.fault(fault, target="bucket")
    assert (await server.client.chat([says("Look", picture(png(4, 3, shade)))])).status == 200, "with another key"
    server.emulator.script.fault(fault, target="bucket", times=2)
    reply = await server.client.chat([says("Look", picture(png(3, 4, shade)))])
    assert (reply.status, reply.error["code"]) == (502, "upstream_protocol_error")


async def test_a_picture_that_a_prompt_mode_tool_gave_is_shown(server: Server) -> None:
    """Cherry Studio sends results as a user's message, with pictures for models that see."""
    call = "<tool_use>\n<name>look</name>\n<arguments>{}</arguments>\n</tool_use>"
    asked = says("Look around.")
    await ask(server, asked, answer=call)
    result = says("Here is the result of mcp tool use `look`:", picture(png(5, 6, 7)))
    reply = await ask(server, asked, answered(call), result)
    assert (reply.match, digests(last(server))) == ("exact", [sha256(png(5, 6, 7))])


async def test_a_picture_without_words_is_sent_with_words(server: Server) -> None:
    await ask(server, {"role": "user", "content": [picture(png(4, 4, 4))]})
    assert (last(server).text, len(last(server).files)) == ("See the attached file.", 1)


async def test_the_history_names_the_files(server: Server) -> None:
    await ask(server, says("Keep these two.", document(TEXT, "notes.txt"), picture()), answer="Kept.")

    def read() -> list[tuple[str, str | None]]:
        with closing(sqlite3.connect(server.database)) as database, database:
            found = "SELECT session FROM v_history WHERE text = 'Keep these two.'"
            return database.execute(f"SELECT role, files FROM v_history WHERE session = ({found})").fetchall()

    assert await asyncio.to_thread(read) == [("user", "notes.txt, image.png"), ("assistant", None)]


async def test_a_stored_file_goes_by_its_name_and_a_chat_without_words_by_its_files(server: Server) -> None:
    form = aiohttp.FormData({"purpose": "user_data"})
    form.add_field("file", b"Milk, bread, figs.", filename="shopping.txt")
    async with server.client.session.post(f"{server.url}/v1/files", data=form) as response:
        file = (await response.json())["id"]
    asked = {"role": "user", "content": [{"type": "file", "file": {"file_id": file}}]}
    reply = await ask(server, asked, answer="A list.")

    def read() -> tuple[str, str, str]:
        with closing(sqlite3.connect(server.database)) as database, database:
            (title,) = database.execute("SELECT title FROM sessions WHERE id = ?", (reply.session,)).fetchone()
            found = "SELECT text, files FROM v_history WHERE session = ? AND role = 'user'"
            return title, *database.execute(found, (reply.session,)).fetchone()

    assert await asyncio.to_thread(read) == ("shopping.txt", "", "shopping.txt")
    await ask(server, asked, answered("Another list."), says("And now?"))
    assert "[attached: shopping.txt]" in last(server).text


async def test_a_reference_that_ended_is_made_anew(server: Server) -> None:
    shown = png(9, 8, 7)
    await ask(server, says("One?", picture(shown)))
    before = uploads(server)

    def expire() -> None:
        with closing(sqlite3.connect(server.database)) as database, database:
            database.execute("UPDATE uploads SET expires_at = '2020-01-01T00:00:00.000Z'")

    await asyncio.to_thread(expire)
    await ask(server, says("Two?", picture(shown)))
    assert (uploads(server), digests(last(server))) == (before + 1, [sha256(shown)])


async def test_a_conversation_with_files_is_exported_with_their_names(server: Server) -> None:
    reply = await ask(server, says("File this.", document(TEXT, "receipt.txt")), answer="Filed.")

    def export() -> tuple[str, dict[str, Any]]:
        with open_archive(server.database, MIGRATIONS) as archive:
            (session,) = archive.named(reply.session, limit=2)
            return "\n".join(markdown(session, archive)), json.loads(next(json_lines(session, archive)))

    page, line = await asyncio.to_thread(export)
    assert "Attached: receipt.txt" in page
    assert line["messages"][0]["files"] == ["receipt.txt"]

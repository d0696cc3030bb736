"""What is too long for one message travels as a document, and the conversation goes on natively after it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.emulator.state import Shown
from tests.e2e.harness import Reply, Server, emulating, serving
from tests.samples import TEXT, data_url

pytestmark = pytest.mark.asyncio(loop_scope="module")
TEXT_ONLY = "qwq-32b"
SMALL = "qwen-max-latest"  # 131,072 tokens
PADDING = "All work and no play makes a long text. " * 3000  # 120 kB


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with emulating() as emulator, serving(tmp_path_factory.mktemp("long"), emulator) as server:
        yield server


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


LONG_AGO = [user(f"My dog is called Waldo. {PADDING}"), assistant("Noted.")]


def last(server: Server) -> Shown:
    return server.emulator.shown[-1]


def texts(server: Server) -> list[str | None]:
    return [file.text for file in last(server).files]


async def refusal(server: Server, *messages: dict[str, Any], **fields: Any) -> Reply:
    chats = len(server.emulator.chats)
    reply = await server.client.chat(list(messages), **fields)
    assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
    assert reply.error["message"].startswith("Input tokens exceed the configured limit. ")
    assert len(server.emulator.chats) == chats
    return reply


async def test_a_long_history_is_replayed_as_a_document_and_continued_natively(server: Server) -> None:
    history = [*LONG_AGO, user("What is my dog called?")]
    opened = await server.client.chat(history)
    assert (opened.match, opened.text) == ("new", "Your dog is Waldo.")
    shown = last(server)
    assert [(file.name, file.type) for file in shown.files] == [("conversation.txt", "file")]
    assert shown.text == (
        "The attached file conversation.txt (120,103 characters) holds our conversation, each in a tag. "
        "Read all of it before you answer. "
        "Go on from the conversation as the assistant. Reply to what follows.\n\nWhat is my dog called?"
    )
    assert (shown.files[0].text or "").startswith("<conversation>\n<user>\nMy dog is called Waldo. All work")
    reply = await server.client.chat([*history, assistant(opened.text), user("And again, what is my dog called?")])
    assert (reply.match, reply.session, reply.text) == ("exact", opened.session, "Your dog is Waldo.")
    assert (last(server).text, last(server).files) == ("And again, what is my dog called?", [])


async def test_a_long_text_of_the_user_becomes_a_document(server: Server) -> None:
    await server.client.chat([{"role": "system", "content": "Be brief."}, user(f"{PADDING} What is it?")])
    assert last(server).text.startswith("<instructions>\nBe brief.\n</instructions>\n\nThe attached file")
    assert last(server).text.endswith("Reply to my message in the file.")
    assert texts(server) == [f"<message>\n{PADDING} What is it?\n</message>"]


async def test_long_instructions_follow_the_transcript_into_the_document(server: Server) -> None:
    system = {"role": "system", "content": f"Be brief. {PADDING}"}
    await server.client.chat([system, *LONG_AGO, user("Go on.")])
    assert last(server).text.endswith("Follow the instructions. Go on from the conversation as the assistant. "
                                      "Reply to what follows.\n\nGo on.")  # fmt: skip
    (text,) = texts(server)
    assert text is not None
    assert text.startswith("<instructions>\nBe brief.")
    assert text.endswith("</assistant>\n</conversation>")


async def test_a_long_text_in_a_continued_chat_becomes_a_document_too(server: Server) -> None:
    opened = await server.client.chat([user("Remember: the code is 4711")])
    history = [user("Remember: the code is 4711"), assistant(opened.text), user(f"{PADDING} And now?")]
    reply = await server.client.chat(history)
    assert (reply.match, reply.session) == ("exact", opened.session)
    assert [file.name for file in last(server).files] == ["conversation.txt"]


async def test_a_model_that_reads_no_documents_refuses_with_the_numbers(server: Server) -> None:
    reply = await refusal(server, *LONG_AGO, user("And?"), model=TEXT_ONLY)
    assert "92,160 bytes pass (BODY_BUDGET)" in reply.error["message"]


async def test_a_document_that_the_site_refuses_leaves_the_text_too_long(server: Server) -> None:
    server.emulator.script.parse("failed")
    chats = len(server.emulator.chats)
    reply = await server.client.chat([user(f"Unreadable. {PADDING}")])
    assert (reply.status, reply.error["code"], len(server.emulator.chats)) == (400, "context_length_exceeded", chats)


async def test_a_document_that_the_site_s_store_refuses_is_not_a_text_that_is_too_long(server: Server) -> None:
    server.emulator.script.fault("token_expired", target="bucket", times=2)
    reply = await server.client.chat([user(f"Not stored. {PADDING}")])
    assert (reply.status, reply.error["code"]) == (502, "upstream_protocol_error")


async def test_five_documents_leave_no_room_for_a_long_text(server: Server) -> None:
    files = [
        {"type": "file", "file": {"filename": f"{n}.txt", "file_data": data_url(TEXT + b"%d" % n, "text/plain")}}
        for n in range(5)
    ]
    reply = await server.client.chat([{"role": "user", "content": [{"type": "text", "text": PADDING}, *files]}])
    assert (reply.status, reply.error["code"]) == (400, "file_limit_exceeded")


async def test_what_the_model_cannot_hold_is_refused_with_the_numbers(server: Server) -> None:
    reply = await refusal(server, user("word " * 120_000), model=SMALL)
    assert f"about 171,429 tokens; the context of {SMALL} takes 131,072" in reply.error["message"]


async def test_a_chat_that_is_full_refuses_what_does_not_fit_any_more(server: Server) -> None:
    opened = await server.client.chat([user(f"Hello. {'word ' * 90_000}")], model=SMALL)
    assert opened.status == 200, opened.body
    history = [user(f"Hello. {'word ' * 90_000}"), assistant(opened.text), user("more " * 50_000)]
    await refusal(server, *history, model=SMALL)


async def test_a_chat_that_is_full_says_so_also_where_a_replay_has_another_fault(server: Server) -> None:
    talk = server.conversation(model=SMALL)
    await talk.say(f"Hello. {'word ' * 90_000}")
    files = [
        {"type": "file", "file": {"filename": f"{n}.txt", "file_data": data_url(TEXT + b"f%d" % n, "text/plain")}}
        for n in range(5)
    ]
    talk.messages.append({"role": "user", "content": [{"type": "text", "text": "And these."}, *files]})
    shown = await server.client.chat(talk.messages, model=SMALL)
    assert (shown.status, shown.match) == (200, "exact")
    history = [*talk.messages, assistant(shown.text), user("more " * 50_000)]
    reply = await refusal(server, *history, model=SMALL)
    assert "in the conversation before it" in reply.error["message"]


async def test_a_message_that_no_chat_could_take_is_not_replayed(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    talk = server.conversation(model=TEXT_ONLY)
    await talk.say("Hello, who are you?")
    reply = await refusal(server, *talk.messages, user(PADDING), model=TEXT_ONLY)
    assert "(BODY_BUDGET)" in reply.error["message"]
    assert "replaying" not in caplog.text


async def test_a_full_chat_is_left_for_a_new_one_where_the_client_sends_a_window(server: Server) -> None:
    talk = server.conversation(model=SMALL)
    for text in (f"My dog is called Waldo. {'word ' * 90_000}", f"A little more. {'more ' * 2_000}"):
        server.emulator.script.answer("I have read all of it, and it is more than forty characters.")
        await talk.say(text)
    window = talk.messages[2:]
    short = await server.client.chat([*window, user("What is my dog called?")], model=SMALL)
    assert (short.match, short.text) == ("window", "Your dog is Waldo.")
    window.append(user(f"And a lot. {'more ' * 50_000}"))
    left = await server.client.chat(window, model=SMALL)
    assert (left.status, left.match, "Waldo" in last(server).text) == (200, "new", False)
    after = await server.client.chat([*window, assistant(left.text), user("And now?")], model=SMALL)
    assert (after.match, after.session) == ("exact", left.session)


async def test_the_site_s_counts_correct_the_estimate(tmp_path: Path) -> None:
    """The emulator counts a token for four characters, the estimate takes one for three and a half."""
    async with emulating() as emulator, serving(tmp_path, emulator) as server:
        await correct_the_estimate(server)


async def correct_the_estimate(server: Server) -> None:
    borderline = user("word " * 96_000)  # 137,143 tokens by the estimate, 120,000 by the emulator's count
    reply = await refusal(server, borderline, model=SMALL)
    assert "about 137,143 tokens" in reply.error["message"]
    for number in range(4):
        await server.client.chat([user(f"Number {number}. {'word ' * 8000}")], model=SMALL)
    reply = await server.client.chat([borderline], model=SMALL)
    assert reply.status == 200, reply.body

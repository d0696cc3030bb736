"""Listing, reading and renaming chats over HTTP: against scripted answers, and against the emulator."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from app.clock import SystemClock
from app.config import Settings
from app.core.events import Event
from app.core.ports import Prompt
from app.emulator import Emulator, EmulatorOptions
from app.emulator.options import Era
from app.errors import (
    ChatGone,
    UpstreamBlocked,
    UpstreamBusy,
    UpstreamError,
    UpstreamLoginRequired,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRejected,
)
from app.upstream.qwen import QwenUpstream, TokenSource
from tests.upstream.conftest import StillClock
from tests.upstream.scripted import ANTI_BOT, CHAT, Act, Site, good, refusal, reply
from tests.upstream.test_chats import answer, detail, part, user

LIST, READ, RENAME = "GET /api/v2/chats/", f"GET /api/v2/chats/{CHAT}", f"POST /api/v2/chats/{CHAT}"
MODEL = "qwen3.7-plus"


async def test_asks_for_a_page_of_the_list(upstream: QwenUpstream, site: Site) -> None:
    site.on(LIST, good([{"id": CHAT, "title": "Primes"}]), good([]))
    assert [(row.id, row.title) for row in await upstream.list_chats(1)] == [(CHAT, "Primes")]
    assert await upstream.list_chats(2) == []
    assert [request.path for request in site.requests] == [
        "/api/v2/chats/?page=1&exclude_project=true",
        "/api/v2/chats/?page=2&exclude_project=true",
    ]


async def test_a_title_cut_within_a_character_costs_neither_the_page_nor_the_chat(
    upstream: QwenUpstream, site: Site
) -> None:
    site.on(LIST, good([{"id": CHAT, "title": "cut \ud83d"}, {"id": "c2", "title": "whole"}]))
    assert [row.title for row in await upstream.list_chats(1)] == ["cut \ufffd", "whole"]
    site.on(READ, good(detail(user(), answer("a1", "u1", part("Smile \ud83d")), score=float("nan"))))
    assert [message.text for message in (await upstream.read_chat(CHAT)).messages] == ["Is 91 prime?", "Smile \ufffd"]


async def test_reads_a_chat(upstream: QwenUpstream, site: Site) -> None:
    site.on(READ, good(detail(user(), answer("a1", "u1", part("No.")))))
    record = await upstream.read_chat(CHAT)
    assert (record.title, [message.text for message in record.messages]) == ("Primes", ["Is 91 prime?", "No."])
    assert site.requests[0].path == f"/api/v2/chats/{CHAT}"
    assert site.requests[0].headers["referer"] == f"{site.url}/c/{CHAT}"


async def test_a_chat_may_be_larger_than_any_other_answer(upstream: QwenUpstream, site: Site) -> None:
    long = "x" * (9 << 20)
    site.on(READ, good(detail(user(text=long))), reply(b" " * (33 << 20)))
    assert (await upstream.read_chat(CHAT)).messages[0].text == long
    with pytest.raises(UpstreamProtocolError, match="32 MiB"):
        await upstream.read_chat(CHAT)


async def test_renames_a_chat(upstream: QwenUpstream, site: Site) -> None:
    site.on(RENAME, good({"status": True}), good(None), reply({"success": True}))
    for _ in range(3):
        await upstream.rename_chat(CHAT, "Żółw 乌龟")
    assert [request.json for request in site.requests] == [{"title": "Żółw 乌龟"}] * 3


async def test_a_title_that_was_not_taken_is_an_error(upstream: QwenUpstream, site: Site) -> None:
    site.on(RENAME, good({"status": False}))
    with pytest.raises(UpstreamProtocolError, match="did not rename"):
        await upstream.rename_chat(CHAT, "x")


@pytest.mark.parametrize(
    "act",
    [
        reply(refusal("Not_Found")),
        reply(refusal("Not_Found", "The chat does not exist."), 404),
        reply(refusal("CHAT_NOT_FOUND", "This chat has been deleted."), 200, "x-actual-status-code: 404"),
    ],
)
async def test_a_chat_that_is_not_there_is_gone(upstream: QwenUpstream, site: Site, act: Act) -> None:
    site.on(READ, act)
    with pytest.raises(ChatGone):
        await upstream.read_chat(CHAT)


async def test_a_bare_404_does_not_mean_that_the_chat_is_gone(upstream: QwenUpstream, site: Site) -> None:
    site.on(READ, reply({}, 404))
    with pytest.raises(UpstreamProtocolError):
        await upstream.read_chat(CHAT)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (refusal("Not_Found"), UpstreamProtocolError),
        (refusal("Not_Found", "Not Found"), UpstreamProtocolError),
        (refusal("CHAT_NOT_FOUND"), ChatGone),
        (refusal("ValidationError", "title"), UpstreamRejected),
    ],
)
async def test_a_chat_is_not_given_up_because_renaming_works_otherwise(
    upstream: QwenUpstream, site: Site, said: object, kind: type[UpstreamError]
) -> None:
    site.on(RENAME, reply(said))
    with pytest.raises(UpstreamError) as caught:
        await upstream.rename_chat(CHAT, "x")
    assert type(caught.value) is kind


@pytest.mark.parametrize("chat_id", ["", "..", "a/b/c/d/e", "x?page=1&y=2", CHAT + "/title"])
async def test_an_id_of_another_form_is_neither_read_nor_renamed(
    upstream: QwenUpstream, site: Site, chat_id: str
) -> None:
    with pytest.raises(UpstreamRejected):
        await upstream.read_chat(chat_id)
    with pytest.raises(UpstreamRejected):
        await upstream.rename_chat(chat_id, "x")
    assert site.requests == []


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (reply(refusal("unauthorized", "Token has expired, please log in again.")), UpstreamLoginRequired),
        (reply(ANTI_BOT), UpstreamBlocked),
        (reply(refusal("Too_Many_Requests")), UpstreamRateLimited),
        (reply(refusal("Internal_Server_Error")), UpstreamBusy),
        (good("text"), UpstreamProtocolError),
    ],
)
async def test_every_failure_is_one_of_our_errors_and_changes_what_the_account_says(
    upstream: QwenUpstream, site: Site, act: Act, kind: type[UpstreamError]
) -> None:
    site.on(LIST, act)
    site.on(READ, act)
    with pytest.raises(kind):
        await upstream.list_chats(1)
    is_trouble = kind in (UpstreamLoginRequired, UpstreamBlocked)
    assert (upstream.account().problem is not None) is is_trouble
    with pytest.raises(kind):
        await upstream.read_chat(CHAT)


async def test_a_chat_that_is_read_shows_that_the_block_is_over(
    upstream: QwenUpstream, site: Site, clock: StillClock
) -> None:
    site.on(LIST, reply(ANTI_BOT))
    site.on(READ, good(detail(user())))
    with pytest.raises(UpstreamBlocked):
        await upstream.list_chats(1)
    clock.pass_time(60)
    await upstream.read_chat(CHAT)
    assert upstream.account().problem is None


# --- the emulator, which was written without the adapter ------------------------------------------------------------


class Stage:
    """An emulator with an adapter in front of it."""

    def __init__(self, emulator: Emulator, upstream: QwenUpstream) -> None:
        self.emulator = emulator
        self.upstream = upstream

    async def say(self, chat_id: str, text: str, parent_id: str | None = None, *, thinking: bool = True) -> list[Event]:
        heard: list[Event] = []
        with closing(await self.upstream.send(Prompt(chat_id, parent_id, text, MODEL, thinking=thinking))) as events:
            async for batch in events:
                heard += batch
        return heard


@pytest.fixture(params=["2025", "2026"])
async def stage(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Stage]:
    era: Era = request.param
    clock = SystemClock()
    async with Emulator(EmulatorOptions(era=era, page_size=2)) as emulator:
        tokens = TokenSource.fixed(settings, clock, emulator.mint_token())
        async with QwenUpstream(settings, clock, base_url=emulator.url, tokens=tokens, kind="emulator") as upstream:
            yield Stage(emulator, upstream)


async def test_reads_what_was_said_and_thought(stage: Stage) -> None:
    chat = await stage.upstream.create_chat(MODEL)
    stage.emulator.script.answer("No: 91 = 7 x 13.", thinking=["Small primes first.", "7 times 13 is 91."])
    await stage.say(chat, "Is 91 prime?")
    record = await stage.upstream.read_chat(chat)
    asked, answered = record.messages
    assert (asked.role, asked.text, asked.parent_id, asked.finished) == ("user", "Is 91 prime?", None, True)
    assert (answered.role, answered.text, answered.parent_id) == ("assistant", "No: 91 = 7 x 13.", asked.id)
    assert answered.reasoning == "Small primes first.\n\n7 times 13 is 91."
    assert (answered.finished, answered.stopped, answered.error) == (True, False, None)
    assert (record.title, record.model) == ("Is 91 prime?", MODEL)
    assert answered.at is not None


async def test_reads_an_answer_in_the_making_and_after_its_stop(stage: Stage) -> None:
    chat = await stage.upstream.create_chat(MODEL)
    hold = stage.emulator.script.hold("", pieces=["One ", "two ", "three."], before=2)
    saying = asyncio.create_task(stage.say(chat, "Count.", thinking=False))
    await hold.reached()
    running = (await stage.upstream.read_chat(chat)).messages[-1]
    assert (running.text, running.finished, running.stopped) == ("One two ", False, False)
    await stage.upstream.stop(chat, running.id)
    await saying
    ended = (await stage.upstream.read_chat(chat)).messages[-1]
    assert (ended.text, ended.finished, ended.stopped) == ("One two ", True, True)


async def test_an_answer_whose_stream_was_cut_is_whole_when_it_is_read(stage: Stage) -> None:
    chat = await stage.upstream.create_chat(MODEL)
    stage.emulator.script.answer("One two three.", fault="cut")
    with pytest.raises(UpstreamError):
        await stage.say(chat, "Count.")
    read = (await stage.upstream.read_chat(chat)).messages[-1]
    assert (read.text, read.finished) == ("One two three.", True)


async def test_reads_every_branch_of_a_chat_that_a_person_made(stage: Stage) -> None:
    chat, first, hello = await stage.emulator.browse(None, "hi", "hello")
    _, second, fine = await stage.emulator.browse(chat, "how are you?", "fine")
    _, edited, bad = await stage.emulator.browse(chat, "how are they?", "bad", hello)
    _, other, hey = await stage.emulator.browse(chat, "hey", "hey!", "")
    record = await stage.upstream.read_chat(chat)
    assert [(message.id, message.parent_id, message.text) for message in record.messages] == [
        (first, None, "hi"),
        (hello, first, "hello"),
        (second, hello, "how are you?"),
        (fine, second, "fine"),
        (edited, hello, "how are they?"),
        (bad, edited, "bad"),
        (other, None, "hey"),
        (hey, other, "hey!"),
    ]


async def test_lists_chats_page_by_page_with_their_titles(stage: Stage) -> None:
    made = [(await stage.emulator.browse(None, f"chat {number}", "yes"))[0] for number in range(3)]
    pages = [await stage.upstream.list_chats(page) for page in (1, 2, 3)]
    assert [[(row.id, row.title) for row in page] for page in pages] == [
        [(made[2], "chat 2"), (made[1], "chat 1")],
        [(made[0], "chat 0")],
        [],
    ]
    assert all(row.updated_at is not None for page in pages for row in page)


async def test_a_new_title_is_in_the_list_and_in_the_chat(stage: Stage) -> None:
    chat, _, _ = await stage.emulator.browse(None, "hi", "hello")
    await stage.upstream.rename_chat(chat, "Greetings")
    assert [row.title for row in await stage.upstream.list_chats(1)] == ["Greetings"]
    assert (await stage.upstream.read_chat(chat)).title == "Greetings"


async def test_a_chat_deleted_in_the_browser_can_be_neither_read_nor_renamed(stage: Stage) -> None:
    chat, _, _ = await stage.emulator.browse(None, "hi", "hello")
    await stage.emulator.delete_chat(chat)
    with pytest.raises(ChatGone):
        await stage.upstream.read_chat(chat)
    with pytest.raises(ChatGone):
        await stage.upstream.rename_chat(chat, "x")


async def test_faults_of_the_site_come_out_as_our_errors(stage: Stage) -> None:
    chat, _, _ = await stage.emulator.browse(None, "hi", "hello")
    stage.emulator.script.fault("server_error", target="read")
    stage.emulator.script.fault("rate_limited", target="list")
    stage.emulator.script.fault("validation", target="rename")
    with pytest.raises(UpstreamBusy):
        await stage.upstream.read_chat(chat)
    with pytest.raises(UpstreamRateLimited):
        await stage.upstream.list_chats(1)
    with pytest.raises(UpstreamRejected):
        await stage.upstream.rename_chat(chat, "x")
    assert (await stage.upstream.read_chat(chat)).title == "hi"

"""Messages whose answers get lost on the way, delivered to a site on loopback."""

import zlib
from typing import Any

import pytest

from app.core.delivery import deliver
from app.core.events import Event, TextDelta
from app.core.ports import Prompt
from app.core.surroundings import Patience
from app.errors import UpstreamBusy, UpstreamError
from app.upstream.qwen import QwenUpstream
from tests.upstream.scripted import CHAT, Act, Site, created, delta, event, events, good, reply, stream

SEND, READ = "POST /api/v2/chat/completions", f"GET /api/v2/chats/{CHAT}"
PROMPT = Prompt(CHAT, None, "hi", "m")
BRIEF = Patience(every=0.01, retry=0.001, read_back=0.1)
BUSY = {"error": {"code": "Server_Busy", "details": "overload"}, "response_id": "a1"}


def chat_with(*nodes: dict[str, Any]) -> Act:
    return good({"id": CHAT, "chat": {"history": {"messages": {node["id"]: node for node in nodes}}}})


def asked(identity: str, at: int) -> dict[str, Any]:
    return {"id": identity, "role": "user", "parentId": None, "content": "hi", "timestamp": at}


def answered(identity: str, parent: str, text: str, at: int) -> dict[str, Any]:
    parts = [{"content": text, "phase": "answer", "status": "finished"}]
    written = {"content": "", "content_list": parts, "done": True}
    return {"id": identity, "role": "assistant", "parentId": parent, "timestamp": at, **written}


async def heard(upstream: QwenUpstream, *known: str) -> str:
    async def stored() -> frozenset[str]:
        return frozenset(known)

    events: list[Event] = []
    async for batch in await deliver(upstream, PROMPT, BRIEF, stored):
        events += batch
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls(site: Site) -> list[str]:
    return [request.method for request in site.requests]


@pytest.mark.parametrize(
    "lost",
    [
        reply(b"upstream is overloaded", 504, kind="text/plain"),
        reply({"code": "GatewayTimeout", "message": "The request timed out"}, 504),
        stream(event(BUSY)),
        stream(b"data: oops\n\n"),
        good({}),
    ],
)
async def test_what_was_taken_is_read_back_and_not_sent_again(upstream: QwenUpstream, site: Site, lost: Act) -> None:
    site.on(SEND, lost)
    site.on(READ, chat_with(asked("u1", 1), answered("a1", "u1", "hello", 2)))
    assert await heard(upstream) == "hello"
    assert calls(site) == ["POST", "GET"]


async def test_the_rest_of_an_answer_whose_packing_breaks_off_is_read_from_the_chat(
    upstream: QwenUpstream, site: Site
) -> None:
    packing = zlib.compressobj(wbits=31)
    begun = packing.compress(events([created(), delta("hel")])) + packing.flush(zlib.Z_SYNC_FLUSH)
    site.on(SEND, reply(begun, 200, "Content-Encoding: gzip", kind="text/event-stream"))
    site.on(READ, chat_with(asked("u1", 1), answered("a1", "u1", "hello", 2)))
    assert await heard(upstream) == "hello"
    assert calls(site) == ["POST", "GET"]


@pytest.mark.parametrize(
    "unreadable", [b"data: {oops}\n\n", b"data: " + b"x" * (9 << 20)], ids=["no JSON", "too large"]
)
async def test_what_an_event_that_cannot_be_read_would_have_said_is_read_from_the_chat(
    upstream: QwenUpstream, site: Site, unreadable: bytes
) -> None:
    site.on(SEND, stream(events([created(), delta("hel")]), unreadable, end=False))
    site.on(READ, chat_with(asked("u1", 1), answered("a1", "u1", "hello", 2)))
    assert await heard(upstream) == "hello"
    assert calls(site) == ["POST", "GET"]


async def test_half_a_character_in_the_chat_is_no_reason_to_give_the_rest_up(
    upstream: QwenUpstream, site: Site
) -> None:
    site.on(SEND, stream(events([created(), delta("hel")])))
    site.on(READ, chat_with(asked("u1", 1), answered("a1", "u1", "hello \ud83d", 2)))
    assert await heard(upstream) == "hello \ufffd"


async def test_what_was_taken_and_cannot_be_read_back_is_an_error_and_not_sent_again(
    upstream: QwenUpstream, site: Site
) -> None:
    site.on(SEND, stream(event(BUSY)))
    site.on(READ, chat_with())
    with pytest.raises(UpstreamBusy) as caught:
        await heard(upstream)
    assert caught.value.accepted
    assert calls(site) == ["POST", "GET"]


async def test_an_answer_that_is_still_written_when_it_could_not_be_read_is_waited_for(
    upstream: QwenUpstream, site: Site
) -> None:
    site.on(SEND, stream(b"data: oops\n\n"))
    half = {**answered("a1", "u1", "hel", 2), "done": False}
    site.on(READ, chat_with(asked("u1", 1), half), chat_with(asked("u1", 1), answered("a1", "u1", "hello", 2)))
    assert await heard(upstream) == "hello"


async def test_of_two_equal_messages_the_one_whose_answer_is_stored_is_another(
    upstream: QwenUpstream, site: Site
) -> None:
    site.on(SEND, reply(b"", 502))
    old, new = answered("a1", "u1", "old", 2), answered("a2", "u2", "new", 2)
    site.on(READ, chat_with(asked("u1", 1), old, asked("u2", 1), new), chat_with(asked("u1", 1), old))
    assert await heard(upstream, "a1") == "new"
    with pytest.raises(UpstreamError):
        await heard(upstream, "a1")

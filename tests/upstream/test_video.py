"""Videos, which the site makes on its own time (docs/upstream-protocol.md, Video)."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from app.config import Settings
from app.core.events import Event, Finished, Started, VideoTask
from app.core.ports import Prompt, VideoState
from app.errors import (
    UpstreamBusy,
    UpstreamError,
    UpstreamLoginRequired,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRejected,
    VideoFailed,
)
from app.upstream.qwen import QwenUpstream, TokenSource
from tests.upstream.conftest import StillClock, make_settings, make_token
from tests.upstream.scripted import CHAT, PLAIN, Act, Site, created, events, good, refusal, reply, stream
from tests.upstream.test_calls import EXPIRED

SEND, READ = "POST /api/v2/chat/completions", f"GET /api/v2/chats/{CHAT}"
STATE = "GET /api/v1/tasks/status/t1"
URL = "https://cdn.qwenlm.ai/output/user-1/t2v/a1/1.mp4?key=k"
WANX = {"wanx": {"task_id": "t1"}}
PROMPT = Prompt(CHAT, "a0", "A cat runs.", "m", mode="video", size="16:9")


def promised(**message: object) -> Act:
    return good({"messages": [{"role": "assistant", "chat_type": "t2v", "extra": WANX, **message}]})


def chat_with(*nodes: dict[str, Any]) -> Act:
    return good({"id": CHAT, "chat": {"history": {"messages": {node["id"]: node for node in nodes}}}})


def node(identity: str, parent: str | None, role: str, **more: object) -> dict[str, Any]:
    return {"id": identity, "parentId": parent, "role": role, **more}


async def ask(upstream: QwenUpstream, prompt: Prompt = PROMPT) -> list[Event]:
    with closing(await upstream.send(prompt)) as answer:
        return [event async for batch in answer for event in batch]


async def test_the_answer_to_a_prompt_for_a_video_names_its_task(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, promised(id="a1", parentId="u1"))
    assert await ask(upstream) == [Started("a1", "u1"), VideoTask("t1"), Finished()]
    assert site.requests[0].json["stream"] is False
    assert len(site.requests) == 1


async def test_what_the_answer_leaves_out_is_read_from_the_chat(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, promised(), good({"messages": []}))
    nodes = [
        node("u0", None, "user"),
        node("a0", "u0", "assistant"),
        node("u1", "a0", "user", timestamp=1),
        node("a9", "u1", "assistant", timestamp=1, extra={"wanx": {"task_id": "older"}}),
    ]
    found = (
        node("a1", "u1", "assistant", timestamp=2),
        node("a1", "u1", "assistant", timestamp=2, extra={"wanx": {"task_id": "stored"}}),
    )
    site.on(READ, *(chat_with(*nodes, answer) for answer in found))
    assert await ask(upstream) == [Started("a1", "u1"), VideoTask("t1"), Finished()]
    assert await ask(upstream) == [Started("a1", "u1"), VideoTask("stored"), Finished()]


async def test_a_video_is_not_taken_for_the_one_that_it_replaces(upstream: QwenUpstream, site: Site) -> None:
    old = [
        node("a0", "u0", "assistant"),
        node("u1", "a0", "user", timestamp=1),
        node("a1", "u1", "assistant", timestamp=2, extra={"wanx": {"task_id": "old"}}),
    ]
    site.on(SEND, promised(), good({"messages": []}))
    site.on(READ, chat_with(*old, node("u2", "a0", "user"), node("a2", "u2", "assistant")), chat_with(*old))
    again = replace(PROMPT, is_sibling=True)
    assert await ask(upstream, again) == [Started("a2", "u2"), VideoTask("t1"), Finished()]
    with pytest.raises(UpstreamProtocolError, match="named no video") as problem:
        await ask(upstream, again)
    assert problem.value.accepted


async def test_a_token_that_ends_between_the_answer_and_the_chat_sends_no_prompt_twice(
    site: Site, settings: Settings, clock: StillClock
) -> None:
    site.on(SEND, promised())
    site.on(READ, EXPIRED)
    async with QwenUpstream(
        settings, clock, base_url=site.url, tokens=TokenSource.fixed(settings, clock, make_token()), kind="qwen"
    ) as upstream:
        with pytest.raises(UpstreamLoginRequired) as problem:
            await ask(upstream)
    assert problem.value.accepted
    assert [request.method for request in site.requests] == ["POST", "GET"]


async def test_a_token_that_is_replaced_between_the_answer_and_the_chat_sends_no_prompt_twice(
    open_upstream: Callable[[Settings], QwenUpstream], site: Site, tmp_path: Path
) -> None:
    env = tmp_path / ".env"
    env.write_text(f"QWEN_AUTH_TOKEN={make_token(jti=1)}\n")

    async def end_the_token(writer: asyncio.StreamWriter) -> None:
        env.write_text(f"QWEN_AUTH_TOKEN={make_token(jti=2)}\n")
        await EXPIRED(writer)

    site.on(SEND, promised())
    site.on(READ, end_the_token, chat_with(node("u1", "a0", "user"), node("a1", "u1", "assistant")))
    async with open_upstream(await asyncio.to_thread(make_settings, tmp_path)) as upstream:
        assert await ask(upstream) == [Started("a1", "u1"), VideoTask("t1"), Finished()]
    assert [request.method for request in site.requests] == ["POST", "GET", "GET"]


@pytest.mark.parametrize("detail", [None, [], {"chat": 1}, {"chat": {"history": {"messages": []}}}, {"chat": {}}])
async def test_a_video_that_nobody_names_is_an_error_after_which_nothing_is_sent_again(
    upstream: QwenUpstream, site: Site, detail: object
) -> None:
    site.on(SEND, good({"messages": ["odd", {"role": "assistant"}]}))
    site.on(READ, good(detail))
    with pytest.raises(UpstreamProtocolError, match="named no video") as problem:
        await ask(upstream)
    assert problem.value.accepted


@pytest.mark.parametrize("odd", [{}, [], ["a0"], {"id": "a0"}, 7, True])
async def test_a_message_whose_ids_are_of_an_odd_shape_is_passed_over(
    upstream: QwenUpstream, site: Site, odd: Any
) -> None:
    site.on(SEND, promised())
    strange = [node("x1", odd, "assistant"), {**node("x2", "a0", "user"), "id": odd}, node("x3", odd, "user")]
    chat = {str(number): each for number, each in enumerate(strange)}
    chat |= {"u1": node("u1", "a0", "user"), "a1": node("a1", "u1", "assistant")}
    site.on(READ, good({"id": CHAT, "chat": {"history": {"messages": chat}}}))
    assert await ask(upstream) == [Started("a1", "u1"), VideoTask("t1"), Finished()]


async def test_a_stream_is_read_as_well(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, stream(events([created(), {"data": {"extra": WANX}}])))
    assert await ask(upstream) == [Started("a1", "u1"), VideoTask("t1"), Finished()]


async def test_a_limit_on_videos_is_told_as_one(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, reply(refusal("RateLimited", "You've reached the upper limit for today's usage.", num=6)))
    with pytest.raises(UpstreamRateLimited, match="6 hours"):
        await ask(upstream)


async def test_a_plain_answer_is_still_none_where_no_video_was_asked_for(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, promised(id="a1"), stream(events(PLAIN)))
    with pytest.raises(UpstreamProtocolError, match="where a stream was expected"):
        await upstream.send(Prompt(CHAT, None, "x", "m"))


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({"chat_type": "t2v", "task_status": "running", "content": ""}, VideoState("running")),
        ({"task_status": "unheard of"}, VideoState("running")),
        ({}, VideoState("running")),
        ({"task_status": "success", "content": URL}, VideoState("succeeded", URL)),
        ({"task_status": "SUCCEEDED", "content": [{"video": {"url": URL}}]}, VideoState("succeeded", URL)),
        ({"success": True, "data": {"task_status": "success", "content": URL}}, VideoState("succeeded", URL)),
    ],
)
async def test_a_task_says_how_far_its_video_is(
    upstream: QwenUpstream, site: Site, said: object, state: VideoState
) -> None:
    site.on(STATE, reply(said))
    assert await upstream.video("t1") == state


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"task_status": "failed", "content": ""}, "does not say why"),
        ({"task_status": "failed", "content": "", "message": "The scene was unclear"}, "The scene was unclear"),
        ({"task_status": "failed", "content": {"odd": 1}}, "does not say why"),
        ({"task_status": "success", "content": "no address"}, "not where it is"),
    ],
)
async def test_a_video_that_failed_says_why(upstream: QwenUpstream, site: Site, said: object, error: str) -> None:
    site.on(STATE, reply(said))
    state = await upstream.video("t1")
    assert state.state == "failed"
    assert error in state.error


@pytest.mark.parametrize(
    ("status", "notes"),
    [
        ("running", []),
        ("QUEUED", []),
        ("unheard of", ["The site sent the task's status 'unheard of', which is passed over"]),
        (None, ["The site sent the task's status 'none', which is passed over"]),
    ],
)
async def test_a_state_that_nobody_knows_is_logged_once(
    upstream: QwenUpstream, site: Site, caplog: pytest.LogCaptureFixture, status: str | None, notes: list[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    site.on(STATE, reply({"task_status": status, "content": ""}))
    for _ in range(2):
        assert await upstream.video("t1") == VideoState("running")
    assert [record.getMessage() for record in caplog.records if "passed over" in record.getMessage()] == notes


@pytest.mark.parametrize(
    "said",
    [
        reply(refusal("Not_Found")),
        reply(refusal("Bad_Request", "task t1 is not exist")),
        reply({"detail": "Not Found"}, 404),
    ],
)
async def test_a_task_that_the_site_no_longer_knows_has_failed(upstream: QwenUpstream, site: Site, said: Act) -> None:
    site.on(STATE, said)
    with pytest.raises(VideoFailed, match="no longer knows this video"):
        await upstream.video("t1")


async def test_a_task_s_refusal_is_an_error_and_an_odd_id_is_not_asked_for(upstream: QwenUpstream, site: Site) -> None:
    site.on(STATE, reply(refusal("Server_Busy")))
    with pytest.raises(UpstreamBusy):
        await upstream.video("t1")
    for odd in ("", "../../v2/chats", "a/b", "x" * 200):
        with pytest.raises(UpstreamRejected):
            await upstream.video(odd)
    assert len(site.requests) == 1
    assert issubclass(UpstreamRejected, UpstreamError)

"""Streamed answers, against a site on loopback."""

import asyncio
import gzip
import json
import logging
import zlib
from collections.abc import Callable
from contextlib import closing

import pytest

from app.config import Settings
from app.core.events import Event, Finished, Started, TextDelta, Usage, UsageReport
from app.core.ports import Prompt, Upstream
from app.errors import (
    ChatGone,
    ChatInProgress,
    ParentUnknown,
    UpstreamBlocked,
    UpstreamBusy,
    UpstreamCut,
    UpstreamError,
    UpstreamLoginRequired,
    UpstreamProtocolError,
    UpstreamRejected,
    UpstreamUnreachable,
)
from app.upstream.qwen import QwenUpstream
from tests.upstream.hearing import joined
from tests.upstream.scripted import (
    ANTI_BOT,
    CHAT,
    FINISH,
    PLAIN,
    WAF_PAGE,
    Act,
    Site,
    chunk,
    delta,
    event,
    events,
    good,
    head,
    refusal,
    reply,
    stream,
    usage,
)
from tests.upstream.test_calls import EXPIRED, SETTINGS, raw_bytes, reset

SEND = "POST /api/v2/chat/completions"
PROMPT = Prompt(CHAT, None, "Is 91 prime?", "qwen3.7-plus")
PIECES: list[Event] = [
    Started("a1", "u1"),
    TextDelta("No: 91 = "),
    TextDelta("7 x 13."),
    UsageReport(Usage(20, 12, 3, 4)),
    Finished(),
]
WHOLE = joined(PIECES)
KEEP_ALIVE = event({"response.info": {"action": "keep_alive", "response_id": "a1"}})
OpenUpstream = Callable[[Settings], QwenUpstream]


async def hear(upstream: Upstream, prompt: Prompt = PROMPT) -> list[Event]:
    with closing(await upstream.send(prompt)) as batches:
        heard = [list(batch) async for batch in batches]
    assert all(heard)
    return joined([event for batch in heard for event in batch])


async def fails(upstream: Upstream, kind: type[UpstreamError]) -> tuple[list[Event], UpstreamError]:
    """Return what came before an error in mid-answer, and the error."""
    before: list[Event] = []
    with closing(await upstream.send(PROMPT)) as batches, pytest.raises(kind) as caught:
        async for batch in batches:
            before += batch
    assert type(caught.value) is kind
    return before, caught.value


async def test_streams_an_answer(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, stream(events(PLAIN)))
    assert await hear(upstream) == WHOLE
    request = site.requests[0]
    assert request.path == f"/api/v2/chat/completions?chat_id={CHAT}"
    assert request.headers["referer"] == f"{site.url}/c/{CHAT}"
    assert request.headers["accept-encoding"] == "gzip"
    message = request.json["messages"][0]
    assert message["content"] == "Is 91 prime?"
    assert message["timestamp"] == request.json["timestamp"] == 1795338000
    assert len({message["fid"], *message["childrenIds"]}) == 2


async def test_a_batch_is_what_arrived_together(upstream: QwenUpstream, site: Site) -> None:
    gate = asyncio.Event()

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, "text/event-stream") + chunk(events(PLAIN[:2])))
        await writer.drain()
        await gate.wait()
        writer.write(chunk(KEEP_ALIVE) + chunk(events(PLAIN[2:])) + b"0\r\n\r\n")

    site.on(SEND, act)
    with closing(await upstream.send(PROMPT)) as batches:
        assert await anext(batches) == PIECES[:2]
        gate.set()
        assert await anext(batches) == PIECES[2:]
        assert await anext(batches, None) is None
        assert await anext(batches, None) is None


async def test_bytes_cut_anywhere_make_the_same_answer(upstream: QwenUpstream, site: Site) -> None:
    frames = [PLAIN[0], delta("émoji 🎉 "), delta("und 你好"), FINISH]
    data = events(frames).replace(b"\n", b"\r\n")
    site.on(SEND, stream(*(data[i : i + 3] for i in range(0, len(data), 3))))
    heard = await hear(upstream)
    assert "".join(piece.text for piece in heard if isinstance(piece, TextDelta)) == "émoji 🎉 und 你好"
    assert heard[-1] == Finished()


async def test_a_compressed_stream_is_read(upstream: QwenUpstream, site: Site) -> None:
    packed = gzip.compress(events(PLAIN))
    site.on(SEND, reply(packed, 200, "Content-Encoding: gzip", kind="text/event-stream"))
    assert await hear(upstream) == WHOLE


@pytest.mark.parametrize("kind", ["application/json", "text/html", "text/plain", "application/octet-stream"])
async def test_a_stream_may_lie_about_its_type(upstream: QwenUpstream, site: Site, kind: str) -> None:
    site.on(SEND, stream(b"\xef\xbb\xbf", b" \n\n", b": hello\n\n", events(PLAIN), kind=kind))
    assert await hear(upstream) == WHOLE


async def test_the_account_s_thinking_budget_is_sent_where_the_prompt_has_none(
    upstream: QwenUpstream, site: Site
) -> None:
    site.on(SETTINGS, good({"model_config": {"qwen3.7-plus": {"thinking_budget": 1234}}}))
    site.on(SEND, stream(events(PLAIN)))
    await upstream.load_settings()
    await hear(upstream)
    assert site.requests[1].json["messages"][0]["feature_config"]["thinking_budget"] == 1234


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream; charset=utf-8"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal("Bad_Request", "The chat is in progress!"), ChatInProgress),
        (refusal("CHAT_NOT_FOUND"), ChatGone),
        (refusal("PARENT_NOT_FOUND"), ParentUnknown),
        (refusal("RequestValidationError", ["Field 'chat_id': Field required"]), UpstreamRejected),
        (refusal("unauthorized", "Token has expired"), UpstreamLoginRequired),
        (ANTI_BOT, UpstreamBlocked),
        (WAF_PAGE, UpstreamBlocked),
        (event({"error": {"code": "Server_Busy"}}), UpstreamBusy),
        (event(ANTI_BOT), UpstreamBlocked),
        (b": hi\n\n" + json.dumps(ANTI_BOT).encode() + b"\n", UpstreamBlocked),
        (event(KEEP_ALIVE.decode()) + event({"code": "unauthorized"}), UpstreamLoginRequired),
        ({"success": True, "data": {}}, UpstreamProtocolError),
        (b"[1, 2]", UpstreamProtocolError),
        (b"data: oops\n\n", UpstreamProtocolError),
        (b"data: " + b"x" * (9 << 20), UpstreamProtocolError),
        (b"", UpstreamCut),
        (b"\n\n", UpstreamCut),
        (b"plain words", UpstreamCut),
    ],
)
async def test_an_error_in_place_of_the_answer_comes_on_entry(
    upstream: QwenUpstream, site: Site, answer: object, error: type[UpstreamError], kind: str
) -> None:
    site.on(SEND, reply(answer, kind=kind))
    with pytest.raises(UpstreamError) as caught:
        await upstream.send(PROMPT)
    assert type(caught.value) is error
    unreadable = error in (UpstreamCut, UpstreamProtocolError)
    assert caught.value.accepted is unreadable, "after an early end, or what cannot be read, nobody knows"


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (EXPIRED, UpstreamLoginRequired),
        (reply(b"", 401), UpstreamLoginRequired),
        (reply(b"", 200, "x-actual-status-code: 504"), UpstreamUnreachable),
        (reply(event({"error": "The chat is in progress!"}), 400, kind="text/event-stream"), ChatInProgress),
        (reply(b"<html>504 Gateway Time-out</html>", 504, kind="text/html"), UpstreamUnreachable),
        (reply(b"<html>captcha</html>", 403, kind="text/html"), UpstreamBlocked),
    ],
)
async def test_a_bad_status_in_place_of_the_answer_comes_on_entry(
    upstream: QwenUpstream, site: Site, act: Act, error: type[UpstreamError]
) -> None:
    site.on(SEND, act)
    with pytest.raises(UpstreamError) as caught:
        await hear(upstream)
    assert type(caught.value) is error


@pytest.mark.parametrize("act", [reset(), raw_bytes(b""), raw_bytes(head(200, "text/event-stream") + b"5\r\n: h")])
async def test_a_connection_lost_before_the_answer_leaves_it_open_whether_the_prompt_was_taken(
    upstream: QwenUpstream, site: Site, act: Act
) -> None:
    site.on(SEND, act)
    with pytest.raises(UpstreamUnreachable) as caught:
        await hear(upstream)
    assert caught.value.accepted


FRAMED = head(200, "text/event-stream") + chunk(b": hi\n\n")


@pytest.mark.parametrize(
    "act",
    [
        raw_bytes(FRAMED + b"zz\r\n"),
        raw_bytes(head(200, "text/event-stream", "Content-Length: 3") + chunk(events(PLAIN))),
        raw_bytes(head(200, "text/event-stream", "Content-Length: 3", length=4) + b"data"),
        raw_bytes(head(200, "text/event-stream", "Content-Encoding: gzip") + chunk(b"no gzip at all")),
        raw_bytes(b"SSH-2.0-OpenSSH\r\n"),
        reply(event(delta("x", response_id=None))),
    ],
)
async def test_an_answer_that_cannot_be_read_leaves_it_open_whether_the_prompt_was_taken(
    upstream: QwenUpstream, site: Site, act: Act
) -> None:
    site.on(SEND, act)
    with pytest.raises(UpstreamProtocolError) as caught:
        await upstream.send(PROMPT)
    assert caught.value.accepted
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    "act",
    [
        raw_bytes(head(503, "text/event-stream") + b"zz\r\n"),
        raw_bytes(head(200, "text/event-stream", "x-actual-status-code: 401") + b"zz\r\n"),
        reply(b"", 302),
    ],
)
async def test_an_answer_that_cannot_be_read_under_a_bad_status_says_that_the_prompt_was_not_taken(
    upstream: QwenUpstream, site: Site, act: Act
) -> None:
    site.on(SEND, act)
    with pytest.raises(UpstreamProtocolError) as caught:
        await upstream.send(PROMPT)
    assert not caught.value.accepted


@pytest.mark.parametrize(
    "act",
    [
        reply(b"upstream request timeout", 504, kind="text/plain"),
        reply(b"upstream is overloaded", 502, kind="text/plain"),
        reply({"error": {"message": "The service is temporarily unavailable"}}, 504),
        reply({"code": "GatewayTimeout", "message": "The request timed out"}, 504),
        reply({"error": {"code": "bad_gateway", "message": "401 upstream prematurely closed"}}, 502),
        reply(refusal("Unauthorized", "Token has expired"), 200, "x-actual-status-code: 504"),
    ],
)
async def test_a_gateway_that_gave_up_leaves_it_open_whether_the_prompt_was_taken_whatever_it_says(
    upstream: QwenUpstream, site: Site, act: Act
) -> None:
    site.on(SEND, act)
    with pytest.raises(UpstreamUnreachable, match="gateway") as caught:
        await upstream.send(PROMPT)
    assert caught.value.accepted
    assert len(site.requests) == 1


async def test_the_bot_protection_is_told_as_such_behind_a_gateway_too(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, reply(ANTI_BOT, 504))
    with pytest.raises(UpstreamBlocked) as caught:
        await upstream.send(PROMPT)
    assert not caught.value.accepted


BUSY = {"error": {"code": "Server_Busy", "details": "overload"}}
KEPT_ALIVE = {"response.info": {"action": "keep_alive", "response_id": "a1"}}


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ([{**BUSY, "response_id": "a1"}], UpstreamBusy),
        ([KEPT_ALIVE, BUSY], UpstreamBusy),
        ([{"error": {"code": "unauthorized", "details": ""}, "response_id": "a1"}], UpstreamLoginRequired),
        ([{"error": {"details": "The chat is in progress!"}, "response_id": "a1"}], ChatInProgress),
    ],
)
async def test_an_error_that_names_an_answer_says_that_the_prompt_was_taken(
    upstream: QwenUpstream, site: Site, said: list[object], error: type[UpstreamError]
) -> None:
    site.on(SEND, stream(events(said)))
    with pytest.raises(error) as caught:
        await upstream.send(PROMPT)
    assert caught.value.accepted
    assert len(site.requests) == 1


async def test_an_error_that_names_no_answer_says_nothing_of_the_kind(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, stream(events([BUSY])))
    with pytest.raises(UpstreamBusy) as caught:
        await upstream.send(PROMPT)
    assert not caught.value.accepted


async def test_an_error_in_mid_answer_comes_after_the_text(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, stream(events(PLAIN[:2]) + event({"error": {"code": "Server_Busy"}})))
    before, problem = await fails(upstream, UpstreamBusy)
    assert before == PIECES[:2]
    assert problem.accepted


async def test_a_token_refused_in_mid_answer_is_remembered(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, stream(events(PLAIN[:2]) + event({"error": {"code": "unauthorized"}})))
    await fails(upstream, UpstreamLoginRequired)
    assert "refuses" in (upstream.account().problem or "")


async def test_an_end_in_mid_answer_is_a_cut(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, stream(events(PLAIN[:2]), events(PLAIN)[:-30][len(events(PLAIN[:2])) :]))
    before, problem = await fails(upstream, UpstreamCut)
    assert joined(before) == joined(PIECES[:4])
    assert problem.accepted


@pytest.mark.parametrize("packed", [False, True], ids=["a bad chunk", "a packing that breaks off"])
async def test_what_is_no_proper_http_in_mid_answer_is_a_cut(upstream: QwenUpstream, site: Site, packed: bool) -> None:
    begun = asyncio.Event()

    async def act(writer: asyncio.StreamWriter) -> None:
        packing = zlib.compressobj(wbits=31)
        said = packing.compress(events(PLAIN[:2])) + packing.flush(zlib.Z_SYNC_FLUSH) if packed else events(PLAIN[:2])
        writer.write(head(200, "text/event-stream", *(["Content-Encoding: gzip"] if packed else [])) + chunk(said))
        await begun.wait()
        writer.write(b"0\r\n\r\n" if packed else b"zz\r\n")

    site.on(SEND, act)
    with closing(await upstream.send(PROMPT)) as batches:
        assert await anext(batches) == PIECES[:2]
        begun.set()
        with pytest.raises(UpstreamCut, match="not proper HTTP") as caught:
            await anext(batches)
    assert caught.value.accepted


async def test_a_connection_reset_in_mid_answer_is_a_cut(upstream: QwenUpstream, site: Site) -> None:
    gone = asyncio.Event()

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, "text/event-stream") + chunk(events(PLAIN[:2])))
        await writer.drain()
        await gone.wait()
        await reset()(writer)

    site.on(SEND, act)
    with closing(await upstream.send(PROMPT)) as batches:
        assert await anext(batches) == PIECES[:2]
        gone.set()
        with pytest.raises(UpstreamCut, match="broke in mid-answer"):
            await anext(batches)


async def test_a_torn_transfer_is_a_cut(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, raw_bytes(head(200, "text/event-stream") + chunk(events(PLAIN[:2])) + b"ff\r\ndata"))
    before, _ = await fails(upstream, UpstreamCut)
    assert before == PIECES[:2]


async def test_a_finished_answer_gives_its_connection_back(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, stream(events(PLAIN)), stream(events(PLAIN), events([delta("late", usage=usage())])))
    for _ in range(3):
        assert await hear(upstream) == WHOLE
        await asyncio.sleep(0.05)
    assert site.connections == 1


async def test_the_end_of_the_stream_may_come_a_moment_after_the_finish(upstream: QwenUpstream, site: Site) -> None:
    finished = asyncio.Event()

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, "text/event-stream") + chunk(events(PLAIN)))
        await writer.drain()
        await finished.wait()
        writer.write(chunk(KEEP_ALIVE))
        await writer.drain()
        writer.write(b"0\r\n\r\n")

    site.on(SEND, act)
    for _ in range(2):
        finished.clear()
        with closing(await upstream.send(PROMPT)) as batches:
            async for batch in batches:
                if batch[-1] == Finished():
                    asyncio.get_running_loop().call_later(0.01, finished.set)
        await asyncio.sleep(0.06)
    assert site.connections == 1


async def test_a_finished_answer_whose_stream_stays_open_is_closed_soon(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, stream(events(PLAIN), end=False), stream(events(PLAIN)))
    async with asyncio.timeout(3):
        assert await hear(upstream) == WHOLE
    assert await hear(upstream) == WHOLE
    assert site.connections == 2


async def test_leaving_early_closes_the_connection(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, stream(events(PLAIN[:2]), end=False), stream(events(PLAIN)))
    with closing(await upstream.send(PROMPT)) as batches:
        assert await anext(batches) == PIECES[:2]
    with pytest.raises(UpstreamCut):
        await anext(batches)
    assert await hear(upstream) == WHOLE
    assert site.connections == 2


async def test_a_cancelled_caller_is_let_go_at_once(upstream: QwenUpstream, site: Site) -> None:
    asked = asyncio.Event()

    async def act(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    site.on(SEND, act)
    task = asyncio.create_task(hear(upstream))
    await asyncio.wait_for(asked.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_malformed_chat_id_is_never_sent(upstream: QwenUpstream, site: Site) -> None:
    with pytest.raises(UpstreamRejected):
        await hear(upstream, Prompt("../../x", None, "x", "m"))
    assert site.requests == []


async def test_unknown_things_are_logged_once_and_never_their_content(
    upstream: QwenUpstream, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    odd = [PLAIN[0], delta("private words", "fetch_page"), delta("private words", "fetch_page"), *PLAIN[1:]]
    site.on(SEND, stream(events(odd)))
    for _ in range(2):
        assert await hear(upstream) == WHOLE
    assert [record.getMessage() for record in caplog.records if "passed over" in record.getMessage()] == [
        "The site sent the phase 'fetch_page', which is passed over"
    ]
    assert "private words" not in caplog.text


async def test_many_answers_at_once_stay_apart(upstream: QwenUpstream, site: Site) -> None:
    site.on(SEND, stream(*(events([frame]) for frame in PLAIN)))
    assert await asyncio.gather(*(hear(upstream) for _ in range(30))) == [WHOLE] * 30

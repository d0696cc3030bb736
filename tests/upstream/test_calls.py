"""The calls that do not stream, against a site on loopback."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from app.config import Settings
from app.errors import (
    ChatGone,
    UpstreamBlocked,
    UpstreamBusy,
    UpstreamError,
    UpstreamLoginRequired,
    UpstreamModelUnknown,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.upstream.qwen import QwenUpstream, TokenSource
from tests.upstream.conftest import StillClock, make_settings, make_token
from tests.upstream.scripted import ANTI_BOT, CHAT, MALFORMED, WAF_PAGE, Act, Site, chunk, good, head, refusal, reply

NEW, MODELS, SETTINGS = "POST /api/v2/chats/new", "GET /api/v2/models/", "GET /api/v2/users/user/settings"
DELETE, STOP = f"DELETE /api/v2/chats/{CHAT}", "POST /api/v2/chat/completions/stop"
EXPIRED = reply(refusal("unauthorized", "Token has expired, please log in again."), 200, "x-actual-status-code: 401")
OpenUpstream = Callable[[Settings], QwenUpstream]


def silent() -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    return act


def reset() -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return act


def raw_bytes(data: bytes) -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()

    return act


async def test_makes_a_chat(upstream: QwenUpstream, site: Site) -> None:
    site.on(NEW, good({"id": CHAT}))
    assert await upstream.create_chat("qwen3.7-plus") == CHAT
    request = site.requests[0]
    assert request.json["models"] == ["qwen3.7-plus"]
    assert request.json["timestamp"] == 1795338000000
    assert request.headers["authorization"] == f"Bearer {make_token()}"
    assert request.headers["cookie"] == f"token={make_token()}"
    assert request.headers["user-agent"].startswith("qwen-thread/")
    assert request.headers["origin"] == site.url
    assert not any(name.startswith("bx-") for name in request.headers)


@pytest.mark.parametrize("data", [None, {}, {"id": 5}, {"id": ""}, {"id": "../x"}, "text"])
async def test_a_chat_without_a_usable_id_is_an_error(upstream: QwenUpstream, site: Site, data: object) -> None:
    site.on(NEW, good(data))
    with pytest.raises(UpstreamProtocolError, match="usable id"):
        await upstream.create_chat("m")


async def test_a_model_that_left_the_list_is_named_when_a_chat_is_made(upstream: QwenUpstream, site: Site) -> None:
    site.on(NEW, reply(refusal("Not_Found")))
    with pytest.raises(UpstreamModelUnknown):
        await upstream.create_chat("m")


async def test_connections_and_cookies_are_kept_between_calls(upstream: QwenUpstream, site: Site) -> None:
    body = b'{"data": {"id": "%s"}}' % CHAT.encode()
    site.on(NEW, reply(body, 200, "Set-Cookie: acw_tc=abc; Path=/; Max-Age=1800", "Set-Cookie: token=other; Path=/"))
    await upstream.create_chat("m")
    await upstream.create_chat("m")
    assert site.connections == 1
    assert site.requests[1].headers["cookie"] == f"acw_tc=abc; token={make_token()}"


async def test_a_cookie_that_is_no_text_is_not_kept(upstream: QwenUpstream, site: Site) -> None:
    cookies = b"Set-Cookie: pref=caf\xe9; Path=/\r\nSet-Cookie: nick=caf\xc3\xa9\r\nSet-Cookie: cna=1\r\n"
    body = b'{"data": {"id": "%s"}}' % CHAT.encode()

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, length=len(body))[:-2] + cookies + b"\r\n" + body)

    site.on(NEW, act)
    await upstream.create_chat("m")
    await upstream.create_chat("m")
    sent = site.requests[1].headers["cookie"].encode("latin-1").decode()
    assert sent == f"nick=café; cna=1; token={make_token()}"


async def test_lists_the_models(upstream: QwenUpstream, site: Site) -> None:
    site.on(
        MODELS, good({"data": [{"id": "b"}, {"id": "a", "info": {"is_active": False}}]}), reply({"data": [{"id": "c"}]})
    )
    assert [model.id for model in await upstream.models()] == ["b"]
    assert [model.id for model in await upstream.models()] == ["c"]


async def test_loads_the_settings_and_says_what_may_colour_answers(
    upstream: QwenUpstream, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site.on(SETTINGS, good({"memory": {"enable_memory": True}}), good(None))
    await upstream.load_settings()
    await upstream.load_settings()
    said = [record.getMessage() for record in caplog.records if "Switched on" in record.getMessage()]
    assert said == ["Switched on in the account: memory.enable_memory", "Switched on in the account: nothing known"]


async def test_deletes_a_chat(upstream: QwenUpstream, site: Site) -> None:
    site.on(DELETE, good({"status": True}))
    await upstream.delete_chat(CHAT, "user-1")
    assert (site.requests[0].method, site.requests[0].path) == ("DELETE", f"/api/v2/chats/{CHAT}")


@pytest.mark.parametrize("answer", [refusal("Not_Found"), refusal("CHAT_NOT_FOUND", "This chat has been deleted.")])
async def test_a_chat_that_is_gone_needs_no_deletion(upstream: QwenUpstream, site: Site, answer: object) -> None:
    site.on(DELETE, reply(answer))
    await upstream.delete_chat(CHAT, "user-1")


async def test_a_chat_of_another_account_is_not_deleted(upstream: QwenUpstream, site: Site) -> None:
    with pytest.raises(UpstreamRejected) as caught:
        await upstream.delete_chat(CHAT, "user-2")
    assert caught.value.cause == "account"
    assert site.requests == []


async def test_whose_account_it_is_is_read_where_it_was_given_anew(
    open_upstream: OpenUpstream, clock: StillClock, tmp_path: Path
) -> None:
    env = tmp_path / ".env"
    env.write_text(f"QWEN_AUTH_TOKEN={make_token()}\n", "utf-8")
    async with open_upstream(await asyncio.to_thread(make_settings, tmp_path)) as upstream:
        env.write_text(f"QWEN_AUTH_TOKEN={make_token('user-2')}\n", "utf-8")
        clock.pass_time(1)
        assert upstream.account_name() == "user-1"
        assert await upstream.account_now() == upstream.account_name() == "user-2"


async def test_a_deletion_that_did_not_happen_is_an_error(upstream: QwenUpstream, site: Site) -> None:
    site.on(DELETE, good({"status": False}))
    with pytest.raises(UpstreamProtocolError, match="did not delete"):
        await upstream.delete_chat(CHAT, "user-1")


@pytest.mark.parametrize(
    "chat_id", ["", " ", "/", ".", "..", "short", "a" * 65, CHAT + "/", CHAT + "\n", "%2e%2e%2f%2e", "ид" * 8]
)
async def test_an_id_of_another_form_never_reaches_the_site(upstream: QwenUpstream, site: Site, chat_id: str) -> None:
    with pytest.raises(UpstreamRejected):
        await upstream.delete_chat(chat_id, "user-1")
    with pytest.raises(UpstreamRejected):
        await upstream.stop(chat_id, None)
    assert site.requests == []


async def test_stops_a_generation(upstream: QwenUpstream, site: Site) -> None:
    site.on(STOP, good(True))
    await upstream.stop(CHAT, "a1")
    await upstream.stop(CHAT, None)
    assert [request.json for request in site.requests] == [{"chat_id": CHAT, "response_id": "a1"}, {"chat_id": CHAT}]
    assert site.requests[0].path == f"/api/v2/chat/completions/stop?chat_id={CHAT}"


async def test_a_trailer_does_not_turn_a_good_answer_into_a_refusal(upstream: QwenUpstream, site: Site) -> None:
    answer = b'{"success": true, "request_id": "r", "data": {"id": "%b"}}' % CHAT.encode()
    site.on(NEW, raw_bytes(head() + chunk(answer) + b"0\r\nX-Actual-Status-Code: 403\r\n\r\n"))
    assert await upstream.create_chat("qwen3.7-plus") == CHAT


@pytest.mark.parametrize(
    "answer", [refusal("Not_Found"), refusal("CHAT_NOT_FOUND"), refusal("Bad_Request", "nothing runs")]
)
async def test_nothing_to_stop_is_no_error(upstream: QwenUpstream, site: Site, answer: object) -> None:
    site.on(STOP, reply(answer))
    await upstream.stop(CHAT, "a1")


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (reply(refusal("RateLimited", "limit", num=2)), UpstreamRateLimited),
        (reply(ANTI_BOT), UpstreamBlocked),
        (reply(WAF_PAGE, 405, kind="text/html"), UpstreamBlocked),
        (reply({}, 200, "x-actual-status-code: 500"), UpstreamBusy),
        (reply(b"<html>502</html>", 502, kind="text/html"), UpstreamUnreachable),
        (reply(b"", 503), UpstreamUnreachable),
        (reply(b"", 429, "Retry-After: 3"), UpstreamRateLimited),
        (reply(b"", 302, "Location: https://x/punish?x5secdata=a"), UpstreamBlocked),
        (reply(b"<html>302 Found</html>", 302, "Location: https://x/punish?x5secdata=a"), UpstreamBlocked),
        (reply(b"never mind"), UpstreamProtocolError),
        (reply(refusal("CHAT_NOT_FOUND")), ChatGone),
        (reset(), UpstreamUnreachable),
        (raw_bytes(b""), UpstreamUnreachable),
        (raw_bytes(b"SMTP ready\r\n\r\n"), UpstreamProtocolError),
        (raw_bytes(head(200) + b"5\r\nhe"), UpstreamUnreachable),
        (raw_bytes(head(200, "application/json", "Content-Encoding: gzip", length=4) + b"oops"), UpstreamProtocolError),
        *((reply(body), UpstreamProtocolError) for body in MALFORMED),
        (reply(refusal("RateLimited", num=10**400)), UpstreamRateLimited),
    ],
)
async def test_every_failure_of_a_call_is_one_of_our_errors(
    upstream: QwenUpstream, site: Site, act: Act, kind: type[UpstreamError]
) -> None:
    site.on(NEW, act)
    with pytest.raises(UpstreamError) as caught:
        await upstream.create_chat("m")
    assert type(caught.value) is kind
    assert "x5sec" not in str(caught.value)


async def test_an_answer_without_end_is_refused_before_it_fills_the_memory(upstream: QwenUpstream, site: Site) -> None:
    site.on(MODELS, reply(b" " * (9 << 20)))
    with pytest.raises(UpstreamProtocolError, match="8 MiB"):
        await upstream.models()


async def test_silence_names_the_setting(open_upstream: OpenUpstream, site: Site, tmp_path: Path) -> None:
    site.on(MODELS, silent())
    settings = make_settings(tmp_path, FIRST_EVENT_TIMEOUT="0.1", QWEN_AUTH_TOKEN="an.opaque.token")
    async with open_upstream(settings) as upstream:
        with pytest.raises(UpstreamTimeout, match=r"0\.1 s \(FIRST_EVENT_TIMEOUT\)"):
            await upstream.models()


@pytest.mark.parametrize(
    ("base_url", "kind", "words"),
    [
        ("http://127.0.0.1:1", UpstreamUnreachable, "127.0.0.1 could not be reached"),
        ("http://no-such-host.invalid", UpstreamUnreachable, "no-such-host.invalid could not be resolved"),
    ],
)
async def test_a_site_out_of_reach_is_named(
    settings: Settings, site: Site, clock: StillClock, base_url: str, kind: type[UpstreamError], words: str
) -> None:
    tokens = TokenSource.fixed(settings, clock, "opaque")
    async with QwenUpstream(settings, clock, base_url=base_url, tokens=tokens, kind="qwen") as upstream:
        with pytest.raises(kind, match=words) as caught:
            await upstream.models()
    assert not caught.value.accepted


async def test_a_connection_that_cannot_be_secured_is_named(settings: Settings, clock: StillClock) -> None:
    async def answer_in_the_clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer_in_the_clear, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tokens = TokenSource.fixed(settings, clock, "opaque")
    async with server, QwenUpstream(settings, clock, base_url=url, tokens=tokens, kind="qwen") as upstream:
        with pytest.raises(UpstreamUnreachable, match="TLS"):
            await upstream.models()


async def test_a_connection_that_is_never_made_names_the_setting(tmp_path: Path, clock: StillClock) -> None:
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    deaf.listen(0)
    crowd = []
    for _ in range(4):  # fill the backlog, so that the kernel drops further connections
        other = socket.socket()
        other.setblocking(False)
        other.connect_ex(deaf.getsockname())
        crowd.append(other)
    settings = make_settings(tmp_path, CONNECT_TIMEOUT="0.2")
    tokens = TokenSource.fixed(settings, clock, "opaque")
    url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
    try:
        async with QwenUpstream(settings, clock, base_url=url, tokens=tokens, kind="qwen") as upstream:
            with pytest.raises(UpstreamTimeout, match=r"0\.2 s \(CONNECT_TIMEOUT\)"):
                await upstream.models()
    finally:
        for one in (deaf, *crowd):
            one.close()


async def test_a_refused_token_is_remembered_and_a_new_one_used_at_once(
    open_upstream: OpenUpstream, site: Site, clock: StillClock, tmp_path: Path
) -> None:
    env = tmp_path / ".env"
    env.write_text(f"QWEN_AUTH_TOKEN={make_token()}\n", "utf-8")
    site.on(NEW, EXPIRED)
    settings = await asyncio.to_thread(make_settings, tmp_path)
    async with open_upstream(settings) as upstream:
        for _ in range(3):
            with pytest.raises(UpstreamLoginRequired, match="refuses the account's token"):
                await upstream.create_chat("m")
        assert len(site.requests) == 1
        assert "refuses" in (upstream.account().problem or "")
        clock.pass_time(10)
        for _ in range(2):
            with pytest.raises(UpstreamLoginRequired):
                await upstream.create_chat("m")
        assert len(site.requests) == 2
        site.on(NEW, good({"id": CHAT}))
        env.write_text(f"QWEN_AUTH_TOKEN='{make_token('user-2')}'\n", "utf-8")
        assert await upstream.create_chat("m") == CHAT
        account = upstream.account()
        assert (account.account, account.problem, account.upstream) == ("user-2", None, "qwen")


async def test_a_refused_token_that_works_again_is_used_again(
    upstream: QwenUpstream, site: Site, clock: StillClock
) -> None:
    site.on(NEW, EXPIRED, good({"id": CHAT}))
    with pytest.raises(UpstreamLoginRequired):
        await upstream.create_chat("m")
    clock.pass_time(11)
    for _ in range(2):
        await upstream.create_chat("m")
    assert upstream.account().problem is None


async def test_what_guests_may_ask_too_does_not_show_that_a_refused_token_works(
    upstream: QwenUpstream, site: Site, clock: StillClock
) -> None:
    site.on(NEW, EXPIRED, good({"id": CHAT}))
    site.on(MODELS, reply({"data": [{"id": "a"}]}), reply(refusal("Too_Many_Requests")))
    with pytest.raises(UpstreamLoginRequired):
        await upstream.create_chat("m")
    clock.pass_time(10)
    await upstream.models()
    assert "refuses" in (upstream.account().problem or "")
    clock.pass_time(10)
    with pytest.raises(UpstreamRateLimited):
        await upstream.models()
    assert "refuses" in (upstream.account().problem or "")
    clock.pass_time(10)
    await upstream.create_chat("m")
    assert upstream.account().problem is None


async def test_a_refusal_for_another_reason_shows_that_the_token_works(
    upstream: QwenUpstream, site: Site, clock: StillClock
) -> None:
    site.on(NEW, EXPIRED, reply(refusal("RateLimited", num=2)))
    for kind in (UpstreamLoginRequired, UpstreamRateLimited, UpstreamRateLimited):
        with pytest.raises(kind):
            await upstream.create_chat("m")
        if kind is UpstreamLoginRequired:
            clock.pass_time(10)
    assert upstream.account().problem is None


async def test_an_expired_token_costs_no_call(site: Site, settings: Settings, clock: StillClock) -> None:
    tokens = TokenSource.fixed(settings, clock, make_token(life=timedelta(seconds=-1)))
    async with QwenUpstream(settings, clock, base_url=site.url, tokens=tokens, kind="emulator") as upstream:
        with pytest.raises(UpstreamLoginRequired, match="expired on"):
            await upstream.models()
        assert site.requests == []
        account = upstream.account()
        assert (account.account, account.upstream) == ("user-1", "emulator")
        assert account.token_expires_at is not None
        assert "expired" in (account.problem or "")


async def test_without_a_token_the_account_has_no_name(open_upstream: OpenUpstream, settings: Settings) -> None:
    account = open_upstream(settings).account()
    assert (account.account, account.token_expires_at, account.problem) == (
        "none",
        None,
        "There is no token for the account.",
    )


async def test_a_block_is_remembered_until_a_chat_call_works(
    upstream: QwenUpstream, site: Site, clock: StillClock
) -> None:
    site.on(NEW, reply(ANTI_BOT), good({"id": CHAT}))
    site.on(MODELS, reply({"data": [{"id": "a"}]}))
    with pytest.raises(UpstreamBlocked):
        await upstream.create_chat("m")
    await upstream.models()
    assert upstream.account().problem == (
        "The site's bot protection answered in place of the model. Nothing is sent to it until 09:01:00 UTC."
    )
    with pytest.raises(UpstreamBlocked):
        await upstream.create_chat("m")
    clock.pass_time(60)
    await upstream.create_chat("m")
    assert upstream.account().problem is None


async def test_no_secret_reaches_the_log(
    open_upstream: OpenUpstream, site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = make_token()
    site.on(NEW, reply(ANTI_BOT), EXPIRED)
    settings = make_settings(tmp_path, BLOCK_PAUSE_SECONDS="0", QWEN_AUTH_TOKEN=token, QWEN_COOKIE="cna=cookiesecret")
    async with open_upstream(settings) as upstream:
        for kind in (UpstreamBlocked, UpstreamLoginRequired):
            with pytest.raises(kind):
                await upstream.create_chat("m")
        assert "cookiesecret" in site.requests[0].headers["cookie"]
    for secret in (token, token.split(".")[2], "cookiesecret", "verysecretvalue"):
        assert secret not in caplog.text


async def test_leaving_without_having_entered_is_harmless(open_upstream: OpenUpstream, settings: Settings) -> None:
    await open_upstream(settings).__aexit__(None, None, None)

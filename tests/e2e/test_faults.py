"""Each thing that goes wrong upstream has its own documented answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Reply, Server, emulating, serving

HI = [{"role": "user", "content": "hi"}]

IN_PLACE_OF_AN_ANSWER = [
    ("rate_limited", 429, "rate_limit_exceeded"),
    ("parallel_limited", 429, "rate_limit_exceeded"),
    ("too_many_requests", 429, "rate_limit_exceeded"),
    ("quota_limited", 429, "rate_limit_exceeded"),
    ("internal", 503, "upstream_busy"),
    ("error_as_stream", 503, "upstream_busy"),
    ("server_error", 503, "upstream_busy"),
    ("validation", 502, "upstream_rejected"),
    ("invalid_input", 502, "upstream_rejected"),
    ("model_not_found", 404, "model_not_found"),
    ("inspection", 400, "content_filter"),
    ("context_length", 400, "context_length_exceeded"),
    ("unauthorized", 503, "upstream_login_required"),
    ("expired", 503, "upstream_login_required"),
    ("anti_bot", 503, "upstream_blocked"),
    ("anti_bot_page", 503, "upstream_blocked"),
    ("anti_bot_captcha", 503, "upstream_blocked"),
    ("bad_gateway", 502, "upstream_unreachable"),
    ("unavailable", 502, "upstream_unreachable"),
    ("gateway_timeout", 502, "upstream_unreachable"),
    ("chat_not_found", 502, "upstream_chat_gone"),
    ("parent_not_found", 502, "upstream_parent_unknown"),
    ("empty", 502, "upstream_empty_answer"),
]

IN_MID_ANSWER = [
    ("error_in_stream", "rate_limit_exceeded"),
    ("error_in_stream_flat", "rate_limit_exceeded"),
    ("error_in_stream_text", "upstream_busy"),
    ("error_in_stream_nested", "upstream_busy"),
    ("error_in_stream_envelope", "upstream_busy"),
    ("expired_in_stream", "upstream_login_required"),
]

HARMLESS = [
    "keep_alive",
    "unknown_events",
    "odd_values",
    "crlf",
    "bytewise",
    "two_candidates",
    "cumulative",
    "web_search",
    "done_mark",
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "status", "code"), IN_PLACE_OF_AN_ANSWER)
async def test_an_error_before_the_answer_has_its_own_status(
    server: Server, fault: str, status: int, code: str, stream: bool
) -> None:
    is_renewed = code == "upstream_login_required"
    server.emulator.script.fault(fault, times=2 if is_renewed else 1)
    reply = await server.client.chat(HI, stream=stream, enable_thinking=False)
    assert (reply.status, reply.error["code"]) == (status, code), reply.error
    assert reply.error["message"]
    assert set(reply.error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(("fault", "code"), IN_MID_ANSWER)
async def test_an_error_in_mid_answer_follows_the_text_that_came(server: Server, fault: str, code: str) -> None:
    server.emulator.script.answer("One two three four.", pieces=["One ", "two ", "three ", "four."], fault=fault)
    reply = await server.client.chat(HI, stream=True, enable_thinking=False)
    assert (reply.status, reply.error["code"]) == (200, code), reply.error
    assert reply.text == "One two "
    assert reply.finish_reason is None


@pytest.mark.parametrize(("fault", "code"), IN_MID_ANSWER)
async def test_an_answer_that_is_not_streamed_is_not_given_by_half(server: Server, fault: str, code: str) -> None:
    server.emulator.script.answer("One two.", pieces=["One ", "two."], fault=fault)
    reply = await server.client.chat(HI, enable_thinking=False)
    assert reply.status >= 400
    assert reply.error["code"] == code
    assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("fault", HARMLESS)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_only_looks_odd_changes_nothing(server: Server, fault: str, stream: bool) -> None:
    text = "Grüße, 世界: 1 2 3 \U0001f600 done."
    server.emulator.script.answer(text, thinking=["I look.", "I see."], fault=fault)
    talk = server.conversation(stream=stream)
    reply = await talk.say("hi")
    assert (reply.text, reply.finish_reason) == (text, "stop")
    assert "NEVER" not in reply.reasoning
    assert "I look." in reply.reasoning
    assert (await talk.say("and now?")).match == "exact"


async def test_a_daily_limit_says_when_to_come_back(server: Server) -> None:
    server.emulator.script.fault("rate_limited")
    reply = await server.client.chat(HI)
    assert reply.headers["Retry-After"] == "7200"
    assert "2 hours" in reply.error["message"]


async def test_a_limit_on_new_chats_is_told_and_leaves_nothing_behind(server: Server) -> None:
    server.emulator.script.fault("rate_limited", target="new")
    reply = await server.client.chat(HI)
    assert (reply.status, reply.error["code"]) == (429, "rate_limit_exceeded")
    assert (await server.client.get("/ready")).body["stored"]["sessions"] == 0


async def test_a_blocked_account_is_told_to_open_the_browser_and_ready_says_so(server: Server) -> None:
    server.emulator.script.fault("anti_bot")
    reply = await server.client.chat(HI)
    assert "browser" in reply.error["message"]
    assert reply.headers["x-should-retry"] == "false"
    ready = await server.client.get("/ready")
    assert (ready.status, ready.body["status"]) == (503, "unavailable")
    assert ready.body["problems"]


async def until_sent(server: Server) -> AsyncIterator[Reply]:
    """Ask until a request reaches the site."""
    asked = len(server.emulator.requests)
    while len(server.emulator.requests) == asked:
        yield await server.client.chat(HI)


async def test_after_a_block_the_site_is_left_alone_then_one_request_tries_it(tmp_path: Path) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, BLOCK_PAUSE_SECONDS="0.5") as server:
        emulator.script.fault("anti_bot", target="new")
        first = await server.client.chat(HI)
        asked = len(emulator.requests)
        during = await asyncio.gather(*(server.client.chat(HI) for _ in range(5)))
        assert len(emulator.requests) == asked, "nothing is sent during the pause"
        for reply in (first, *during):
            assert (reply.status, reply.error["code"]) == (503, "upstream_blocked")
            assert int(reply.headers["Retry-After"]) >= 1
        assert "Nothing is sent to it until" in during[0].error["message"]
        replies = [reply async for reply in until_sent(server)]
        assert replies[-1].status == 200
        assert (await server.client.get("/ready")).status == 200


async def test_a_refused_token_is_replaced_without_a_restart(tmp_path: Path) -> None:
    async with emulating() as emulator:
        token = emulator.mint_token()
        env = tmp_path / ".env"
        await asyncio.to_thread(env.write_text, f"QWEN_AUTH_TOKEN={token}\n")
        async with serving(tmp_path, emulator, QWEN_AUTH_TOKEN="") as server:
            assert (await server.client.chat(HI)).status == 200
            emulator.revoke(token)
            refused = await server.client.chat(HI)
            assert refused.status == 503, refused
            assert (refused.status, refused.error["code"]) == (503, "upstream_login_required")
            asked = len(emulator.requests)
            assert (await server.client.chat(HI)).status == 503
            assert len(emulator.requests) == asked, "a token that was refused just now is not tried again at once"
            assert "token" in (await server.client.get("/ready")).body["problems"][0]
            await asyncio.to_thread(env.write_text, f"QWEN_AUTH_TOKEN={emulator.mint_token()}\n")
            assert (await server.client.chat(HI)).status == 200
            assert (await server.client.get("/ready")).status == 200


async def test_the_token_is_in_no_error_and_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    async with emulating() as emulator:
        token = emulator.mint_token()
        async with serving(tmp_path, emulator, QWEN_AUTH_TOKEN=token) as server:
            emulator.revoke(token)
            reply = await server.client.chat(HI)
            info = await server.client.get("/")
            assert token not in str(reply) + str(info) + caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("fault", "settings", "name"),
    [
        ("slow_start", {"FIRST_EVENT_TIMEOUT": "0.2"}, "FIRST_EVENT_TIMEOUT"),
        ("stall", {"BETWEEN_EVENTS_TIMEOUT": "0.2"}, "BETWEEN_EVENTS_TIMEOUT"),
        ("stall", {"TOTAL_TIMEOUT": "0.3"}, "TOTAL_TIMEOUT"),
    ],
)
async def test_silence_ends_with_the_name_of_the_setting(
    tmp_path: Path, fault: str, settings: dict[str, str], name: str
) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, **settings) as server:
        emulator.script.answer("One two.", pieces=["One ", "two."], fault=fault)
        reply = await server.client.chat(HI, enable_thinking=False)
        assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")
        assert name in reply.error["message"]


async def test_an_upstream_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    async with emulating() as emulator:
        pass
    async with serving(tmp_path, emulator) as server:
        reply = await server.client.chat(HI)
        assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")
        assert (await server.client.get("/v1/models")).status == 502
        assert (await server.client.get("/health")).status == 200


async def test_upstream_errors_of_the_year_2025_are_understood_too(tmp_path: Path) -> None:
    async with emulating(era="2025") as emulator, serving(tmp_path, emulator) as server:
        talk = server.conversation()
        await talk.say("My dog is called Waldo.")
        assert (await talk.say("What is my dog called?")).text == "Your dog is Waldo."
        for fault, status in (("rate_limited", 429), ("expired", 503)):
            emulator.script.fault(fault, times=2 if fault == "expired" else 1)  # a refused token is renewed once
            assert (await server.client.chat(HI)).status == status


async def test_a_model_that_must_think_is_never_asked_not_to(server: Server) -> None:
    reply = await server.client.chat(HI, model="qwq-32b", enable_thinking=False)
    assert reply.status == 200
    assert reply.reasoning == ""
    assert server.emulator.shown[0].feature_config["thinking_enabled"] is True


async def test_a_prompt_over_the_budget_never_leaves(server: Server) -> None:
    reply = await server.client.chat([{"role": "user", "content": "x" * 100_000}], model="qwq-32b")  # no documents
    assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "context_length_exceeded", "messages")
    assert not server.emulator.chats


@pytest.mark.parametrize("fault", ["anti_bot", "rate_limited"])
async def test_a_model_list_that_fails_is_served_stale(tmp_path: Path, fault: str) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, MODELS_TTL="0") as server:
        listed: Any = (await server.client.get("/v1/models")).body
        emulator.script.fault(fault, target="models")
        again = await server.client.get("/v1/models")
        assert (again.status, again.body) == (200, listed)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["cut", "reset", "cut_at_once", "lost", "gave_up"])
async def test_what_a_broken_stream_did_not_bring_is_read_from_the_chat(
    server: Server, fault: str, stream: bool
) -> None:
    server.emulator.script.answer("One two three four.", pieces=["One ", "two ", "three ", "four."], fault=fault)
    talk = server.conversation(stream=stream, enable_thinking=False)
    reply = await talk.say("Count.")
    assert (reply.text, reply.finish_reason) == ("One two three four.", "stop")
    assert (await talk.say("And now?")).match == "exact"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_asked_for_anew_is_never_the_old_one(server: Server, stream: bool) -> None:
    talk = server.conversation(stream=stream, enable_thinking=False)
    await talk.say("Hello.")
    server.emulator.script.answer("The first joke.")
    await talk.say("Tell a joke.")
    talk.messages.pop()
    server.emulator.script.fault("bad_gateway")
    reply = await talk.again()
    assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")
    server.emulator.script.answer("The second joke.", fault="gave_up")
    assert (await talk.again()).text == "The second joke."
    assert len(server.emulator.chats) == 1


@pytest.mark.parametrize("fault", ["cut", "reset"])
async def test_a_broken_stream_whose_chat_cannot_be_read_is_an_error_after_what_came(
    server: Server, fault: str
) -> None:
    server.emulator.script.answer("One two.", pieces=["One ", "two."], fault=fault)
    server.emulator.script.fault("bad_gateway", target="read", times=50)
    reply = await server.client.chat(HI, stream=True, enable_thinking=False)
    assert (reply.text, reply.error["code"], reply.finish_reason) == ("One ", "upstream_cut", None)


@pytest.mark.parametrize("fault", ["bad_gateway", "unavailable", "busy"])
async def test_a_site_that_cannot_show_the_chat_for_a_moment_is_asked_again(server: Server, fault: str) -> None:
    server.emulator.script.answer("One two.", pieces=["One ", "two."], fault="cut")
    server.emulator.script.fault(fault, target="read", times=2)
    reply = await server.client.chat(HI, stream=True, enable_thinking=False)
    assert (reply.text, reply.finish_reason) == ("One two.", "stop")
    assert not server.emulator.stops


async def test_a_block_met_while_an_answer_is_read_back_ends_the_reading(server: Server) -> None:
    server.emulator.script.answer("One two.", pieces=["One ", "two."], fault="cut")
    server.emulator.script.fault("anti_bot", target="read")
    reply = await server.client.chat(HI, stream=True, enable_thinking=False)
    assert (reply.text, reply.error["code"]) == ("One ", "upstream_cut")
    assert sum(request.method == "GET" and "/chats/" in request.path for request in server.emulator.requests) == 1


async def test_a_site_that_is_busy_for_a_moment_is_asked_again(server: Server) -> None:
    server.emulator.script.fault("busy", target="new")
    server.emulator.script.fault("busy")
    server.emulator.script.fault("busy")
    assert (await server.client.chat(HI)).status == 200
    assert len(server.emulator.shown) == 1


async def test_a_site_that_stays_busy_is_told_as_such(server: Server) -> None:
    for _ in range(3):
        server.emulator.script.fault("busy")
    reply = await server.client.chat(HI)
    assert (reply.status, reply.error["code"]) == (503, "upstream_busy")
    assert (await server.client.chat(HI)).status == 200


@pytest.mark.parametrize("fault", ["internal", "unavailable", "gateway_timeout", "too_many_requests"])
async def test_what_may_have_been_accepted_or_has_a_time_to_wait_is_not_sent_twice(server: Server, fault: str) -> None:
    server.emulator.script.fault(fault)
    assert (await server.client.chat(HI)).status >= 400
    sent = [request for request in server.emulator.requests if request.path.endswith("/chat/completions")]
    assert len(sent) == 1

"""The emulator speaks the site's protocol as docs/upstream-protocol.md gives it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from app.emulator.faults import REFUSALS, Disturbance, Page
from tests.emulator.site import FAST, MODEL, THINKING, Site, site


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as here:
        yield here


async def test_three_turns_as_the_protocol_page_shows_them(here: Site) -> None:
    chat = await here.new_chat()
    parent, answers = None, []
    for question in ("Is 91 prime?", "And 97?", "Thanks"):
        got = await here.say(chat, question, parent, config=THINKING)
        assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert got.headers["x-actual-status-code"] == "200"
        parent = got.created["response_id"]
        answers.append((got.created["parent_id"], parent))
        assert got.created["response_index"] == "0"
    data = await here.tree(chat)
    nodes = data["chat"]["history"]["messages"]
    assert (data["currentId"], data["currentResponseIds"]) == (parent, [parent])
    above = None
    for user, answer in answers:
        assert (nodes[user]["parentId"], nodes[user]["childrenIds"]) == (above, [answer])
        assert (nodes[answer]["parentId"], nodes[answer]["content"], nodes[answer]["done"]) == (user, "", True)
        assert [part["phase"] for part in nodes[answer]["content_list"]] == ["thinking_summary", "answer"]
        above = answer
    assert data["title"] == "Is 91 prime?"
    assert [node["role"] for node in data["chat"]["messages"]] == ["user", "assistant"] * 3


async def test_the_bytes_of_a_stream_are_those_of_the_captures(here: Site) -> None:
    here.emulator.script.answer("Hello you.", pieces=["Hello ", "you."])
    raw = (await here.say(await here.new_chat(), "hi")).raw
    frames = raw.split(b"\n\n")
    assert frames[0].startswith(b'data: {"response.created":{"chat_id":"')
    assert frames[0].endswith(b'"response_index":"0"}} ')
    assert b'"choices": [{"delta": {"role": "assistant", "content": "Hello ", "phase": "answer"' in frames[1]
    assert raw.endswith(b"}\n\n\n")
    assert b"[DONE]" not in raw
    *deltas, last = (await here.say(await here.new_chat(), "hi")).deltas
    assert [delta["content"] for delta in deltas[-2:]] == ["", ""]
    assert last == {"content": "", "role": "assistant", "status": "finished", "phase": "answer"}


async def test_usage_is_on_typing_deltas_and_grows(here: Site) -> None:
    got = await here.say(await here.new_chat(), "count to 20", config=THINKING)
    usages = [event.get("usage") for event in got.events if "choices" in event]
    finished = [delta["status"] == "finished" for delta in got.deltas]
    assert all((usage is None) == done for usage, done in zip(usages, finished, strict=True))
    totals = [usage["output_tokens"] for usage in usages if usage]
    assert totals == sorted(totals)
    last = [usage for usage in usages if usage][-1]
    assert last["input_tokens"] > 500, "a hidden prompt counts"
    assert last["total_tokens"] == last["input_tokens"] + last["output_tokens"]
    assert 0 < last["output_tokens_details"]["reasoning_tokens"] < last["output_tokens"]


async def test_summaries_are_snapshots_and_raw_thinking_comes_in_pieces(here: Site) -> None:
    here.emulator.script.answer("yes", thinking=["First thought.", "Second."])
    summary = [
        delta for delta in (await here.say(await here.new_chat(), "hi", config=THINKING)).deltas if "extra" in delta
    ]
    thoughts = [delta["extra"]["summary_thought"]["content"] for delta in summary]
    assert thoughts == [["First t"], ["First thought."], ["First thought.", "Sec"], ["First thought.", "Second."]]
    assert all(
        len(delta["extra"]["summary_title"]["content"]) == len(thought)
        for delta, thought in zip(summary, thoughts, strict=True)
    )
    here.emulator.script.answer("yes", thinking=["First thought."])
    raw = {key: value for key, value in THINKING.items() if key != "thinking_format"}
    got = await here.say(await here.new_chat(), "hi", config=raw)
    pieces = [delta for delta in got.deltas if delta["phase"] == "think"]
    assert [delta["content"] for delta in pieces] == ["First t", "hought.", ""]
    assert pieces[-1]["status"] == "finished"


async def test_without_an_output_schema_no_delta_has_a_phase(here: Site) -> None:
    got = await here.say(await here.new_chat(), "say: hello", config={"thinking_enabled": False})
    assert got.text == "hello"
    assert all("phase" not in delta for delta in got.deltas)


async def test_the_envelope_echoes_the_request_id(here: Site) -> None:
    got = await here.call("GET", "/api/v2/users/user/settings", X_Request_Id="abc-1")
    assert (got.json["success"], got.json["request_id"], got.headers["x-request-id"]) == (True, "abc-1", "abc-1")
    assert got.headers["x-actual-status-code"] == "200"
    assert got.json["data"]["tools_enabled"]["web_search"] is True


async def test_a_token_is_taken_as_bearer_or_as_cookie(here: Site) -> None:
    token, here.token = here.token, ""
    assert (await here.call("GET", "/api/v2/chats/")).json["data"]["code"] == "unauthorized"
    assert (await here.call("GET", "/api/v2/chats/", Cookie=f"token={token}")).json["success"]
    here.token = here.emulator.mint_token(-1)
    expired = await here.call("GET", "/api/v2/chats/")
    assert expired.json["data"]["details"] == "Token has expired, please log in again."
    assert (expired.status, expired.headers["x-actual-status-code"]) == (200, "401")
    here.token = token
    here.emulator.revoke(token)
    assert (await here.call("GET", "/api/v2/chats/")).json["data"]["details"].startswith("401")


@pytest.mark.parametrize("path", ["/api/models", "/api/v2/models/", "/api/v2/models"])
async def test_guests_see_the_models_at_both_depths(here: Site, path: str) -> None:
    here.token = ""
    body = (await here.call("GET", path)).json
    models = body["data"] if path == "/api/models" else body["data"]["data"]
    assert MODEL in [model["id"] for model in models]
    assert all(model["info"]["meta"]["max_context_length"] for model in models)


async def test_the_profile_renews_the_token(here: Site) -> None:
    profile = (await here.call("GET", "/api/v1/auths/")).json
    here.token = profile["token"]
    assert (await here.call("GET", "/api/v2/auths/", base=here.emulator.auth_url)).json["data"]["id"] == profile["id"]


async def test_settings_can_be_changed_in_part(here: Site) -> None:
    change = {"tools_enabled": {"web_search": False}, "theme": "dark"}
    assert (await here.call("POST", "/api/v2/users/user/settings/update", change)).json["success"]
    settings = (await here.call("GET", "/api/v2/users/user/settings")).json["data"]
    assert settings["tools_enabled"]["web_search"] is False
    assert settings["tools_enabled"]["code_interpreter"] is True
    assert settings["theme"] == "dark"
    assert (await here.call("POST", "/api/v2/users/status", {})).json["data"] is True


async def test_the_refresh_wants_an_origin_and_rotates_its_cookie(here: Site) -> None:
    refresh = "/api/v2/auths/refresh"
    base = here.emulator.auth_url
    cookie = f"token={here.token}"
    missing = await here.call("GET", refresh, base=base, Cookie=cookie)
    assert missing.json["data"] == {"code": "Bad_Request", "details": "Missing origin"}
    first = await here.call("GET", refresh, base=base, Cookie=cookie, Origin="https://chat.qwen.ai")
    rotated = first.json["data"]["refresh_token"]
    assert f"refresh_token={rotated}" in first.headers["set-cookie"]
    here.token = first.json["data"]["access_token"]
    assert (await here.call("GET", "/api/v2/chats/")).json["success"]
    again = await here.call("GET", refresh, base=base, Cookie=f"refresh_token={rotated}", Origin="https://chat.qwen.ai")
    assert again.json["success"]
    stale = await here.call("GET", refresh, base=base, Cookie=f"refresh_token={rotated}", Origin="https://chat.qwen.ai")
    assert stale.json["data"]["code"] == "Unauthorized"


async def test_chats_are_listed_newest_first_in_pages_until_an_empty_one() -> None:
    async with site(page_size=2) as here:
        chats = [await here.new_chat() for _ in range(3)]
        pages = [(await here.call("GET", f"/api/v2/chats/?page={page}")).json["data"] for page in (1, 2, 3)]
        assert [len(page) for page in pages] == [2, 1, 0]
        assert {row["id"] for page in pages for row in page} == set(chats)
        assert pages[0][0].keys() >= {"id", "title", "updated_at", "created_at", "chat_type", "pinned"}


async def test_deleted_and_unknown_chats_differ(here: Site) -> None:
    first, second, third = [await here.new_chat() for _ in range(3)]
    assert (await here.call("DELETE", f"/api/v2/chats/{first}")).json["data"] == {"status": True}
    assert (await here.call("DELETE", f"/api/v2/chats/{first}")).json["data"]["code"] == "Not_Found"
    assert (await here.call("GET", f"/api/v2/chats/{first}")).json["data"]["code"] == "Not_Found"
    assert (await here.say(first, "hi")).json["data"]["code"] == "CHAT_NOT_FOUND"
    assert (await here.say("c0000000-unknown", "hi")).json["data"]["code"] == "Not_Found"
    assert (await here.call("POST", "/api/v2/chats/batch_delete", {"ids": [second]})).json["success"]
    assert list(here.emulator.chats) == [third]
    assert (await here.call("DELETE", "/api/v2/chats/")).json["success"]
    assert (here.emulator.chats, here.emulator.delete_all_calls) == ({}, 1)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"messages": [{}, {}]}, "Bad_Request"),
        ({"message": {"role": "function"}}, "Bad_Request"),
        ({"model": "nothing"}, "Not_Found"),
        ({"parent": "nowhere"}, "PARENT_NOT_FOUND"),
        ({"model": "qwq-32b"}, "invalid_input"),
    ],
)
async def test_a_wrong_message_is_refused(here: Site, changes: dict[str, Any], code: str) -> None:
    assert (await here.say(await here.new_chat(), "hi", **changes)).json["data"]["code"] == code


async def test_missing_fields_are_named(here: Site) -> None:
    got = await here.call("POST", "/api/v2/chat/completions?chat_id=x", {"messages": []})
    assert got.json["data"]["code"] == "RequestValidationError"
    assert "Field 'chat_id': Field required" in got.json["data"]["details"]
    body = {"chat_id": "x", "model": MODEL, "messages": [], "stream": True}
    assert (await here.call("POST", "/api/v2/chat/completions", body)).json["data"]["code"] == "RequestValidationError"
    made = await here.call("POST", "/api/v2/chats/new", {"models": [MODEL]})
    assert made.json["data"]["code"] == "RequestValidationError"
    other = {"models": ["x"], "chat_mode": "normal", "chat_type": "t2t", "timestamp": 1}
    assert (await here.call("POST", "/api/v2/chats/new", other)).json["data"]["details"] == "Model not found"


async def test_unknown_routes_are_refused_in_the_envelope(here: Site) -> None:
    got = await here.call("GET", "/api/v2/files/getstsToken")
    assert (got.status, got.json["data"]["code"]) == (200, "Not_Found")


async def test_an_edit_makes_a_sibling_and_a_null_parent_a_new_root(here: Site) -> None:
    chat = await here.new_chat()
    first = (await here.say(chat, "My cat is Tom.")).created["response_id"]
    await here.say(chat, "one", first)
    await here.say(chat, "two", first, action="edit")
    root = await here.say(chat, "What is my cat?")
    assert "did not tell" in root.text or "emulator" in root.text
    nodes = (await here.tree(chat))["chat"]["history"]["messages"]
    assert len(nodes[first]["childrenIds"]) == 2
    assert [shown.user_action for shown in here.emulator.shown] == ["chat", "chat", "edit", "chat"]


async def test_a_message_in_parts_is_read_and_a_system_role_gets_no_answer(here: Site) -> None:
    chat = await here.new_chat()
    assert (await here.say(chat, [{"type": "text", "text": "say: "}, {"type": "text", "text": "x"}])).text == "x"
    assert (await here.say(chat, "be nice", message={"role": "system"})).text == ""


async def test_a_chat_is_locked_while_it_answers_and_for_some_time_after() -> None:
    async with site(lock_seconds=0.3) as here:
        chat = await here.new_chat()
        hold = here.emulator.script.hold("held")
        first = asyncio.create_task(here.say(chat, "hi"))
        await hold.reached()
        assert (await here.say(chat, "and?")).json["data"]["details"] == "The chat is in progress!"
        hold.release()
        await first
        assert (await here.say(chat, "and?")).json["data"]["details"] == "The chat is in progress!"
        async with asyncio.timeout(3):
            while (await here.say(chat, "and?")).headers["content-type"].startswith("application/json"):
                await asyncio.sleep(0.05)


async def test_an_answer_goes_on_when_its_reader_is_gone(here: Site) -> None:
    chat = await here.new_chat()
    hold = here.emulator.script.hold("", pieces=["One ", "two ", "three."], before=1)
    reading = asyncio.create_task(here.say(chat, "hi"))
    await hold.reached()
    reading.cancel()
    await asyncio.wait([reading])
    hold.release()
    async with asyncio.timeout(3):
        while not (node := list(here.emulator.chats[chat].nodes.values())[1]).done:
            await asyncio.sleep(0.01)
    assert (node.text, node.is_stop) == ("One two three.", False)


async def test_stop_ends_an_answer_where_it_is(here: Site) -> None:
    chat = await here.new_chat()
    hold = here.emulator.script.hold("", pieces=["One ", "two ", "three."], before=2)
    reading = asyncio.create_task(here.say(chat, "hi"))
    await hold.reached()
    stopped = await here.call("POST", "/api/v2/chat/completions/stop", {"chat_id": chat, "response_id": "x"})
    assert stopped.json["success"]
    got = await reading
    assert got.text == "One two "
    assert "response.stopped" in got.events[-1]
    node = (await here.tree(chat))["chat"]["messages"][1]
    assert (node["is_stop"], node["content_list"][-1]["content"]) == (True, "One two ")
    assert (await here.call("POST", "/api/v2/chat/completions/stop", {"chat_id": "unknown-chat"})).json["success"]


@pytest.mark.parametrize("name", REFUSALS)
async def test_each_refusal_comes_as_the_protocol_says(here: Site, name: str) -> None:
    here.emulator.script.fault(name)
    got = await here.say(await here.new_chat(), "hi")
    fault = REFUSALS[name]
    if isinstance(fault, Page):
        assert (got.status, got.raw.decode()) == (fault.status, fault.body)
        assert got.headers["content-type"].startswith(fault.content_type)
    else:
        assert got.json["data"] == {"code": fault.code, "details": fault.details, **fault.extra}
        assert (got.status, got.headers["x-actual-status-code"]) == (200, str(fault.status))


async def test_a_fault_may_be_asked_for_by_header_or_by_a_line_of_the_text(here: Site) -> None:
    chat = await here.new_chat()
    marked = await here.say(chat, "Look:\n#emulator fault=busy\nthanks")
    assert marked.json["data"]["code"] == "Server_Busy"
    body = {"models": [MODEL], "chat_mode": "normal", "chat_type": "t2t", "timestamp": 1}
    by_header = await here.call("POST", "/api/v2/chats/new", body, X_Emulator_Fault="anti_bot")
    assert "RGV587_ERROR" in by_header.raw.decode()
    unknown = await here.say(chat, "#emulator fault=nonsense")
    assert "rate_limited" in unknown.json["data"]["details"]


async def test_a_body_above_128_kib_meets_the_bot_protection(here: Site) -> None:
    got = await here.say(await here.new_chat(), "x" * 128 * 1024)
    assert "punish" in got.json["data"]["url"]


@pytest.mark.parametrize(
    "fault", [disturbance.value for disturbance in Disturbance if disturbance.value.startswith(("error", "expired"))]
)
async def test_an_error_in_mid_answer_ends_the_stream(here: Site, fault: str) -> None:
    here.emulator.script.answer("", pieces=["One ", "two."], fault=fault)
    got = await here.say(await here.new_chat(), "hi")
    assert got.text == "One "
    last = got.events[-1]
    assert "error" in last or "code" in last or last.get("success") is False or "error" in last["data"]


async def test_a_cut_stream_hides_an_answer_that_the_chat_has(here: Site) -> None:
    for fault in ("cut", "cut_at_once"):
        chat = await here.new_chat()
        here.emulator.script.answer("", pieces=["One ", "two."], fault=fault)
        got = await here.say(chat, "hi")
        assert b'"finished"' not in got.raw
        assert list(here.emulator.chats[chat].nodes.values())[1].text == "One two."


async def test_a_reset_breaks_the_connection(here: Site) -> None:
    here.emulator.script.answer("", pieces=["One ", "two."], fault="reset")
    chat = await here.new_chat()
    with pytest.raises(aiohttp.ClientError):
        await here.say(chat, "hi")


@pytest.mark.parametrize("fault", ["crlf", "bytewise", "keep_alive", "unknown_events", "done_mark", "web_search"])
async def test_odd_streams_carry_the_same_answer(here: Site, fault: str) -> None:
    here.emulator.script.answer("", pieces=["Grüße ", "世界."], fault=fault)
    got = await here.say(await here.new_chat(), "hi", config=THINKING)
    assert got.text == "Grüße 世界."
    mark = {
        "crlf": b"\r\n\r\n",
        "keep_alive": b": keepalive",
        "unknown_events": b"response.surprise",
        "done_mark": b"[DONE]",
        "web_search": b"web_search_info",
    }
    assert mark.get(fault, b"") in got.raw


async def test_two_candidates_interleave_and_the_second_finishes_first(here: Site) -> None:
    here.emulator.script.answer("", pieces=["One ", "two."], fault="two_candidates")
    events = (await here.say(await here.new_chat(), "hi")).events
    first, second = (event["response.created"] for event in events[:2])
    assert (first["response_index"], second["response_index"]) == ("0", "1")
    assert first["parent_id"] == second["parent_id"]
    finished = [
        event["response_id"]
        for event in events
        if "choices" in event and event["choices"][0]["delta"]["status"] == "finished"
    ]
    assert finished == [second["response_id"], first["response_id"]]


async def test_cumulative_pieces_repeat_the_text_so_far(here: Site) -> None:
    here.emulator.script.answer("", pieces=["One ", "two."], fault="cumulative")
    got = await here.say(await here.new_chat(), "hi")
    assert [delta["content"] for delta in got.deltas][:2] == ["One ", "One two."]


async def test_an_answer_may_stay_empty_or_come_without_usage(here: Site) -> None:
    here.emulator.script.answer("never", fault="empty")
    assert (await here.say(await here.new_chat(), "hi")).text == ""
    here.emulator.script.answer("yes", without_usage=True)
    assert all("usage" not in event for event in (await here.say(await here.new_chat(), "hi")).events)


@pytest.mark.parametrize(("route", "target"), [("/api/v2/models/", "models"), ("/api/v2/chats/x", "delete")])
async def test_other_routes_can_be_made_to_fail(here: Site, route: str, target: Any) -> None:
    here.emulator.script.fault("server_error", target=target)
    got = await here.call("DELETE" if target == "delete" else "GET", route)
    assert got.json["data"]["code"] == "Internal_Server_Error"


def test_a_fault_that_does_not_exist_is_refused() -> None:
    from app.emulator.script import Script

    with pytest.raises(ValueError, match="There is no fault 'nonsense'"):
        Script().fault("nonsense")


async def test_the_year_2025_used_real_statuses_and_older_shapes() -> None:
    async with site(era="2025") as here:
        chat = await here.new_chat()
        got = await here.say(chat, "hi", config=THINKING)
        assert "response_index" not in got.created
        assert {delta["phase"] for delta in got.deltas} == {"think", "answer"}
        assert (await here.tree(chat))["chat"]["messages"][1]["content_list"][0]["phase"] in {
            "think",
            "thinking_summary",
        }
        wrong = await here.say(chat, "hi", "nowhere")
        assert (wrong.status, wrong.json["data"]["details"]) == (400, "parent_id nowhere is not exist")
        here.emulator.script.fault("rate_limited")
        assert (await here.say(chat, "hi")).status == 429


async def test_other_processes_can_plan_hold_release_and_look(here: Site) -> None:
    async def control(method: str, path: str, body: Any = None) -> Any:
        return (await here.call(method, f"/_emulator/{path}", body)).json

    chat = await here.new_chat()
    await control("POST", "script", {"answer": "planned"})
    assert (await here.say(chat, "hi")).text == "planned"
    await control("POST", "script", {"fault": "busy"})
    assert (await here.say(chat, "hi")).json["data"]["code"] == "Server_Busy"
    await control("POST", "script", {"answer": "held", "hold": "gate"})
    reading = asyncio.create_task(here.say(chat, "hi"))
    assert (await control("GET", "holds/gate"))["reached"]
    await control("POST", "holds/gate/release")
    assert (await reading).text == "held"
    state = await control("GET", "state")
    assert list(state["chats"]) == [chat]
    assert [shown["text"] for shown in state["shown"]] == ["hi", "hi"]
    assert {"method": "POST", "path": "/api/v2/chats/new", "status": 200} in state["requests"]
    await control("POST", "script", {"answer": "dropped"})
    await control("POST", "script", {"fault": "busy", "target": "new"})
    await control("POST", "reset")
    assert (await control("GET", "state"))["shown"] == []
    assert (await here.say(await here.new_chat(), "say: fresh")).text == "fresh"
    assert FAST["thinking_mode"] == "Fast"

"""Every fault, as it is on the wire."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from app.emulator.faults import NAMES, REFUSALS, Disturbance, Page, Refusal, named_in
from app.emulator.script import Script
from tests.emulator.page import RAW, SUMMARY, Site, Stream, answer_of, completion, emulated, events_in, eventually

PIECES = ["One ", "two ", "Grüße ", "四."]
TEXT = "".join(PIECES)
ENVELOPES = sorted(name for name, fault in REFUSALS.items() if isinstance(fault, Refusal))
PAGES = sorted(name for name, fault in REFUSALS.items() if isinstance(fault, Page))


async def meet(site: Site, fault: str, **changes: Any) -> Stream:
    chat = await site.new_chat()
    site.emulator.script.answer("", pieces=PIECES, thinking=["I look.", "I see."], fault=fault)
    return await site.say(chat, "hi", **changes)


async def stored(site: Site, turn: Stream) -> dict[str, Any]:
    nodes = (await site.tree(turn.created["chat_id"]))["chat"]["history"]["messages"]
    return dict(nodes[turn.node])


def test_every_fault_has_a_name_of_its_own() -> None:
    assert len(NAMES) == len(set(NAMES)) == len(REFUSALS) + len(Disturbance)


@pytest.mark.parametrize("fault", ENVELOPES)
async def test_a_refusal_comes_in_the_envelope_with_its_real_status_in_a_header(site: Site, fault: str) -> None:
    refusal = REFUSALS[fault]
    assert isinstance(refusal, Refusal)
    turn = await meet(site, fault)
    assert (turn.status, turn.headers["x-actual-status-code"]) == (200, str(refusal.status))
    assert turn.headers["Content-Type"].startswith("application/json")
    assert (turn.code, turn.body["data"]["details"]) == (refusal.code, refusal.details)
    assert not site.emulator.shown


@pytest.mark.parametrize("fault", ENVELOPES)
async def test_in_2025_a_refusal_has_its_real_status_on_the_wire(fault: str) -> None:
    refusal = REFUSALS[fault]
    assert isinstance(refusal, Refusal)
    async with emulated(era="2025") as site:
        turn = await meet(site, fault)
        assert turn.status == refusal.status
        assert "x-actual-status-code" not in turn.headers
        assert turn.body == refusal.bare_2025 if refusal.bare_2025 else turn.code == refusal.code


@pytest.mark.parametrize("fault", PAGES)
async def test_a_page_comes_as_it_is(site: Site, fault: str) -> None:
    page = REFUSALS[fault]
    assert isinstance(page, Page)
    turn = await meet(site, fault)
    assert (turn.status, turn.raw.decode()) == (page.status, page.body)
    assert turn.headers["Content-Type"].startswith(page.content_type)


async def test_a_daily_limit_names_its_hours(site: Site) -> None:
    data = (await meet(site, "rate_limited")).body["data"]
    assert (data["code"], data["num"]) == ("RateLimited", 2)
    assert "{{num}}" in data["template"]


async def test_the_guard_is_recognised_by_its_marks(site: Site) -> None:
    assert (await meet(site, "anti_bot")).body["ret"][0] == "FAIL_SYS_USER_VALIDATE"
    assert (await meet(site, "anti_bot_page")).raw.startswith(b'<!doctypehtml><meta charset="UTF-8">')
    captcha = await meet(site, "anti_bot_captcha")
    assert (captcha.status, b"Access Verification" in captcha.raw) == (403, True)


async def test_an_error_may_lie_about_its_content_type(site: Site) -> None:
    turn = await meet(site, "error_as_stream")
    assert turn.headers["Content-Type"].startswith("text/event-stream")
    assert (turn.code, turn.body["data"]["details"]) == ("Bad_Request", "Internal error")


IN_MID_ANSWER: dict[str, Any] = {
    "error_in_stream": lambda event: event["error"]["code"] == "internal_error" and event["response_index"] == 0,
    "error_in_stream_flat": lambda event: event["code"] == "RateLimited" and "upper limit" in event["detail"],
    "error_in_stream_text": lambda event: "temporarily unavailable" in event["error"],
    "error_in_stream_nested": lambda event: "overloaded" in event["data"]["error"]["message"],
    "error_in_stream_envelope": lambda event: event["success"] is False and event["data"]["code"],
    "expired_in_stream": lambda event: event["error"]["details"] == "Token has expired",
}


@pytest.mark.parametrize("fault", IN_MID_ANSWER)
async def test_an_error_in_mid_answer_is_the_last_event(site: Site, fault: str) -> None:
    turn = await meet(site, fault)
    assert (turn.status, turn.text, turn.is_finished, turn.broken) == (200, "One two ", False, False)
    assert IN_MID_ANSWER[fault](turn.events[-1])
    assert answer_of(await stored(site, turn)) == "One two "


@pytest.mark.parametrize("fault", ["cut", "reset"])
async def test_an_answer_that_breaks_off_is_whole_in_the_stored_chat(site: Site, fault: str) -> None:
    turn = await meet(site, fault)
    assert (turn.text, turn.is_finished, turn.broken) == ("One two ", False, fault == "reset")
    node = await stored(site, turn)
    assert (answer_of(node), node["done"]) == (TEXT, True)


async def test_a_fault_in_mid_answer_meets_an_empty_answer_too(site: Site) -> None:
    site.emulator.script.answer("", fault="error_in_stream")
    turn = await site.say(await site.new_chat(), "hi")
    assert (turn.is_finished, turn.events[-1]["error"]["code"]) == (False, "internal_error")


async def test_a_stream_may_end_before_its_first_event(site: Site) -> None:
    turn = await meet(site, "cut_at_once")
    assert (turn.status, turn.raw) == (200, b"")
    [chat] = site.emulator.chats.values()
    assert [node.text for node in chat.nodes.values()] == ["hi", TEXT]


@pytest.mark.parametrize("fault", ["lost", "gave_up"])
async def test_an_answer_may_be_written_though_nothing_of_it_comes(site: Site, fault: str) -> None:
    if fault == "lost":
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await meet(site, fault)
    else:
        assert (await meet(site, fault)).status == 504
    [chat] = site.emulator.chats.values()
    await eventually(lambda: [node.text for node in chat.nodes.values()] == ["hi", TEXT])


async def test_an_answer_may_stay_empty(site: Site) -> None:
    turn = await meet(site, "empty")
    assert (turn.text, turn.is_finished) == ("", True)


@pytest.mark.parametrize(("fault", "events"), [("slow_start", 0), ("stall", 3)])
async def test_silence_lasts_until_a_stop(site: Site, fault: str, events: int) -> None:
    chat = await site.new_chat()
    site.emulator.script.answer("", pieces=PIECES, fault=fault)
    async with site.session.post(
        f"{site.emulator.url}/api/v2/chat/completions?chat_id={chat}", data=_body(chat), headers=site.headers
    ) as response:
        came = b""
        while len(events_in(came)) < events:
            came += await response.content.readany()
        assert not response.content.at_eof()
        await site.stop(chat)
        came += await response.content.read()
    assert "response.stopped" in events_in(came)[-1]


def _body(chat: str) -> bytes:
    return json.dumps(completion(chat, "hi")).encode()


async def test_a_sign_of_life_comes_as_event_and_as_comment(site: Site) -> None:
    turn = await meet(site, "keep_alive")
    assert turn.raw.count(b": keepalive\n\n") == 2
    alive = [event["response.info"] for event in turn.events if "response.info" in event]
    assert [event["action"] for event in alive] == ["keep_alive"] * 2
    assert (turn.text, turn.is_finished) == (TEXT, True)


async def test_unknown_events_surround_a_whole_answer(site: Site) -> None:
    turn = await meet(site, "unknown_events")
    assert b"NEVER PRINT THIS" in turn.raw
    assert (turn.text, turn.is_finished) == (TEXT, True)


async def test_a_value_that_only_lenient_readers_take_stands_in_a_whole_answer(site: Site) -> None:
    turn = await meet(site, "odd_values")
    assert b"\\ud83d" in turn.raw
    assert b"NaN" in turn.raw
    assert (turn.text, turn.is_finished) == (TEXT, True)


async def test_lines_may_end_in_crlf(site: Site) -> None:
    turn = await meet(site, "crlf")
    assert turn.raw.count(b"\r\n") == turn.raw.count(b"\n")
    assert (turn.text, turn.is_finished) == (TEXT, True)


async def test_bytes_may_come_one_by_one(site: Site) -> None:
    chat = await site.new_chat()
    site.emulator.script.answer("Grüße", fault="bytewise")
    pieces: list[bytes] = []
    async with site.session.post(
        f"{site.emulator.url}/api/v2/chat/completions?chat_id={chat}", data=_body(chat), headers=site.headers
    ) as response:
        async for piece, _ in response.content.iter_chunks():
            pieces.append(piece)
    assert {len(piece) for piece in pieces if piece} == {1}
    assert "Grüße" in b"".join(pieces).decode()


async def test_of_two_candidates_the_second_speaks_first_and_finishes_first(site: Site) -> None:
    turn = await meet(site, "two_candidates")
    first, second = [event["response.created"] for event in turn.events[:2]]
    assert (first["response_index"], second["response_index"]) == ("0", "1")
    assert (first["chat_id"], first["parent_id"]) == (second["chat_id"], second["parent_id"])
    said = [
        (event["response_id"] == first["response_id"], event["choices"][0]["delta"]["status"])
        for event in turn.events[2:]
    ]
    assert said[0] == (False, "typing")
    assert said.index((False, "finished")) < said.index((True, "finished"))
    assert (False, "typing") not in said[said.index((False, "finished")) :]
    assert (True, "typing") in said[: said.index((False, "finished"))]
    assert (turn.text, turn.is_finished) == (TEXT, True)
    assert (await site.tree(turn.created["chat_id"]))["currentId"] == first["response_id"]


async def test_the_second_candidate_finishes_even_beside_a_short_answer(site: Site) -> None:
    site.emulator.script.answer("x", fault="two_candidates")
    turn = await site.say(await site.new_chat(), "hi")
    finished = [event["response_id"] for event in turn.events[2:] if _status(event) == "finished"]
    assert len(finished) == 2
    assert finished[1] == turn.node


def _status(event: Any) -> str:
    return str(event["choices"][0]["delta"]["status"])


async def test_pieces_may_be_cumulative(site: Site) -> None:
    turn = await meet(site, "cumulative")
    texts = [delta["content"] for delta in turn.phase("answer") if delta["content"]]
    assert texts == [TEXT[: len("".join(PIECES[: number + 1]))] for number in range(4)]


async def test_raw_thinking_may_be_cumulative_too(site: Site) -> None:
    turn = await meet(site, "cumulative", config=RAW)
    thoughts = [delta["content"] for delta in turn.phase("think") if delta["content"]]
    assert thoughts == ["I l", "I look.", "I look.\n\nI s", "I look.\n\nI see."]


async def test_a_hosted_search_calls_with_growing_arguments_and_then_thinks_anew(site: Site) -> None:
    turn = await meet(site, "web_search", config=SUMMARY)
    *calls, result = turn.phase("web_search")
    arguments = [call["function_call"]["arguments"] for call in calls]
    assert arguments[0] == ""
    assert all(later.startswith(earlier) for earlier, later in pairwise(arguments))
    assert json.loads(arguments[-1]) == {"queries": ["hi"]}
    assert {call["function_id"] for call in calls} == {result["function_id"]} == {"round_0_1"}
    assert (result["role"], result["status"]) == ("function", "finished")
    assert result["extra"]["tool_result"]["docs"] == result["extra"]["web_search_info"]
    thoughts = [
        len(delta["extra"]["summary_thought"]["content"]) if "extra" in delta else 0
        for delta in turn.phase("thinking_summary")
    ]
    assert thoughts == [1, 1, 2, 2, 0, 1, 1, 2, 2, 0]


async def test_a_done_mark_may_follow_the_end(site: Site) -> None:
    assert (await meet(site, "done_mark")).raw.endswith(b"\n\n\ndata: [DONE]\n\n")


async def test_a_header_asks_for_a_fault(site: Site) -> None:
    chat = await site.new_chat()
    assert (await site.say(chat, "hi", headers={"X-Emulator-Fault": "busy"})).code == "Server_Busy"
    cut = await site.say(chat, "count to 9", headers={"X-Emulator-Fault": "cut"})
    assert not cut.is_finished


async def test_a_line_of_the_message_asks_for_a_fault(site: Site) -> None:
    chat = await site.new_chat()
    assert (await site.say(chat, "please\n#emulator fault=rate_limited\nnow")).code == "RateLimited"
    assert (await site.say(chat, "What does #emulator fault=rate_limited do?")).is_finished


async def test_a_fault_in_an_earlier_turn_of_a_transcript_does_not_come_again(site: Site) -> None:
    text = "<conversation>\n<user>\n#emulator fault=rate_limited\n</user>\n</conversation>\n\nGo on.\n\nsay: fine"
    assert (await site.say(await site.new_chat(), text)).status == 200
    assert site.emulator.shown


async def test_a_fault_that_does_not_exist_is_answered_with_those_that_do(site: Site) -> None:
    details = (await site.say(await site.new_chat(), "#emulator fault=typo")).body["data"]["details"]
    assert "'typo'" in details
    assert all(name in details for name in NAMES)


@pytest.mark.parametrize(
    "plan",
    [
        lambda script: script.fault("typo"),
        lambda script: script.answer("x", fault="typo"),
        lambda script: script.fault("cut", target="new"),
    ],
)
def test_a_planned_fault_must_exist(plan: Callable[[Script], None]) -> None:
    script = Script()
    with pytest.raises(ValueError, match="There is no fault"):
        plan(script)
    assert script.coming().fault is None


@pytest.mark.parametrize(
    ("header", "text", "named"),
    [
        (None, "hi", None),
        ("cut", "#emulator fault=busy", "cut"),
        (None, "#emulator fault=busy  ", "busy"),
        (None, "x #emulator fault=busy", None),
    ],
)
def test_the_header_goes_before_the_text(header: str | None, text: str, named: str | None) -> None:
    assert named_in(header, text) == named


async def test_faults_are_used_once_and_in_order(site: Site) -> None:
    chat = await site.new_chat()
    for name in ("busy", "internal"):
        site.emulator.script.fault(name)
    codes = [(await site.say(chat, "hi")).code for _ in range(2)]
    assert codes == ["Server_Busy", "Bad_Request"]
    assert (await site.say(chat, "hi")).is_finished
    await eventually(lambda: len(site.emulator.requests) == 4)

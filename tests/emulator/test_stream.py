"""The bytes of a stream: separators, order, thinking, usage."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emulator.frames import Frames
from app.emulator.usage import tokens
from app.emulator.writing import split
from tests.characters import CHARACTERS
from tests.emulator.page import FAST, RAW, SUMMARY, Site, answer_of, emulated, events_in

FRAMES = Frames("c", "u", "r", "0")


async def test_a_plain_answer_comes_byte_for_byte_as_captured(site: Site) -> None:
    chat = await site.new_chat()
    site.emulator.script.answer("", pieces=["No: ", "91 = 7 × 13."])
    turn = await site.say(chat, "Is 91 prime?")
    user, node = turn.created["parent_id"], turn.node
    assert turn.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert turn.headers["x-actual-status-code"] == "200"
    opening, *typing, finished, end = turn.raw.decode().split("\n\n")
    assert opening == (
        f'data: {{"response.created":{{"chat_id":"{chat}","parent_id":"{user}","response_id":"{node}",'
        '"response_index":"0"}} '
    )
    assert end == "\n", "the last event is followed by two empty lines"
    assert [json.loads(line[6:])["choices"][0]["delta"]["content"] for line in typing] == [
        "No: ",
        "91 = 7 × 13.",
        "",
        "",
    ]
    assert typing[0].startswith(
        'data: {"choices": [{"delta": {"role": "assistant", "content": "No: ", "phase": "answer", '
        f'"status": "typing"}}}}], "response_id": "{node}", "usage": {{"input_tokens": '
    )
    assert finished == (
        'data: {"choices": [{"delta": {"content": "", "role": "assistant", "status": "finished", "phase": "answer"}}], '
        f'"response_id": "{node}"}}'
    )
    assert turn.raw.endswith(b"}\n\n\n")
    assert b"[DONE]" not in turn.raw
    assert b"event:" not in turn.raw


async def test_the_request_id_is_echoed_on_a_stream(site: Site) -> None:
    turn = await site.say(await site.new_chat(), "hi", headers={"X-Request-Id": "mine"})
    assert turn.headers["x-request-id"] == "mine"


async def test_usage_grows_on_typing_deltas_and_is_absent_on_finished_ones(site: Site) -> None:
    turn = await site.say(await site.new_chat(), "count to 30", config=SUMMARY)
    choices = [event for event in turn.events if "choices" in event]
    statuses = [event["choices"][0]["delta"]["status"] for event in choices]
    assert ["usage" in event for event in choices] == [status == "typing" for status in statuses]
    usages = [event["usage"] for event in choices if "usage" in event]
    said = [usage["output_tokens"] for usage in usages]
    assert said == sorted(said)
    assert said[-1] > said[0]
    last = usages[-1]
    assert last["input_tokens"] == 500 + tokens("count to 30")
    assert last["total_tokens"] == last["input_tokens"] + last["output_tokens"]
    assert 0 < last["output_tokens_details"]["reasoning_tokens"] < last["output_tokens"]
    stored = (await site.tree(turn.created["chat_id"]))["chat"]["history"]["messages"][turn.node]
    assert stored["content_list"][-1]["usage"] == last


async def test_every_earlier_turn_counts_as_input(site: Site) -> None:
    chat = await site.new_chat()
    one = await site.say(chat, "count to 30")
    two = await site.say(chat, "say: x", one.node)
    used = [next(event["usage"]["input_tokens"] for event in turn.events if "usage" in event) for turn in (one, two)]
    assert used[1] - used[0] > tokens(one.text)


async def test_usage_can_be_left_out(site: Site) -> None:
    site.emulator.script.answer("x", without_usage=True)
    assert b"usage" not in (await site.say(await site.new_chat(), "hi")).raw


async def test_summaries_of_thinking_are_cumulative_snapshots(site: Site) -> None:
    site.emulator.script.answer("so", thinking=["I look.", "I see."])
    turn = await site.say(await site.new_chat(), "hi", config=SUMMARY)
    *snapshots, finished = turn.phase("thinking_summary")
    assert finished == {"role": "assistant", "content": "", "phase": "thinking_summary", "status": "finished"}
    thoughts = [snapshot["extra"]["summary_thought"]["content"] for snapshot in snapshots]
    assert thoughts == [["I l"], ["I look."], ["I look.", "I s"], ["I look.", "I see."]]
    titles = [len(snapshot["extra"]["summary_title"]["content"]) for snapshot in snapshots]
    assert titles == [1, 1, 2, 2]
    assert {snapshot["content"] for snapshot in snapshots} == {""}


async def test_thinking_ends_before_the_answer_begins(site: Site) -> None:
    turn = await site.say(await site.new_chat(), "hi", config=SUMMARY)
    phases = [delta["phase"] for delta in turn.deltas]
    assert phases == sorted(phases, key=["thinking_summary", "answer"].index)


@pytest.mark.parametrize(("era", "config"), [("2026", RAW), ("2025", RAW), ("2025", SUMMARY)])
async def test_raw_thinking_is_incremental_and_stored_as_it_was_streamed(era: str, config: dict[str, Any]) -> None:
    async with emulated(era=era) as site:
        chat = await site.new_chat()
        site.emulator.script.answer("so", thinking=["I look.", "I see."])
        turn = await site.say(chat, "hi", config=config)
        thought = "".join(delta["content"] for delta in turn.phase("think"))
        assert thought == "I look.\n\nI see."
        assert turn.phase("think")[-1]["status"] == "finished"
        stored = (await site.tree(chat))["chat"]["history"]["messages"][turn.node]["content_list"]
        assert [(item["phase"], item["content"]) for item in stored] == [("think", thought), ("answer", "so")]


async def test_without_thinking_there_is_none(site: Site) -> None:
    site.emulator.script.answer("so", thinking=["never said"])
    turn = await site.say(await site.new_chat(), "hi", config=FAST)
    assert {delta["phase"] for delta in turn.deltas} == {"answer"}


async def test_without_an_output_schema_no_delta_has_a_phase(site: Site) -> None:
    turn = await site.say(await site.new_chat(), "say: plain", config={"thinking_enabled": False})
    assert not any("phase" in delta for delta in turn.deltas)
    assert "".join(delta["content"] for delta in turn.deltas) == "plain"


async def test_in_2025_an_answer_opens_without_an_index() -> None:
    async with emulated(era="2025") as site:
        turn = await site.say(await site.new_chat(), "hi")
        assert set(turn.created) == {"chat_id", "parent_id", "response_id"}
        assert "x-actual-status-code" not in turn.headers


async def test_pieces_come_with_the_delay_that_was_chosen() -> None:
    async with emulated(chunk_delay=30) as site:
        site.emulator.script.answer("", pieces=["a"] * 3, delay=0.02)
        started = time.monotonic()
        assert (await site.say(await site.new_chat(), "hi")).text == "aaa"
        assert 0.06 <= time.monotonic() - started < 10


async def test_an_empty_answer_that_was_planned_is_empty(site: Site) -> None:
    site.emulator.script.answer("")
    chat = await site.new_chat()
    turn = await site.say(chat, "hi")
    assert (turn.text, turn.is_finished) == ("", True)
    assert answer_of((await site.tree(chat))["chat"]["history"]["messages"][turn.node]) == ""


async def test_half_a_surrogate_pair_breaks_neither_stream_nor_tree_nor_list(site: Site) -> None:
    chat = await site.new_chat()
    turn = await site.say(chat, "say: a\ud800b")
    assert (turn.text, turn.is_finished) == ("a?b", True)
    assert answer_of((await site.tree(chat))["chat"]["history"]["messages"][turn.node]) == "a?b"
    assert (await site.ask("GET", "/api/v2/chats/?page=1")).data[0]["title"] == "say: a?b"


@given(st.text(CHARACTERS))
def test_pieces_are_the_text_again(text: str) -> None:
    assert "".join(split(text)) == text


@given(st.text(CHARACTERS, max_size=40))
def test_a_frame_is_one_line_that_decodes_to_what_was_meant(text: str) -> None:
    raw = FRAMES.text(text, None)
    assert raw.endswith(b"\n\n")
    assert raw.count(b"\n") == 2
    assert events_in(raw)[0]["choices"][0]["delta"]["content"] == text


@given(st.text(CHARACTERS))
def test_tokens_are_a_quarter_of_the_characters_rounded_up(text: str) -> None:
    assert 0 <= tokens(text) * 4 - len(text) < 4

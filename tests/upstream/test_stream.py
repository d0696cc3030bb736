import json
from typing import Any, get_args

import pytest

from app.core.events import Event, Finished, ReasoningDelta, Started, TextDelta, Usage, UsageReport
from app.core.ports import Mode
from app.errors import (
    ChatInProgress,
    UpstreamBlocked,
    UpstreamBusy,
    UpstreamCut,
    UpstreamError,
    UpstreamLoginRequired,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamUnreachable,
)
from app.upstream.qwen.sse import Splitter
from app.upstream.qwen.stream import AnswerReader
from tests.upstream.hearing import Heard, hear, joined
from tests.upstream.scripted import (
    ANTI_BOT,
    FINISH,
    MALFORMED,
    PLAIN,
    WAF_PAGE,
    created,
    delta,
    event,
    events,
    refusal,
    summary,
    usage,
)

PIECES: list[Event] = [
    Started("a1", "u1"),
    TextDelta("No: 91 = "),
    TextDelta("7 x 13."),
    UsageReport(Usage(20, 12, 3, 4)),
    Finished(),
]
WHOLE = joined(PIECES)


def test_reads_a_plain_answer() -> None:
    assert hear(*PLAIN).events == WHOLE


def test_nothing_after_the_finish_counts() -> None:
    heard = hear(*PLAIN, delta("more"), {"error": "late"})
    assert heard.events == WHOLE
    assert heard.failure is None


def test_reads_the_page_s_own_spacing_and_line_ends() -> None:
    lines = [json.dumps(frame, separators=(", ", ": ")) for frame in PLAIN]
    data = "".join(f"data: {line} \r\n\r\n" for line in lines).encode()
    assert Heard(b": keepalive\r\n\r\n" + data + b"data: [DONE]\r\n\r\n").events == WHOLE


@pytest.mark.parametrize(
    "frame",
    [
        {"response.info": {"action": "keep_alive", "chat_id": "c", "response_id": "a1"}},
        {"response.info": {"action": "skip_think"}},
        delta("KeepAlive", "KeepAlive"),
        {"done": True},
        {"sources": [{"url": "x"}]},
        {"success": True, "data": {"status": True}},
        {"choices": []},
        {"choices": "none"},
        {"choices": [{"delta": "none"}]},
        {"choices": [{"delta": None}], "response_id": "a1"},
        {"choices": [7], "response_id": "a1"},
        [1, 2],
        "text",
        {"response.created": "odd"},
        {"response.created": {"response_id": 7}},
        {"response.stopped": {"response_id": "b2"}},
        delta("a page that was read", "web_extractor"),
        delta("", "web_search", function_call={"name": "web_search", "arguments": '{"q'}, function_id="round_0_1"),
        delta("result", None, "finished", name="unheard_of", extra={"web_search_info": []}),
        delta("a file", "write_file", "finished"),
        delta("a report", "ReportGeneration", "finished"),
        delta("an answer to research", "deep_research_answer", "finished"),
        delta("", None, "typing"),
        delta(["parts"], "answer"),
        delta(None, "answer"),
        delta("", "thinking_summary", extra={"summary_thought": "odd"}),
        delta("", "thinking_summary", extra={"summary_thought": {"content": "odd"}}),
        delta("", "thinking_summary", extra=[]),
        delta("", "answer", usage={"output_tokens": 5}),
        delta("", "answer", usage="many"),
        delta("", "answer", usage=None),
        delta("", "answer", 7),
        delta("", ["answer"]),
    ],
)
def test_passes_over_what_is_no_part_of_the_answer(frame: Any) -> None:
    head, *rest = PLAIN
    assert hear(head, frame, *rest).events == WHOLE


@pytest.mark.parametrize("payload", [b"[DONE]", b": ping", b"data:"])
def test_passes_over_marks_in_mid_stream(payload: bytes) -> None:
    data = (
        event(PLAIN[0]) + b"data: " + payload + b"\n\n" if payload == b"[DONE]" else event(PLAIN[0]) + payload + b"\n"
    )
    assert Heard(data + events(PLAIN[1:])).events == WHOLE


def test_irrelevant_members_of_a_wrong_type_do_not_hide_the_text() -> None:
    odd: dict[str, object] = {
        "choices": [{"delta": {"content": "hi", "phase": "answer", "status": 3, "extra": 9, "name": []}}, 5]
    }
    odd |= {"response_id": "a1", "usage": "x", "timestamp": {}, "response.info": 4, "message": 3, "ret": None}
    assert hear(created(), odd, FINISH).text == "hi"


def test_reads_an_answer_without_phases() -> None:
    heard = hear(created(), delta("a", None), delta("b", None), delta("", None, "finished"))
    assert (heard.text, heard.whole) == ("ab", True)


def test_plain_text_after_phased_thinking_is_the_answer() -> None:
    heard = hear(created(), delta("hm", "think"), delta("b", None), delta("", None, "finished"))
    assert (heard.reasoning, heard.text, heard.whole) == ("hm", "b", True)


@pytest.mark.parametrize("phase", ["think", "thinking_summary", "web_search", "image_gen", None])
def test_the_finish_of_another_phase_is_not_the_answer_s(phase: str | None) -> None:
    heard = hear(created(), delta("hm", "think"), delta("", phase, "finished"))
    assert isinstance(heard.failure, UpstreamCut)
    assert heard.events == [Started("a1", "u1"), ReasoningDelta("hm")]


def test_reads_raw_thinking() -> None:
    heard = hear(created(), delta("I ", "think"), delta("see", "think"), delta("", "think", "finished"), *PLAIN[1:])
    assert (heard.reasoning, heard.text, heard.whole) == ("I see", "No: 91 = 7 x 13.", True)


@pytest.mark.parametrize("ended", [True, False])
def test_reads_raw_thinking_that_grows(ended: bool) -> None:
    grown = [delta(text, "think") for text in ("I see", "I see that", "I see that 91 is 7 x 13.")]
    end = [delta("", "think", "finished")] if ended else []
    heard = hear(created(), *grown, *end, *PLAIN[1:])
    assert (heard.reasoning, heard.text) == ("I see that 91 is 7 x 13.", "No: 91 = 7 x 13.")
    assert hear(created(), delta("7", "think"), delta("78", "think"), *end, *PLAIN[1:]).reasoning == "78"


def test_reads_thinking_summaries_with_a_tool_round_between_and_leaves_the_titles_out() -> None:
    heard = hear(
        created(),
        summary("I try"),
        summary("I try small primes."),
        summary("I try small primes."),
        summary("I try small primes.", "7 times 13"),
        delta("", "thinking_summary", "finished"),
        delta("", "web_search", function_call={"name": "web_search", "arguments": ""}),
        delta("", "web_search", "finished", role="function", name="web_search"),
        summary("The search agrees.", status="finished"),
        *PLAIN[1:],
    )
    assert heard.reasoning == "I try small primes.\n\n7 times 13\n\nSearching the web.\n\nThe search agrees."
    assert (heard.text, heard.whole) == ("No: 91 = 7 x 13.", True)


def test_reads_snapshots_of_the_answer() -> None:
    heard = hear(created(), delta("No"), delta("No: 9"), delta("No: 91"), delta("No: 91."), FINISH)
    assert (heard.text, heard.whole) == ("No: 91.", True)


@pytest.mark.parametrize("nothing", [None, "", False, 0, {}, []])
def test_an_error_that_says_nothing_is_none(nothing: object) -> None:
    heard = hear(created(), delta("hello ", error=nothing), delta("world", error=nothing), {**FINISH, "error": nothing})
    assert (heard.text, heard.whole) == ("hello world", True)


def test_text_held_back_comes_before_the_finish_and_before_an_error() -> None:
    assert hear(created(), delta("1"), delta("12"), FINISH).events[-2:] == [TextDelta("2"), Finished()]
    assert hear(created(), delta("1"), delta("12"), {"error": "x"}).text == "12"
    assert hear(created(), delta("1"), delta("12")).text == "12"


def test_of_two_candidates_the_one_with_index_0_is_the_answer() -> None:
    heard = hear(
        created("b2", response_index="1"),
        created("a1", response_index="0"),
        delta("other", response_id="b2", usage=usage(1, 99)),
        delta("mine"),
        delta("", "answer", "finished", response_id="b2"),
        {"error": {"code": "internal_error"}, "response_id": "b2", "response_index": 1},
        {"response.stopped": {"response_id": "b2"}},
        delta(" too", usage=usage(5, 6)),
        FINISH,
    )
    assert (heard.text, heard.whole, heard.usage) == ("mine too", True, Usage(5, 6, 3, 4))
    assert heard.events[0] == Started("a1", "u1")


def test_without_an_announcement_the_first_speaker_is_the_answer() -> None:
    heard = hear(
        delta("mine"), delta("other", response_id="b2"), delta("", response_id="b2", status="finished"), FINISH
    )
    assert heard.events == [Started("a1", None), TextDelta("mine"), Finished()]


def test_a_candidate_that_is_alone_with_index_1_is_the_answer() -> None:
    heard = hear(
        created("b2", response_index=1), delta("x", response_id="b2"), delta(status="finished", response_id="b2")
    )
    assert heard.events == [Started("b2", "u1"), TextDelta("x"), Finished()]


def test_the_first_announcement_holds() -> None:
    assert hear(created("a1"), created("b2"), *PLAIN[1:]).events == WHOLE


def test_an_error_of_the_other_candidate_counts_when_nothing_else_comes() -> None:
    heard = hear(created(), delta("x"), {"error": {"code": "Server_Busy"}, "response_id": "b2"})
    assert isinstance(heard.failure, UpstreamBusy)


def test_deltas_without_an_id_belong_to_the_announced_answer() -> None:
    frame = delta("hi")
    del frame["response_id"]
    assert hear(created(), frame, FINISH).text == "hi"


def test_an_answer_that_carries_no_id_cannot_be_continued_and_is_refused() -> None:
    assert isinstance(hear(delta("", response_id=None), delta("x", response_id=None)).failure, UpstreamProtocolError)
    assert isinstance(hear(delta("", None, "finished", response_id=7)).failure, UpstreamProtocolError)


def test_the_last_count_holds_and_counts_are_never_summed() -> None:
    heard = hear(
        created(), delta("a", usage=usage(20, 3)), delta("b", usage=usage(542, 9)), delta("c", usage={}), FINISH
    )
    assert heard.usage == Usage(542, 9, 3, 4)
    assert hear(*PLAIN[:2], FINISH).usage is None


def test_a_count_without_details_is_a_count() -> None:
    plain = {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {}, "prompt_tokens_details": None}
    assert hear(created(), delta("a", usage=plain), FINISH).usage == Usage(1, 2)


def test_a_stop_ends_the_answer() -> None:
    for stopped in ({"response_id": "a1"}, {}, "odd"):
        heard = hear(created(), delta("half"), {"response.stopped": stopped})
        assert heard.events == [Started("a1", "u1"), TextDelta("half"), Finished()]


def test_a_stop_before_anything_else_is_an_empty_answer() -> None:
    assert hear({"response.stopped": {"response_id": "a1"}}).events == [Started("a1", None), Finished()]


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ({"error": {"code": "internal_error", "details": "Allocated quota exceeded"}}, UpstreamRateLimited),
        ({"error": {"code": "unauthorized", "details": "Token has expired"}, "choices": None}, UpstreamLoginRequired),
        ({"error": {"message": "model overloaded"}}, UpstreamBusy),
        ({"error": "temporarily unavailable"}, UpstreamBusy),
        ({"error": "x", "choices": [{"delta": {"content": "y"}}]}, UpstreamProtocolError),
        ({"data": {"error": {"code": "Server_Busy"}}}, UpstreamBusy),
        (refusal("Bad_Request", "The chat is in progress!"), ChatInProgress),
        ({"success": False}, UpstreamProtocolError),
        ({"success": False, "data": "The chat is in progress!"}, ChatInProgress),
        ({"success": False, "code": "Server_Busy"}, UpstreamBusy),
        ({"code": "RateLimited", "detail": "You've reached the upper limit."}, UpstreamRateLimited),
        ({"detail": "Not authenticated"}, UpstreamLoginRequired),
        (ANTI_BOT, UpstreamBlocked),
        (delta("", "answer", "error", extra={"error": {"code": "Server_Busy"}}), UpstreamBusy),
        (delta("", "answer", "error"), UpstreamProtocolError),
    ],
)
def test_an_error_in_mid_stream_comes_after_the_text_before_it(frame: object, kind: type[UpstreamError]) -> None:
    heard = hear(created(), delta("half"), frame, FINISH)
    assert type(heard.failure) is kind
    assert heard.events == [Started("a1", "u1"), TextDelta("half")]


def test_an_error_without_data_marks_counts_too() -> None:
    bare = json.dumps(ANTI_BOT, indent=1).encode()
    assert isinstance(Heard(events(PLAIN[:2]) + bare).failure, UpstreamBlocked)
    assert isinstance(Heard(events(PLAIN[:2]) + bare + b"\n\n" + event(FINISH)).failure, UpstreamBlocked)


def test_a_page_in_mid_stream_is_recognised() -> None:
    assert isinstance(Heard(events(PLAIN[:2]) + WAF_PAGE).failure, UpstreamBlocked)
    gateway = b"<html><head><title>502 Bad Gateway</title></head></html>\n"
    assert isinstance(Heard(events(PLAIN[:2]) + gateway).failure, UpstreamUnreachable)


@pytest.mark.parametrize("payload", MALFORMED)
def test_a_refusal_that_is_malformed_inside_ends_the_answer_too(payload: bytes) -> None:
    heard = Heard(events(PLAIN[:2]) + b"data: " + payload + b"\n\n" + event(FINISH))
    assert isinstance(heard.failure, UpstreamProtocolError | UpstreamCut)
    assert heard.text == "No: 91 = "


def test_a_delta_with_values_within_values_without_end_is_a_cut() -> None:
    deep = b"[" * 700 + b"]" * 700
    heard = Heard(events(PLAIN[:2]) + b'data: {"choices":[{"delta":{"extra":' + deep + b"}}]}\n\n" + event(FINISH))
    assert isinstance(heard.failure, UpstreamCut)
    assert heard.text == "No: 91 = "


def test_a_malformed_member_that_nobody_reads_is_noted_and_passed_over() -> None:
    deep = b"[" * 700 + b"]" * 700
    heard = Heard(events(PLAIN[:2]) + b'data: {"new":' + deep + b"}\n\n" + events(PLAIN[2:]))
    assert (heard.text, heard.notes) == ("No: 91 = 7 x 13.", ["an event with malformed members"])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'"cut \\ud83d"', "cut \ufffd"),
        (b'"cut \\ud83d", "x": "\\ude00"', "cut \ufffd"),
        (b'"whole \\ud83d\\ude00", "x": NaN', "whole \U0001f600"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"a\x00b\tc"', "a\x00b\tc"),
        (b'"much", "x": [-Infinity, 1e999, 1' + b"0" * 9000 + b"]", "much"),
    ],
    ids=["half a character", "two halves", "no number", "not UTF-8", "bare control characters", "no bounds"],
)
def test_an_event_with_an_odd_value_is_read_but_for_that(written: bytes, read: str) -> None:
    odd = event(delta("ODD")).replace(b'"ODD"', written)
    heard = Heard(events(PLAIN[:1]) + odd + event(FINISH))
    assert (heard.text, heard.whole) == (read, True)


@pytest.mark.parametrize("number", [10**400, 2**70], ids=["400 digits", "22 digits"])
def test_an_impossible_count_is_none(number: int) -> None:
    heard = hear(created(), delta("Hi", usage=usage(number)), delta("!", usage={**usage(), "output_tokens": number}))
    assert heard.usage is None


def test_an_event_that_is_not_json_is_an_error_of_an_answer_that_began_a_cut() -> None:
    assert isinstance(Heard(b"data: {oops}\n\n").failure, UpstreamProtocolError)
    assert isinstance(Heard(events(PLAIN[:2]) + b"data: {oops}\n\n").failure, UpstreamCut)


def test_a_torn_last_event_is_a_cut() -> None:
    torn = events(PLAIN)[:-20]
    heard = Heard(torn)
    assert isinstance(heard.failure, UpstreamCut)
    assert heard.text == "No: 91 = 7 x 13."


@pytest.mark.parametrize("mode", get_args(Mode))
def test_text_is_said_once_whatever_was_asked_for(mode: Mode) -> None:
    heard = hear(created(), delta("A cat "), delta("runs."), delta(" Fast."), mode=mode)
    assert joined(heard.events) == [Started("a1", "u1"), TextDelta("A cat runs. Fast.")]


def test_a_last_event_without_its_blank_line_is_whole() -> None:
    assert Heard(events(PLAIN).rstrip()).events == WHOLE


def test_the_end_without_any_event_says_so() -> None:
    assert "without an answer" in str(Heard(b"").failure)
    assert "before the answer did" in str(hear(*PLAIN[:2]).failure)


def test_signs_of_life_are_no_progress() -> None:
    reader = AnswerReader(lambda kind: None)
    splitter = Splitter()
    reader.read(splitter.feed(events([{"response.info": {"action": "keep_alive"}}, delta("", "KeepAlive")])))
    assert reader.progress == 0
    reader.read(splitter.feed(events(PLAIN[:2])))
    assert reader.progress == 2


def test_unknown_things_are_noted_for_the_log() -> None:
    heard = hear(created(), delta("secret text", "present_file"), {"sources": ["secret"]}, FINISH)
    assert heard.notes == ["the phase 'present_file'", "an event with sources"]

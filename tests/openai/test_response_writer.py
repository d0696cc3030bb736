"""Responses are written as OpenAI writes them: whole, and as numbered events that say the same."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from openai.types.responses import Response

from app.core.events import (
    AnswerEvent,
    CallArguments,
    CallStarted,
    Citation,
    Citations,
    Ended,
    Picture,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from app.errors import UpstreamCut
from app.openai.response_requests import decode_body, read_body
from app.openai.response_writer import ResponseWriter
from app.openai.responses import Heading

DIGITS = "0123456789abcdef0123456789abcdef"
HEADING = Heading(f"resp_{DIGITS}", 1790000000, "qwen3.7-plus")
USAGE = Usage(20, 36, reasoning_tokens=25, cached_tokens=4)
ALL: list[AnswerEvent] = [
    ReasoningDelta("h"),
    ReasoningDelta("m"),
    TextDelta("Hello "),
    TextDelta('"you"'),
    CallStarted(0, "call_1", "f"),
    CallArguments(0, '{"a":'),
    CallArguments(0, "1}"),
    CallStarted(1, "call_2", "g"),
    CallArguments(1, "{}"),
]


def writer(**fields: Any) -> ResponseWriter:
    call = read_body(*decode_body(json.dumps({"model": "qwen", "input": "hi", **fields}).encode()), "owner")
    return ResponseWriter(HEADING, call)


def whole(events: Sequence[AnswerEvent], end: Ended = Ended("stop", USAGE), **fields: Any) -> Any:  # noqa: B008
    return json.loads(writer(**fields).whole(events, end))


def events_of(stream: bytes) -> list[Any]:
    assert stream.endswith(b"\n\n")
    frames = [frame.split("\n") for frame in stream.decode().removesuffix("\n\n").split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [name for name, _ in frames] == [f"event: {event['type']}" for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def kinds(events: Sequence[Any]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_a_whole_response_has_every_field_and_repeats_the_request() -> None:
    tool = {"type": "function", "name": "f", "parameters": {}, "strict": True}
    fields: dict[str, Any] = {
        "instructions": "Be brief.",
        "max_output_tokens": 100,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "previous_response_id": f"resp_{DIGITS}",
        "reasoning": {"effort": "high", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}},
        "tool_choice": "required",
        "tools": [tool, {"type": "web_search"}],
        "user": "anna",
    }
    said = whole([TextDelta("Hello")], **fields)
    assert {name: said.pop(name) for name in fields} == fields
    text = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    assert said == {
        "id": f"resp_{DIGITS}",
        "object": "response",
        "created_at": 1790000000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": "qwen3.7-plus",
        "output": [
            {
                "id": f"msg_{DIGITS}_0",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [text],
            }
        ],
        "store": True,
        "temperature": None,
        "top_p": None,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 20,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 36,
            "output_tokens_details": {"reasoning_tokens": 25},
            "total_tokens": 56,
        },
    }


def test_what_a_request_left_open_is_said_as_it_was_done() -> None:
    said = whole([TextDelta("Hello")])
    assert (said["tools"], said["tool_choice"], said["parallel_tool_calls"]) == ([], "auto", True)
    assert (said["text"], said["metadata"]) == ({"format": {"type": "text"}}, {})
    Response.model_validate(said | {"usage": None})


def test_usage_that_upstream_did_not_count_is_not_invented() -> None:
    assert whole([TextDelta("a")], Ended("stop", None))["usage"] is None


def test_items_come_in_the_order_of_the_answer() -> None:
    thought, words, first, second = whole(ALL, Ended("tool_calls", USAGE))["output"]
    assert (thought["type"], thought["summary"]) == ("reasoning", [{"type": "summary_text", "text": "hm"}])
    assert words["content"][0]["text"] == 'Hello "you"'
    assert [(each["call_id"], each["name"], each["arguments"]) for each in (first, second)] == [
        ("call_1", "f", '{"a":1}'),
        ("call_2", "g", "{}"),
    ]
    assert len({each["id"] for each in (thought, words, first, second)}) == 4


def test_a_stream_tells_every_step_and_ends_with_what_a_whole_response_is() -> None:
    stream = writer()
    raw = stream.write(ALL[:3]) + stream.write(ALL[3:]) + stream.end(Ended("tool_calls", USAGE))
    events = events_of(raw)
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert (events[0]["response"]["status"], events[0]["response"]["output"]) == ("in_progress", [])
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    begun = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert events[-1]["response"] == whole(ALL, Ended("tool_calls", USAGE))
    assert events[-1]["response"]["output"] == done
    assert [item["status"] for item in begun] == ["in_progress"] * 4
    assert [item["id"] for item in begun] == [item["id"] for item in done]
    assert [event["output_index"] for event in events if "output_index" in event] == [0] * 7 + [1] * 7 + [2] * 5 + [
        3
    ] * 4


def test_an_answer_that_was_cut_is_incomplete() -> None:
    said = whole([TextDelta("Hel")], Ended("length", USAGE))
    assert (said["status"], said["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert said["output"][0]["status"] == "incomplete"
    stream = writer()
    assert kinds(events_of(stream.write([TextDelta("Hel")]) + stream.end(Ended("length", USAGE))))[-1] == "incomplete"


def test_an_answer_without_words_has_no_items() -> None:
    stream = writer()
    events = events_of(stream.end(Ended("length", None)))
    assert (kinds(events), events[-1]["response"]["output"]) == (["created", "in_progress", "incomplete"], [])


def test_an_error_ends_a_stream_with_what_was_written() -> None:
    stream = writer()
    events = events_of(stream.write([TextDelta("Hel"), TextDelta("lo")]) + stream.fail(UpstreamCut("It broke.")))
    fault, failed = events[-2:]
    assert (fault["type"], fault["code"], fault["param"]) == ("error", "upstream_cut", None)
    assert fault["message"].startswith("It broke.")
    assert fault["error"]["message"] == fault["message"]
    assert failed["type"] == "response.failed"
    response = failed["response"]
    assert (response["status"], response["error"]["code"]) == ("failed", "upstream_cut")
    assert response["output"][0]["content"][0]["text"] == "Hello"
    assert response["output"][0]["status"] == "incomplete"


def test_citations_are_annotations_of_the_text() -> None:
    cited = Citations((Citation("https://a.example", "A", 0, 3),))
    written = {
        "type": "url_citation",
        "url": "https://a.example",
        "title": "A",
        "start_index": 0,
        "end_index": 3,
    }
    assert whole([TextDelta("Fox"), cited])["output"][0]["content"][0]["annotations"] == [written]
    stream = writer()
    events = events_of(stream.write([TextDelta("Fox"), cited]) + stream.end(Ended("stop", USAGE)))
    [added] = [event for event in events if event["type"] == "response.output_text.annotation.added"]
    assert (added["annotation"], added["annotation_index"]) == (written, 0)


def test_a_picture_whose_data_is_there_is_an_item() -> None:
    said = whole([TextDelta("![image](https://a.example/p)"), Picture("data:image/png;base64,AAAA")])
    assert [item["type"] for item in said["output"]] == ["message", "image_generation_call"]
    assert said["output"][1]["result"] == "AAAA"
    assert len(whole([TextDelta("x"), Picture("https://a.example/p")])["output"]) == 1


def test_blanks_between_items_are_no_message() -> None:
    events: list[AnswerEvent] = [TextDelta("\n"), TextDelta(" a"), CallStarted(0, "c", "f"), CallArguments(0, "{}")]
    said = whole([*events, TextDelta("\n\n")], Ended("tool_calls", None))
    assert [item["type"] for item in said["output"]] == ["message", "function_call"]
    assert said["output"][0]["content"][0]["text"] == "\n a"


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
def test_what_python_takes_for_the_end_of_a_line_is_escaped(mark: str) -> None:
    stream = writer(instructions=f"a{mark}b")
    raw = stream.write([TextDelta(f"a{mark}b")]) + stream.end(Ended("stop", USAGE))
    assert mark not in raw.decode()
    assert events_of(raw)[-1]["response"]["output"][0]["content"][0]["text"] == f"a{mark}b"

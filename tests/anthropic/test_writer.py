"""Messages are written as Anthropic writes them: whole, and as events that say the same."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from app.anthropic.writer import MessageWriter
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
from app.errors import ContextTooLong, GatewayError, InvalidApiKey, UpstreamCut, UpstreamTimeout

USAGE = Usage(20, 36, reasoning_tokens=25, cached_tokens=4)
END = Ended("stop", USAGE)
ALL: list[AnswerEvent] = [
    ReasoningDelta("h"),
    ReasoningDelta("m"),
    TextDelta("\n"),
    TextDelta("Hello "),
    TextDelta('"you"'),
    CallStarted(0, "call_1", "f"),
    CallArguments(0, '{"a":'),
    CallArguments(0, "1}"),
    TextDelta("\n\n"),
    CallStarted(1, "call_2", "g"),
    Picture("https://example.org/a.png"),
]
BLOCKS = [
    {"type": "thinking", "thinking": "hm", "signature": ""},
    {"type": "text", "text": '\nHello "you"'},
    {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
    {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
]
EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def writer(*, shows_thinking: bool = True, used: Usage | None = None) -> MessageWriter:
    return MessageWriter("msg_1", "qwen3.7-plus", request_id="req_1", shows_thinking=shows_thinking, used=lambda: used)


def whole(events: Sequence[AnswerEvent], end: Ended = END, *, shows_thinking: bool = True) -> Any:
    written = writer(shows_thinking=shows_thinking).whole(events, end)
    Message.model_validate_json(written, strict=True)
    return json.loads(written)


def events_of(stream: bytes) -> list[Any]:
    assert stream.endswith(b"\n\n")
    frames = [frame.split("\n") for frame in stream.decode().removesuffix("\n\n").split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [name for name, _ in frames] == [f"event: {event['type']}" for event in events]
    return events


def streamed(events: Sequence[AnswerEvent], end: Ended = END, *, shows_thinking: bool = True) -> list[Any]:
    """Write each event by itself; return what the stream tells, in the shape of the client's own types."""
    written = writer(shows_thinking=shows_thinking)
    told = events_of(b"".join([*(written.write([event]) for event in events), written.end(end)]))
    for event in told:
        EVENT.validate_python(event)
    return told


def content_of(told: Sequence[Any]) -> list[Any]:
    """Put the blocks of a stream together, as a client does."""
    blocks: list[Any] = []
    closed: list[int] = []
    for event in told:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks) == len(closed)
            blocks.append({**event["content_block"]})
        elif event["type"] == "content_block_delta":
            assert event["index"] == len(blocks) - 1 == len(closed)
            _add(blocks[-1], event["delta"])
        elif event["type"] == "content_block_stop":
            closed.append(event["index"])
    for block in blocks:
        if "json" in block:
            block["input"] = json.loads(block.pop("json"))
    assert closed == list(range(len(blocks)))
    return blocks


def _add(block: Any, delta: Any) -> None:
    if delta["type"] == "text_delta":
        block["text"] += delta["text"]
    elif delta["type"] == "thinking_delta":
        block["thinking"] += delta["thinking"]
    elif delta["type"] == "input_json_delta":
        block["json"] = block.get("json", "") + delta["partial_json"]
    elif delta["type"] == "citations_delta":
        block["citations"] = [*block.get("citations", ()), delta["citation"]]
    else:
        assert delta == {"type": "signature_delta", "signature": ""}


def test_a_whole_message_has_its_blocks_in_order() -> None:
    assert whole(ALL, Ended("tool_calls", USAGE)) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "qwen3.7-plus",
        "content": BLOCKS,
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 16,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "output_tokens": 36,
            "output_tokens_details": {"thinking_tokens": 25},
        },
    }


def test_a_stream_says_the_same_as_the_whole_message() -> None:
    told = streamed(ALL, Ended("tool_calls", USAGE))
    assert content_of(told) == whole(ALL)["content"] == BLOCKS
    first, *_, delta, last = told
    assert first["message"] == {
        **whole([], Ended("tool_calls", None)),
        "content": [],
        "stop_reason": None,
    }
    assert delta["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert delta["usage"] == whole([])["usage"]
    assert last == {"type": "message_stop"}


def test_what_arrives_together_is_told_in_the_same_events() -> None:
    together = writer()
    assert events_of(together.write(ALL) + together.end(END)) == streamed(ALL)


def test_thinking_can_be_left_out() -> None:
    assert whole(ALL, shows_thinking=False)["content"] == BLOCKS[1:]
    assert content_of(streamed(ALL, shows_thinking=False)) == BLOCKS[1:]


@pytest.mark.parametrize(
    ("end", "reason", "sequence"),
    [
        (END, "end_turn", None),
        (Ended("length", USAGE), "max_tokens", None),
        (Ended("stop", USAGE, "END"), "stop_sequence", "END"),
    ],
)
def test_an_end_has_its_reason(end: Ended, reason: str, sequence: str | None) -> None:
    said = whole([TextDelta("x")], end)
    assert (said["stop_reason"], said["stop_sequence"]) == (reason, sequence)
    *_, delta, _ = streamed([TextDelta("x")], end)
    assert delta["delta"] == {"stop_reason": reason, "stop_sequence": sequence}


def test_tokens_that_nobody_counted_are_none() -> None:
    assert whole([TextDelta("x")], Ended("stop", None))["usage"] == {
        "input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
        "output_tokens_details": {"thinking_tokens": 0},
    }


def test_a_stream_begins_with_what_was_counted_by_then() -> None:
    begun = writer(used=Usage(20, 1, cached_tokens=4)).write([TextDelta("x")])
    usage = events_of(begun)[0]["message"]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (16, 4, 1)


def test_pages_are_cited_by_the_text_that_names_them() -> None:
    cited = Citations((Citation("https://a.org", "A", 4, 9), Citation("https://b.org", "B", 10, 15)))
    events: list[AnswerEvent] = [TextDelta("Milk[[1]] [[2]]"), cited]
    (block,) = whole(events)["content"]
    assert content_of(streamed(events)) == [block]
    assert [(each["url"], each["title"], each["type"]) for each in block["citations"]] == [
        ("https://a.org", "A", "web_search_result_location"),
        ("https://b.org", "B", "web_search_result_location"),
    ]


def test_a_page_is_cited_also_where_a_call_follows_the_text() -> None:
    events: list[AnswerEvent] = [
        TextDelta("Milk[[1]]"),
        CallStarted(0, "call_1", "f"),
        TextDelta("Tea[[2]]"),
        Citations((Citation("https://a.org", "A", 4, 9), Citation("https://b.org", "B", 12, 17))),
    ]
    assert [len(block.get("citations") or ()) for block in whole(events)["content"]] == [1, 0, 1]
    assert [len(block.get("citations") or ()) for block in content_of(streamed(events))] == [0, 0, 1]
    only_calls: list[AnswerEvent] = [CallStarted(0, "call_1", "f"), Citations((Citation("https://a.org", "A", 0, 0),))]
    assert whole(only_calls)["content"] == [{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]


def test_line_ends_of_every_kind_break_no_frame() -> None:
    said = "a\u2028b\x85c\nd"
    assert content_of(streamed([TextDelta(said)]))[0]["text"] == said


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (UpstreamCut("It broke off."), "api_error", "It broke off."),
        (UpstreamTimeout("Too late."), "timeout_error", "Too late."),
        (InvalidApiKey("The API key is wrong."), "authentication_error", "wrong"),
        (ContextTooLong("It holds 9 tokens."), "invalid_request_error", "prompt is too long: "),
        (GatewayError("Oh."), "api_error", "Oh."),
    ],
)
def test_an_error_ends_the_stream(error: GatewayError, kind: str, words: str) -> None:
    written = writer()
    events = events_of(written.write([TextDelta("x")]) + written.fail(error))
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "error",
    ]
    told = events[-1]
    assert (told["error"]["type"], told["error"]["code"], told["request_id"]) == (kind, error.code, "req_1")
    assert words in told["error"]["message"]

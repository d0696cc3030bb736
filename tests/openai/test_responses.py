"""Answers are written as OpenAI writes them."""

import json
from typing import Any

from app.core.events import (
    AnswerEvent,
    CallArguments,
    Citation,
    Citations,
    Ended,
    Picture,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from app.errors import UpstreamCut
from app.openai.responses import ChunkWriter, Heading, completion

HEADING = Heading("chatcmpl-1", 1790000000, "qwen3.7-plus")
USAGE = Usage(20, 36, reasoning_tokens=25, cached_tokens=4)
COUNTED = {
    "prompt_tokens": 20,
    "completion_tokens": 36,
    "total_tokens": 56,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 25},
}


def frames(stream: bytes) -> list[Any]:
    assert stream.endswith(b"\n\n")
    lines = stream.decode().removesuffix("\n\n").split("\n\n")
    return [line if line == "data: [DONE]" else json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_whole_answer_has_every_field() -> None:
    events: list[AnswerEvent] = [ReasoningDelta("hm"), TextDelta("Hello "), TextDelta('"you"')]
    assert json.loads(completion(HEADING, events, Ended("stop", USAGE))) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "qwen3.7-plus",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": 'Hello "you"', "refusal": None, "reasoning_content": "hm"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": COUNTED,
    }


def test_usage_that_upstream_did_not_count_is_not_invented() -> None:
    assert json.loads(completion(HEADING, [TextDelta("a")], Ended("length", None)))["usage"] is None


def test_a_stream_begins_with_the_role_and_ends_with_the_reason_and_done() -> None:
    writer = ChunkWriter(HEADING, include_usage=False)
    stream = writer.write([ReasoningDelta("hm")]) + writer.write([TextDelta("你好")]) + writer.end(Ended("stop", USAGE))
    *chunks, done = frames(stream)
    assert done == "data: [DONE]"
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "hm"},
        {"content": "你好"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]
    assert all(choice["logprobs"] is None and choice["index"] == 0 for choice in choices)
    assert all("usage" not in chunk for chunk in chunks)
    assert {(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks} == {
        ("chatcmpl-1", "chat.completion.chunk", 1790000000, "qwen3.7-plus")
    }


def test_usage_comes_last_in_a_chunk_without_choices() -> None:
    writer = ChunkWriter(HEADING, include_usage=True)
    *chunks, counted, _done = frames(writer.write([TextDelta("a")]) + writer.end(Ended("stop", USAGE)))
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (counted["choices"], counted["usage"]) == ([], COUNTED)


def test_a_stream_without_any_words_begins_with_the_role_all_the_same() -> None:
    role, end, _done = frames(ChunkWriter(HEADING, include_usage=False).end(Ended("length", None)))
    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert end["choices"][0]["finish_reason"] == "length"


def test_no_frame_of_a_stream_is_broken_into_lines_of_python() -> None:
    said = "one\u2028two\u2029three\x85four 你好 “five”"
    citations = Citations((Citation("https://a.example", said, 0, 1),))
    words: list[AnswerEvent] = [TextDelta(said), ReasoningDelta(said), CallArguments(0, said)]
    writer = ChunkWriter(Heading("1", 1, said), include_usage=True)
    stream = writer.write([*words, Picture(said), citations]) + writer.end(Ended("stop", USAGE))
    stream += writer.fail(UpstreamCut(said))
    lines = [line for line in stream.decode().splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)
    chunks = [json.loads(line[6:]) for line in lines if line != "data: [DONE]"]
    assert [chunk.get("model", said) for chunk in chunks] == [said] * len(chunks)
    assert chunks[1]["choices"][0]["delta"] == {"content": said}
    assert chunks[-1]["error"]["message"].startswith(said)

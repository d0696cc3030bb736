"""A Messages request is decoded once; what is wrong with it is said with the field's name."""

import base64
import json
import time
from typing import Any

import pytest

from app.anthropic.requests import MessagesCall, decode_messages
from app.core.messages import Message, ToolCall
from app.core.tools.definitions import Tool, ToolUse
from app.core.tools.json_output import JsonFormat
from app.errors import InvalidRequest
from tests.samples import PDF, PNG

TOOL = {"name": "f", "description": "does", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
F = Tool("f", "does", {"type": "object"})
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
LINKED = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
HI = [{"role": "user", "content": "hi"}]


def decode(messages: Any = HI, **fields: Any) -> MessagesCall:
    body = {"model": "qwen", "max_tokens": 1000, "messages": messages, **fields}
    return decode_messages(json.dumps(body).encode(), "owner")


def refusal(messages: Any = HI, **fields: Any) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as refused:
        decode(messages, **fields)
    return refused.value.message, refused.value.param


def user(*blocks: Any) -> list[Any]:
    return [{"role": "user", "content": list(blocks)}]


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said, "cache_control": {"type": "ephemeral"}}


def source(data: bytes, media_type: str) -> dict[str, Any]:
    return {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode()}


def test_texts_are_told_as_they_are() -> None:
    call = decode(
        [*HI, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Bye"}], system="Be kind."
    )
    assert call.request.messages == (Message("user", "hi"), Message("assistant", "Hello"), Message("user", "Bye"))
    assert (call.request.instructions, call.request.max_tokens, call.ignored) == ("Be kind.", 1000, ())
    assert (call.stream, decode(stream=True).stream) == (False, True)


def test_blocks_of_text_are_paragraphs_of_the_system_and_lines_of_the_user() -> None:
    call = decode(user(text("One."), text("Two.")), system=[text("A."), text(""), text("B.")])
    assert call.request.messages == (Message("user", "One.\nTwo."),)
    assert call.request.instructions == "A.\n\nB."


def test_what_claude_code_counts_its_requests_by_is_left_out() -> None:
    billing = "x-anthropic-billing-header: cc_version=2.1.197.68e; cc_entrypoint=cli; cch=71fea;"
    assert decode(system=[text(billing), text("Be kind.")]).request.instructions == "Be kind."
    assert decode(user(text(billing))).request.messages == (Message("user", billing),)


def test_system_messages_stand_among_the_others() -> None:
    messages = [*HI, {"role": "system", "content": "S"}, {"role": "system", "content": [text("T"), text("U")]}]
    assert decode(messages).request.messages == (
        Message("user", "hi"),
        Message("system", "S"),
        Message("system", "T\n\nU"),
    )


def test_an_answer_has_its_words_and_calls_and_nothing_of_what_was_thought() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "redacted_thinking", "data": "x"},
        text("I "),
        text("look."),
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv", "content": {"type": "web_search_tool_result_error"}},
        {"type": "mcp_tool_use", "id": "mcp", "name": "f", "server_name": "s", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "mcp", "content": [text("done")]},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2", "name": "g"},
    ]
    assert decode([*HI, {"role": "assistant", "content": content}, *HI]).request.messages[1] == Message(
        "assistant", "I look.", (ToolCall("c1", "f", '{"a": 1}'), ToolCall("c2", "g", "{}"))
    )


def test_results_and_words_keep_their_order() -> None:
    blocks = [
        {"type": "tool_result", "tool_use_id": "c1", "content": "one"},
        {
            "type": "tool_result",
            "tool_use_id": "c2",
            "content": [text("two"), {"type": "image", "source": {"type": "url"}}],
        },
        text("And now?"),
        {"type": "tool_result", "tool_use_id": "c3"},
        {"type": "tool_result", "tool_use_id": "c4", "content": [], "is_error": True},
        {"type": "tool_result", "tool_use_id": "c5", "content": "It broke.", "is_error": True},
    ]
    assert decode(user(*blocks)).request.messages == (
        Message("tool", "one", tool_call_id="c1"),
        Message("tool", "two\n[image not passed on]", tool_call_id="c2"),
        Message("user", "And now?"),
        Message("tool", "", tool_call_id="c3"),
        Message("tool", "The tool failed.", tool_call_id="c4"),
        Message("tool", "The tool failed.\nIt broke.", tool_call_id="c5"),
    )


def test_what_a_search_found_is_text() -> None:
    found = {"type": "search_result", "title": "T", "source": "https://example.org", "content": [text("words")]}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [found]}
    messages = decode(user(result, {**found, "content": "words"})).request.messages
    assert [message.text for message in messages] == ["T\nhttps://example.org\nwords"] * 2


def test_files_of_every_source_come_along() -> None:
    blocks = [
        {"type": "image", "source": source(PNG, "image/png")},
        LINKED,
        {"type": "image", "source": {"type": "file", "file_id": "file-1"}},
        {"type": "document", "source": source(PDF, "application/pdf"), "title": "report.pdf", "context": "Of May."},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        {"type": "document", "source": {"type": "content", "content": [text("a"), text("b")]}, "title": "ab.txt"},
        text("What is it?"),
    ]
    (message,) = decode(user(*blocks)).request.messages
    files = message.attachments
    assert message.text == "Of May.\nWhat is it?"
    assert [file.kind for file in files] == ["image"] * 3 + ["document"] * 3
    assert (files[0].data, files[1].url, files[2].file_id) == (PNG, "https://example.org/a.png", "file-1")
    assert (files[3].name, files[3].data, files[4].data) == ("report.pdf", PDF, b"words")
    assert (files[5].name, files[5].data) == ("ab.txt", b"a\nb")


@pytest.mark.parametrize(
    ("config", "thinking", "budget", "shown"),
    [
        (None, False, None, True),
        ({"type": "enabled", "budget_tokens": 2048}, True, 2048, True),
        ({"type": "adaptive"}, True, None, True),
        ({"type": "adaptive", "display": "omitted"}, True, None, False),
        ({"type": "disabled"}, False, None, True),
    ],
)
def test_the_model_thinks_when_it_is_asked_to(config: Any, thinking: bool, budget: int | None, shown: bool) -> None:
    call = decode(**({} if config is None else {"thinking": config}))
    assert (call.request.thinking, call.request.thinking_budget, call.shows_thinking) == (thinking, budget, shown)


def test_a_users_last_word_switches_thinking_where_nothing_else_says_so() -> None:
    asked = [{"role": "user", "content": "Why? /think"}]
    assert decode(asked).request.thinking is True
    assert decode(asked, thinking={"type": "disabled"}).request.thinking is False


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolUse((F,))),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolUse((F,), parallel=False)),
        ({"type": "any"}, ToolUse((F,), mode="required")),
        ({"type": "none"}, ToolUse((F,), mode="none")),
        ({"type": "tool", "name": "f"}, ToolUse((F,), mode="required", only="f")),
    ],
)
def test_tools_are_used_as_the_choice_says(choice: Any, expected: ToolUse) -> None:
    for tool in (TOOL, {**TOOL, "type": "custom"}):
        assert decode(tools=[tool], **({} if choice is None else {"tool_choice": choice})).request.tool_use == expected


def test_the_web_search_is_the_sites_own() -> None:
    both = decode(tools=[TOOL, SEARCH], tool_choice={"type": "tool", "name": "web_search"}).request
    assert (both.mode, both.tool_use) == ("search", ToolUse((F,)))
    alone = decode(tools=[SEARCH], tool_choice={"type": "any"}).request
    assert (alone.mode, alone.tool_use) == ("search", None)
    assert decode(tools=[SEARCH], tool_choice={"type": "none"}).request.mode == "chat"
    assert decode().request.mode == "chat"


def test_the_form_of_an_answer_has_two_places() -> None:
    form = {"type": "json_schema", "schema": SCHEMA}
    for fields, field in (
        ({"output_config": {"format": form, "effort": "high"}}, "output_config.format"),
        ({"output_config": {"effort": "high"}, "output_format": form}, "output_format"),
    ):
        call = decode(**fields)
        assert (call.request.json_format, call.form_field) == (JsonFormat(SCHEMA, ""), field)


def test_what_has_no_effect_is_named() -> None:
    call = decode(temperature=1, metadata={"user_id": "x"}, output_config={"effort": "high"}, stop_sequences=["a", "b"])
    assert call.ignored == ("temperature", "metadata", "output_config.effort")
    assert call.request.stop == ("a", "b")


def test_what_is_refused_may_be_there_without_anything_in_it() -> None:
    assert decode(container=None, mcp_servers=None).ignored == decode(mcp_servers=[]).ignored == ()


def test_fields_that_are_refused_are_not_read_however_much_they_hold() -> None:
    for field in ("container", "mcp_servers", "tools"):
        body = json.dumps({"model": "qwen", "messages": HI, field: [{}] * 500_000}).encode()
        began = time.process_time()
        json.loads(body)
        reading = time.process_time() - began
        with pytest.raises(InvalidRequest):
            decode_messages(body, "owner")
        assert time.process_time() - began < reading * 1.5, "nobody else is served meanwhile"


@pytest.mark.parametrize(
    ("messages", "fields", "param", "words"),
    [
        ([], {}, "messages", "nothing to answer"),
        ([{"role": "system", "content": "S"}], {}, "messages", "nothing to answer"),
        ([{"role": "tool", "content": "x"}], {}, "messages[0].role", "the roles are user, assistant and system."),
        ([*HI, {"role": "assistant", "content": "{"}], {}, "messages", "the last message has to be the user's"),
        (HI * 20_001, {}, "messages", "at most 20,000"),
        (HI, {"max_tokens": 0}, "max_tokens", "1 or more"),
        (HI, {"stop_sequences": [""]}, "stop_sequences", "1 to 1,000 characters"),
        (HI, {"mcp_servers": [{"type": "url"}]}, "mcp_servers", "calls no tools by itself"),
        (HI, {"container": "c"}, "container", "no containers"),
        (HI, {"thinking": {"type": "loud"}}, "thinking.type", "enabled, adaptive or disabled"),
        (HI, {"thinking": {"type": "enabled", "budget_tokens": -1}}, "thinking.budget_tokens", "0 or more"),
        (HI, {"system": [{"type": "image"}]}, "system[0].type", "text only"),
        (HI, {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type", "bash_20250124"),
        (HI, {"tools": [TOOL, TOOL]}, "tools", "name of its own"),
        (HI, {"tools": [TOOL, {"input_schema": {}}]}, "tools[1].name", "missing"),
        (HI, {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}}, "tool_choice", "'g'"),
        (HI, {"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name", "missing"),
        (HI, {"tools": [TOOL], "tool_choice": {"type": "some"}}, "tool_choice.type", "auto, any"),
        (HI, {"tool_choice": {"type": "any"}}, "tool_choice", "not offered"),
        (HI, {"tools": [SEARCH], "tool_choice": {"type": "tool", "name": "g"}}, "tool_choice", "not offered"),
        (HI, {"output_config": {"format": {"type": "xml"}}}, "output_config.format.type", "json_schema"),
        (HI, {"output_format": {"type": "json_schema"}}, "output_format.schema", "missing"),
        (user({"type": "container_upload"}), {}, "messages[0].content[0].type", "container_upload"),
        (user({"type": "tool_result"}), {}, "messages[0].content[0].tool_use_id", "missing"),
        (
            user({"type": "tool_result", "tool_use_id": "c", "content": {}}),
            {},
            "messages[0].content[0].content",
            "text",
        ),
        (user({"type": "image"}), {}, "messages[0].content[0].source", "missing"),
        (user({"type": "image", "source": "x"}), {}, "messages[0].content[0].source", "must be an object"),
        (user({"type": "image", "source": {"type": "text"}}), {}, "messages[0].content[0].source", "'text'"),
        (user({"type": "image", "source": {"type": "file"}}), {}, "messages[0].content[0].source.file_id", "missing"),
        (
            user({"type": "image", "source": {"type": "base64", "data": "?"}}),
            {},
            "messages[0].content[0].source.data",
            "base64",
        ),
        (
            [{"role": "assistant", "content": [{"type": "tool_use", "id": "c"}]}],
            {},
            "messages[0].content[0].name",
            "missing",
        ),
        (
            [{"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": "oops"}]}],
            {},
            "messages[0].content[0].input",
            "must be an object",
        ),
        (
            [{"role": "assistant", "content": [{"type": "image"}]}],
            {},
            "messages[0].content[0].type",
            "'image' cannot stand here; text and tool_use can.",
        ),
        (
            user({"type": "tool_use", "id": "c", "name": "f"}),
            {},
            "messages[0].content[0].type",
            "'tool_use' cannot stand here; text, image, document, search_result and tool_result can.",
        ),
        (user(*[text("x")] * 50_001), {}, "messages[0].content", "more than 50,000 parts"),
        (user(*[LINKED] * 5_001), {}, "messages[0].content[5000]", "more than 5,000 files"),
    ],
)
def test_what_is_wrong_is_named(messages: Any, fields: dict[str, Any], param: str, words: str) -> None:
    told, where = refusal(messages, **fields)
    assert where == param
    assert words in told

"""The emulator's model calls tools and answers in JSON as the notes in its prompt ask, by what it was shown."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.characters import CHARACTERS
from tests.emulator.test_answers import after


def offer(*tools: tuple[str, str]) -> str:
    listed = "".join(f"<tool><name>{name}</name><arguments>{schema}</arguments></tool>" for name, schema in tools)
    return f"<instructions>\n<tools>{listed}</tools>\n</instructions>\n\n"


CITY = '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
OFFERS = offer(("get_time", "{}"), ("what_is_it", "{}"), ("mcp__sky__getWeather", CITY))


@pytest.mark.parametrize("question", ["What is the weather in Rome?", "Tell me the Weather in Rome"])
def test_it_calls_an_offered_tool_whose_name_fits_a_question(question: str) -> None:
    said = after(OFFERS + question)
    assert '<name>mcp__sky__getWeather</name>\n  <arguments>{"city": "Rome"}</arguments>' in said
    assert "<tool_use>" not in after(OFFERS + question + "\n\n(Answer this in words, without calling a tool.)")


@pytest.mark.parametrize(
    "text", ["The weather is nice.", "Is it all you are?", "Is it warm?", "Get the sky.", "What do you get? Call me."]
)
def test_it_calls_no_tool_where_none_plainly_fits(text: str) -> None:
    assert "emulator" in after(OFFERS + text)


def test_what_it_can_answer_by_itself_needs_no_tool() -> None:
    facts = ("Remember: the time is noon", "Noted.")
    assert after(OFFERS + facts[0], facts[1], "What is the time?") == "The time is noon."


@pytest.mark.parametrize(
    ("note", "name"),
    [
        ("(Call at least one tool now.)", "get_time"),
        ("(Call at least one tool now. Call at most one tool.)", "get_time"),
        ("(Call the tool mcp__sky__getWeather now.)", "mcp__sky__getWeather"),
    ],
)
def test_it_calls_a_tool_where_one_has_to_be_called(note: str, name: str) -> None:
    for asked in ("hi", "say: hi", "<tool_use_result><name>x</name><result>1</result></tool_use_result>"):
        assert f"<name>{name}</name>" in after(f"{OFFERS}{asked}\n\n{note}")
    assert "emulator" in after(f"hi\n\n{note}"), "nothing is offered"


def test_tools_that_are_offered_no_more_are_not_called() -> None:
    assert "<tool_use>" not in after(OFFERS + "hi", "hello", f"{offer(('other', CITY))}Use get_time")


JSON = "Answer with one JSON object and nothing else: no code block, no words before or after it."
FITTING = "Answer with one JSON value that fits this JSON Schema, and nothing else: no code block.\n"


def test_it_answers_with_json_where_that_is_asked_for() -> None:
    facts = ("My dog is called Rex.", "Noted.")
    assert json.loads(after(*facts, f"What is my dog called?\n\n{JSON}")) == {"answer": "Your dog is Rex."}
    assert "emulator" in json.loads(after(f"hi\n\n{JSON}"))["answer"]
    assert json.loads(after(f"The weather in Rome?\n\n{FITTING}{CITY}")) == {"city": "Rome"}
    assert after(f'say: {{"a": 1}}\n\n{FITTING}{CITY}') == '{"a": 1}', "it repeats what it is told to"
    assert "<name>get_time</name>" in after(f"{OFFERS}hi\n\n(Call at least one tool now.)\n\n{JSON}")
    assert after(f"hi\n\n{FITTING}{{broken").startswith('{"answer": ')


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5}, "b": {"type": "boolean"}}},
        {"properties": {"a": {"type": ["null", "number"], "exclusiveMinimum": 2.5}}, "required": ["a"]},
        {"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2},
        {"type": "string", "minLength": 20, "maxLength": 30},
        {"type": "string", "maxLength": 3},
        {"const": {"a": [None]}},
        {"type": "integer", "maximum": 0},
        {
            "$defs": {"p": {"type": "object", "required": ["n"], "properties": {"n": {"type": "null"}}}},
            "$ref": "#/$defs/p",
        },
        {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        {"type": "object", "properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}, "required": ["n"]},
        {"type": "object"},
        {"items": {"type": "integer"}, "minItems": 1},
        True,
    ],
)
def test_its_json_fits_the_schema(schema: Any) -> None:
    Draft202012Validator(schema).validate(json.loads(after(f"hi\n\n{FITTING}{json.dumps(schema)}")))


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    words = [
        "type",
        "properties",
        "required",
        "enum",
        "anyOf",
        "items",
        "minItems",
        "minLength",
        "maximum",
        "const",
        "$ref",
    ]
    return st.dictionaries(
        st.sampled_from(words), inner | st.sampled_from(["object", "array", "string", "number", "#"])
    )


@pytest.mark.no_cover  # for its volume
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(CHARACTERS), lambda inner: st.lists(inner) | schemas(inner)
    )
)
def test_no_schema_brings_it_down(schema: Any) -> None:
    assert after(f"hi\n\n{FITTING}{json.dumps(schema)}")


def test_a_schema_that_asks_for_itself_without_an_end_gets_an_answer_all_the_same() -> None:
    parts = {f"k{number}": {"$ref": "#"} for number in range(10)}
    assert after(f"hi\n\n{FITTING}{json.dumps({'properties': parts, 'required': list(parts)})}")

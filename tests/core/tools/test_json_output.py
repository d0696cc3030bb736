"""An answer that has to be JSON is taken out of whatever stands around it."""

import json
import time
from typing import Any

import pytest

from app.core.tools.json_output import JsonFormat, Lack, find_json
from app.core.tools.prompt_mode import PromptModeCut, teaches_tools
from app.core.tools.scheme import compact

CALL = "<tool_use>\n<name>a</name>\n<arguments>{}</arguments>\n</tool_use>"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('  {"a": 1}\n', {"a": 1}),
        ('Here:\n```json\n{"a": 1}\n```\nDone.', {"a": 1}),
        ('The answer is {"a": {"b": [1, 2]}}, I think.', {"a": {"b": [1, 2]}}),
        ("{'a': 1,}", {"a": 1}),
        ('{"a": 1', Lack.ALL),
        ('{"a": [1, 2', Lack.ALL),
        ('{"a": "never end', Lack.ALL),
        ('{"a": 1} and then [1, 2', Lack.ALL),
        ("[1, 2]", [1, 2]),
        ("3", 3),
        ("I do not know.", Lack.ALL),
        ("", Lack.ALL),
        ("{}", {}),
        ("null", None),
        ("```\nnull\n```", None),
        ('{"a": 1}}', {"a": 1}),
        ('{"a": 1} Is that "it?', {"a": 1}),
        ("{'a': '}', 'b': {\"c\": 1}}", {"a": "}", "b": {"c": 1}}),
        ("['a]', 1]", ["a]", 1]),
        ('[x] [1] ] {"a": 1}', {"a": 1}),
        ('{"a": 1} {"a": 1}', {"a": 1}),
        ('{"a": 1} {"a": 2}', Lack.CHOICE),
        ("{'a': 1} {'a': 2}", Lack.CHOICE),
        ("{'a': 1}: [x]", Lack.CHOICE),
        (r'{"path": "C:\Users\new\table",}', {"path": r"C:\Users\new\table"}),
        (r'{"path": "C:\Users\new\table"}', {"path": r"C:\Users\new\table"}),
        (r'["^\d+\t$"]', [r"^\d+\t$"]),
        (r'{"text": "regex \d+\n",}', Lack.ALL),
        (r'{"text": "\u00e9\d",}', Lack.ALL),
        (r"{'a': '<b>x<\/b>\n'}", {"a": "<b>x</b>\n"}),
        ("{'a': 'x' is said, 'b': 1}", Lack.ALL),
        ("{'a': 1, 'a': 2}", Lack.ALL),
        ("{'a': 'None of /* it */', 'b': [True, None]}", {"a": "None of /* it */", "b": [True, None]}),
        ("{a: 'False', /* so it is */ b: 1}", {"a": "False", "b": 1}),
    ],
)
def test_json_is_found(text: str, value: Any) -> None:
    assert found(text) == value


def found(text: str) -> Any:
    return find_json(text, lambda _: True, lambda _: Lack.ALL)


NUMBERS, WORDS = {"type": "array", "items": {"type": "integer"}}, {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(
    ("schema", "text", "said"),
    [
        (None, 'According to the search [1]: {"a":1}', '{"a":1}'),
        (None, '{"a":1} (I used [int] here, see {it})', '{"a":1}'),
        (None, "As [1] says: {'a': 1,}", '{"a":1}'),
        (None, '```json\n[1]\n```\n```json\n{"a":1}\n```', '{"a":1}'),
        ({"required": ["a"]}, '{"b":1} is the form, {"a":1} the answer', '{"a":1}'),
        (NUMBERS, '{"a":1}, or rather [1,2].', "[1,2]"),
        ({"type": ["object", "null"]}, "null", "null"),
        (None, '```json\n{"a":1}\n```\n```json\n{"a":2}\n```', '{"a":1}'),
        (None, '{"a":1} by ' + " ".join(f"[{n}]" for n in range(60)), '{"a":1}'),
        (None, "{'a': 1} by " + " ".join(f"[{n}]" for n in range(60)), '{"a":1}'),
    ],
)
def test_what_fits_is_taken_out_of_what_does_not(schema: dict[str, Any] | None, text: str, said: str) -> None:
    assert JsonFormat(schema).read(text) == (said, ())


@pytest.mark.parametrize(
    ("schema", "text", "problem"),
    [
        (NUMBERS, '{"a":1}\nThe schema was {"type":"object"}.', "In the answer: {'a': 1} is not of type 'array'."),
        ({"type": "array"}, "{'a': 1} {'b': 2}", "In the answer: {'a': 1} is not of type 'array'."),
        (WORDS, "[x] [1] ]", "The answer holds no whole JSON."),
        (None, '{"a":1} or {"a":2}', "The answer holds several JSON values that fit; only one is wanted."),
        (None, "[1] " * 60 + '{"a":1}', "The answer is not a JSON object."),
        (None, '[1] {"a": 1e999}', "The answer is not a JSON object."),
    ],
)
def test_no_value_is_made_of_several_and_none_is_chosen(schema: dict[str, Any] | None, text: str, problem: str) -> None:
    assert JsonFormat(schema).read(text)[1] == (problem,)


AGE = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


@pytest.mark.parametrize(
    ("schema", "text", "said"),
    [
        (AGE, '{"age":"3"}', '{"age":3}'),
        (AGE, '```json\n{"age":"3"}\n```', '{"age":3}'),
        (AGE, 'As [1] says, it is {"age":"3"}.', '{"age":3}'),
        (AGE, "{'age': '3',}", '{"age":3}'),
        (AGE, '{"age":"3"} or {"age":3}', '{"age":3}'),
        (AGE, json.dumps('{"age":"3"}'), '{"age":3}'),
        (NUMBERS, '["1", 2]', "[1,2]"),
        (NUMBERS, '```\n["1", 2]\n```', "[1,2]"),
        (NUMBERS, "7", "[7]"),
        ({"properties": {"version": {"type": "string"}}}, '{"version":3.10}', '{"version":"3.10"}'),
    ],
)
def test_a_value_of_another_type_that_means_the_same_is_taken_as_in_a_call(
    schema: dict[str, Any], text: str, said: str
) -> None:
    assert JsonFormat(schema).read(text) == (said, ())


@pytest.mark.parametrize(
    ("schema", "text", "problem"),
    [
        (AGE, '{"age":"three"}', "In the answer at age: 'three' is not of type 'integer'."),
        (AGE, '{"age":null}', "In the answer at age: None is not of type 'integer'."),
        (AGE, '{"age":"3"} or {"age":"4"}', "The answer holds several JSON values that fit; only one is wanted."),
        (WORDS, "As [1] says, there are none.", "In the answer at [0]: 1 is not of type 'string'."),
    ],
)
def test_what_would_mean_something_else_is_left_wrong(schema: dict[str, Any], text: str, problem: str) -> None:
    assert JsonFormat(schema).read(text)[1] == (problem,)


def test_an_object_must_be_one_and_a_schema_must_fit() -> None:
    assert JsonFormat().read("[1]") == ("[1]", ("The answer is not a JSON object.",))
    assert JsonFormat().read('{"a": "ö"}') == ('{"a":"ö"}', ())
    assert JsonFormat({"type": "array"}).read("[1]") == ("[1]", ())
    assert JsonFormat({"type": "array"}).read("no")[1] == ("The answer holds no whole JSON.",)


def test_a_schema_is_told_without_what_says_nothing() -> None:
    schema = {
        "title": "T",
        "$schema": "x",
        "type": "object",
        "properties": {"title": {"type": "string", "title": "Title", "enum": ["title"]}},
        "anyOf": [{"title": "A", "required": ["title"]}],
    }
    assert compact(schema) == {
        "type": "object",
        "properties": {"title": {"type": "string", "enum": ["title"]}},
        "anyOf": [{"required": ["title"]}],
    }
    assert '"enum":["title"]' in JsonFormat(schema).teach()


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        ("Hello <b>there</b>\n", "Hello <b>there</b>\n"),
        (f"a {CALL}", f"a {CALL}"),
        (f"a {CALL}\n\n", f"a {CALL}"),
        (f"a {CALL} b", f"a {CALL}"),
        (f"{CALL}\n{CALL}\nb", f"{CALL}\n{CALL}"),
        (f"{CALL} b {CALL}", f"{CALL}{CALL}"),
        (f"```\n{CALL}\n```\nb", f"```\n{CALL}\n```\nb"),
        (f"{CALL}\n```\n{CALL}\n```", CALL),
        ("a <tool_use> never closed", "a <tool_use> never closed"),
        ("</tool_use> a", "</tool_use> a"),
    ],
)
def test_prompt_mode_passes_everything_up_to_its_last_call(said: str, passed: str) -> None:
    whole, piecewise = PromptModeCut(), PromptModeCut()
    assert whole.feed(said) == "".join(map(piecewise.feed, said)) == passed


def test_a_system_prompt_teaches_tools_only_with_both_tags() -> None:
    assert teaches_tools(f"Write {CALL}.")
    assert not teaches_tools("What is a <tool_use> tag?")


def test_a_long_answer_with_a_comma_behind_its_last_value_is_read() -> None:
    texts = ['a text, ] of "many" it\'s'] * 3_000
    assert found(f"{json.dumps({'a': texts})[:-2]},\n], }}") == {"a": texts}
    assert found(f"So: {json.dumps(texts)[:-1]},]") == texts


def test_an_answer_of_one_endless_text_takes_no_longer_than_others() -> None:
    began = time.process_time()
    assert found('{"' + '\\"' * 40_000) is Lack.ALL
    assert time.process_time() - began < 2, "looking for the end of the text from each quotation mark takes minutes"


@pytest.mark.no_cover  # for its volume
@pytest.mark.parametrize(
    "piece", ["{x} ", "[1] ", "{x} } ", "[", "{", '{"a', "]", "[x] ]", '{"a":[1,{"b":', "```\n", "```\n{}\n```\n", "'"]
)
def test_an_answer_of_many_pieces_is_read_once(piece: str) -> None:
    began = time.process_time()
    JsonFormat(NUMBERS).read("{'a" + piece * (100_000 // len(piece)))
    JsonFormat(NUMBERS).read(piece * (100_000 // len(piece)))
    assert time.process_time() - began < 5, "beginning anew at each bracket takes minutes"


@pytest.mark.no_cover  # for its volume
def test_prompt_mode_reads_a_line_of_many_calls_once() -> None:
    call = "<tool_use><name>a</name><arguments>{}</arguments></tool_use>"
    began = time.process_time()
    assert PromptModeCut().feed(call * 40_000) == call * 40_000
    assert time.process_time() - began < 4, "keeping the line as one text copies it at each tag"

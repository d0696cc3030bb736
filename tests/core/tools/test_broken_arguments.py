"""Broken arguments are mended where it is sure what they mean; else nothing of them is passed on."""

import json
import time
from typing import Any

import pytest

from app.core.tools.checking import Checked, check
from app.core.tools.definitions import Tool
from app.core.tools.reader import Called, CallReader
from tests.core.tools.test_reader import call

TEXT = {"type": "string"}
WRITE = Tool(
    "write_file",
    "",
    {
        "type": "object",
        "properties": {
            "path": TEXT,
            "body": TEXT,
            "mode": {"anyOf": [{"$ref": "#/$defs/mode"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "object", "properties": {"tag": TEXT}}},
            "any": {"type": "object"},
            "env": {"type": "object", "additionalProperties": TEXT},
            "more": {"properties": {"a": TEXT}, "additionalProperties": {"properties": {"b": TEXT}}},
            "one": {"anyOf": [{"properties": {"at": {"properties": {"x": TEXT}}}}, {"properties": {"at": TEXT}}]},
        },
        "$defs": {"mode": {"type": "object", "properties": {"bits": {"type": "integer"}}}},
    },
)


def checked(arguments: str, tool: Tool = WRITE, *, form: str = "") -> Checked:
    reader = CallReader([tool.name])
    found = [*reader.feed(form or call(arguments, tool.name)), *reader.finish()]
    (each,) = [each for each in found if isinstance(each, Called)]
    return check(each.call, [tool])


SURE: dict[str, tuple[str, dict[str, Any]]] = {
    "a path of Windows": (r'{"path": "C:\Users\new\table.txt"}', {"path": r"C:\Users\new\table.txt"}),
    "such a path in single quotes": (r"{'path': 'C:\Users\new'}", {"path": r"C:\Users\new"}),
    "a pattern": (r'{"body": "^\d+\t\bx\"$"}', {"body": r'^\d+\t\bx"$'}),
    "a path beside a text with a line break": (
        r'{"path": "C:\Users\new", "body": "one\ntwo three"}', {"path": r"C:\Users\new", "body": "one\ntwo three"}
    ),
    "backslashes that are doubled already": (r'{"path": "C:\\Users\new"}', {"path": "C:\\Users\new"}),
    "an end tag": (r'{"path": "a.html", "body": "<div>x<\/div>",}', {"path": "a.html", "body": "<div>x</div>"}),
    "an end tag in single quotes": (r"{'body': '<div>x<\/div>\n'}", {"body": "<div>x</div>\n"}),
    "an end tag beside a bare key": (r'{path: "a", body: "<div>x<\/div>"}', {"path": "a", "body": "<div>x</div>"}),
    "a backslash before a slash": (r"{'body': 'a\\/b'}", {"body": "a\\/b"}),
    "commas behind the last": (
        '{"body": ",]", "tags": [{"tag": ",}",}, ] ,\n}', {"body": ",]", "tags": [{"tag": ",}"}]}
    ),
    "a comment in a text": (r'{"body": "/* None *\/ 1e3\n",}', {"body": "/* None */ 1e3\n"}),
    "a number before the last comma": ('{"path": 3.10,}', {"path": "3.10"}),
    "an apostrophe that is escaped": (r'{"body": "it\'s\none"}', {"body": "it's\none"}),
    "quotes around a word": ('{"body": "the "old" one"}', {"body": 'the "old" one'}),
    "a bare key": ('{path: "a", mode: {bits: 7}, tags: [{tag: "b"}]}',
                   {"path": "a", "mode": {"bits": 7}, "tags": [{"tag": "b"}]}),
    "a key where any may be": ('{"path": "a", any: {"b": {c: 7}}}', {"path": "a", "any": {"b": {"c": 7}}}),
    "a key where others may be": ('{env: {"A": "x", B: "y"}}', {"env": {"A": "x", "B": "y"}}),
    "a key beside one that is known": ('{more: {a: "x", c: {b: "y"}}}', {"more": {"a": "x", "c": {"b": "y"}}}),
    "a key that the first of two forms knows": ('{one: {at: {x: "a"}}}', {"one": {"at": {"x": "a"}}}),
    "a key that nobody knows, in JSON that is whole": ('{"path": "a", "b": 2}', {"path": "a", "b": 2}),
}  # fmt: skip


@pytest.mark.parametrize("name", SURE)
def test_what_is_sure_is_mended(name: str) -> None:
    written, meant = SURE[name]
    mended = checked(written)
    assert (json.loads(mended.arguments), mended.problems) == (meant, ())


UNSURE = {
    "JSON in a text": '{"path": "x.json", "body": "{"a":1,"b":2}"}',
    "JSON in a text with a key that is known": '{"body": "{"a":1,"path":"y"}"}',
    "a program in a text": '{"path": "a", "body": "const a = { "k": "v", f: (x) => { return "hi"; } };"}',
    "an apostrophe in single quotes": "{'path':'L'Aquila'}",
    "a quotation at the end": '{"path": "a", "body": "He said "hi""}',
    "quotes of another kind": '{"path":`ls -la`}',
    "texts side by side": '{"body": "echo "" x"}',
    "a key that is known elsewhere": '{"path": "a", mode: {"path": 7}}',
    "a key in a list": '{"path": "a", tags: [{"path": "b"}]}',
    "a key in one of the others": '{more: {c: {d: "y"}}}',
    "a key that neither of two forms knows": '{one: {at: {y: "a"}}}',
    "a quotation where any key may be": '{any: {"a": "say "x", "y": 1"}}',
    "a key that is said twice": '{"path": "a", "path": "b",}',
    "a line break beside a pattern": r'{"body": "find \d in it\nand go on"}',
    "a letter in hexadecimal beside a pattern": r'{"body": "\u00e9\d"}',
}


@pytest.mark.parametrize("name", UNSURE)
def test_what_may_be_in_the_wrong_place_is_asked_for_again(name: str) -> None:
    (problem,) = checked(UNSURE[name]).problems
    assert "JSON" in problem


def test_keys_of_a_call_are_no_arguments() -> None:
    wrong = '<tool_call>{"name": "write_file", "arguments": {"path": "a", "body": "{"b": 1}"}, "c": 2}</tool_call>'
    assert checked("", form=wrong).problems
    right = '<tool_call>{name: "write_file", arguments: {"path": "a"}}</tool_call>'
    assert checked("", form=right.replace("{name", '{"name"').replace("name:", 'name":')).problems == ()


def test_a_tool_that_names_no_keys_takes_any() -> None:
    for written in ('{"a": "x", b: 1}', "{'a': 'x', 'b': 1}"):
        mended = checked(written, Tool("t"))
        assert (json.loads(mended.arguments), mended.problems) == ({"a": "x", "b": 1}, ())


@pytest.mark.parametrize("body", ['{"a":1,"b":2}', 'He said "b", "c": "d', 'say "hi"', '[("a", "b'])
def test_a_tool_that_names_no_keys_takes_no_text_that_may_be_cut(body: str) -> None:
    assert checked(f'{{"path": "a", "body": "{body}"}}', Tool("t")).problems


@pytest.mark.parametrize("number", ["3.10", "1e5", "0.1000000000000000055511151231257827", "12345678901234567890123"])
def test_a_number_for_a_text_is_written_as_it_was(number: str) -> None:
    mended = checked(f'{{"path": {number}}}')
    assert (json.loads(mended.arguments), mended.problems) == ({"path": number}, ())


LONG = 'line of "a" file, ] with [1, ] and it\'s None\n' * 3_000


@pytest.mark.parametrize(
    "written",
    [
        f'{{"path": "a", "body": {json.dumps(LONG)}, }}',
        f'{{"body": {json.dumps(LONG)}, "tags": [{{"tag": "b",}},\n], "path": "a",\n}}',
        str({"path": "a", "body": LONG}),
    ],
)
def test_a_long_text_is_mended_where_nothing_is_guessed(written: str) -> None:
    mended = checked(written)
    assert (json.loads(mended.arguments)["body"], mended.problems) == (LONG, ())


@pytest.mark.parametrize("depth", [100, 300, 900, 5_000])
def test_what_is_nested_too_deeply_is_asked_for_again_at_most(depth: int) -> None:
    for opened, closed in (("[", "]"), ('{"a":', "}"), ("{'a':", "}")):
        mended = checked(f'{{"any": {{"a": {opened * depth}1{closed * depth}}},}}')
        assert mended.problems or depth < 900


@pytest.mark.parametrize("body", ['const a = { "k": "v" };\n', "{'k': 'v'}, ", "\\'", '\\"', ",]", ", " * 9, '",'])
def test_what_is_too_long_to_be_guessed_at_keeps_nobody_waiting(body: str) -> None:
    began = time.process_time()
    assert checked(f'{{"path": "a", "body": "{body * 10_000}"}}x').problems
    assert time.process_time() - began < 1, "mended, it took a quarter of a minute"

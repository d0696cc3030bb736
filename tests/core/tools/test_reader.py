"""A model's calls are told from its text, in every form that models fall into, whatever the pieces."""

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.tools.reader import Called, CallReader, Say
from app.core.tools.scheme import CherryScheme
from tests.characters import CHARACTERS

KNOWN = ("weather", "write_file", "server__search")
PARIS = {"city": "Paris"}


def read(*pieces: str) -> tuple[str, list[tuple[str, dict[str, Any] | None]]]:
    """Return what was said, and the calls."""
    reader = CallReader(KNOWN)
    found = [each for piece in pieces for each in reader.feed(piece)] + reader.finish()
    said = "".join(each.text for each in found if isinstance(each, Say))
    return said, [(each.call.name, each.call.arguments) for each in found if isinstance(each, Called)]


def call(arguments: str = '{"city": "Paris"}', name: str = "weather") -> str:
    return f"<tool_use>\n<name>{name}</name>\n<arguments>{arguments}</arguments>\n</tool_use>"


FORMS = {
    "as taught": call(),
    "one line": '<tool_use><name>weather</name><arguments>{"city": "Paris"}</arguments></tool_use>',
    "capital letters and blanks": "<Tool_Use >\n< NAME > weather </ name >\n"
    '<Arguments>{"city": "Paris"}</Arguments >\n</tool_use>',
    "no end tag": '<tool_use>\n<name>weather</name>\n<arguments>{"city": "Paris"}</arguments>',
    "no end tags": '<tool_use>\n<name>weather</name>\n<arguments>{"city": "Paris"}',
    "single quotes": call("{'city': 'Paris'}"),
    "trailing comma": call('{"city": "Paris",}'),
    "bare key": call('{city: "Paris"}'),
    "missing brace": call('{"city": "Paris"'),
    "a fence inside": call('\n```json\n{"city": "Paris"}\n```\n'),
    "encoded twice": call('"{\\"city\\": \\"Paris\\"}"'),
    "parameters": '<tool_use><name>weather</name><parameters>{"city": "Paris"}</parameters></tool_use>',
    "input": '<tool_use><name>weather</name><input>{"city": "Paris"}</input></tool_use>',
    "no tag for arguments": '<tool_use><name>weather</name>{"city": "Paris"}</tool_use>',
    "JSON inside": '<tool_use>{"name": "weather", "arguments": {"city": "Paris"}}</tool_use>',
    "HTML entities": "&lt;tool_use&gt;&lt;name&gt;weather&lt;/name&gt;"
    "&lt;arguments&gt;{&quot;city&quot;: &quot;Paris&quot;}"
    "&lt;/arguments&gt;&lt;/tool_use&gt;",
    "full width": '＜tool_use＞＜name＞weather＜/name＞＜arguments＞{"city": "Paris"}＜/arguments＞＜/tool_use＞',
    "tool_call": '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>',
    "tool_call, arguments first": '<tool_call>{"arguments": {"city": "Paris"}, "name": "weather"}</tool_call>',
    "tool_call, arguments as text": '<tool_call>{"name": "weather", '
    '"arguments": "{\\"city\\": \\"Paris\\"}"}</tool_call>',
    "tool_call, parameters": '<tool_call>{"name": "weather", "parameters": {"city": "Paris"}}</tool_call>',
    "tool_call, function": '<tool_call>{"function": {"name": "weather", "arguments": {"city": "Paris"}}}</tool_call>',
    "tool_call, single quotes": "<tool_call>{'name': 'weather', 'arguments': {'city': 'Paris'}}</tool_call>",
    "tool_call without end": '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}',
    "tool_call without its last brace": '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}</tool_call>',
    "Qwen-Coder": "<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
    "Qwen-Coder, bare": "<function=weather><parameter=city>Paris</parameter></function>",
    "Qwen-Coder, no end": "<function=weather>\n<parameter=city>\nParis\n</parameter>",
    "Qwen-Coder, JSON": '<function=weather>{"city": "Paris"}</function>',
    "fenced JSON": '```json\n{"name": "weather", "arguments": {"city": "Paris"}}\n```',
    "fenced JSON, other fence": '~~~\n{"tool": "weather", "args": {"city": "Paris"}}\n~~~\n',
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", ["", "I look it up.", "I look it up: 3 < 4, `a`.\n\n"])
def test_every_form_is_read(form: str, before: str) -> None:
    text = f"{before}\n{FORMS[form]}" if before else FORMS[form]
    assert read(text) == (before.rstrip(), [("weather", PARIS)])
    assert read(*text) == (before.rstrip(), [("weather", PARIS)])


HALF = {
    "in the object": '<tool_use>\n<name>weather</name>\n<arguments>{"city": "Paris"',
    "in a text": '<tool_use>\n<name>weather</name>\n<arguments>{"city": "Paris',
    "in a text that holds an end tag": '<tool_use><name>weather</name><arguments>{"city": "</tool_use> in Par',
    "before the arguments": "<tool_use>\n<name>weather</name>\n",
    "in single quotes": "<tool_use><name>weather</name><arguments>{'city': 'Par",
    "in a parameter": "<function=weather>\n<parameter=city>\nPar",
    "before the parameters": "<function=weather>\n<",
    "in JSON": '<tool_call>{"name": "weather", "arguments": {"city": "Par',
    "in JSON whose end tag came": '<tool_call>{"name": "weather", "arguments": {"city": "Par</tool_call>',
    "before the next call": f'<tool_use><name>weather</name><arguments>{{"city": "Par\n{"x" * 20}',
}


@pytest.mark.parametrize("name", HALF)
def test_a_call_that_is_cut_off_has_no_arguments(name: str) -> None:
    """Nobody knows how it would have gone on, so it is not run; the model is asked again."""
    assert read(HALF[name]) == read(*HALF[name]) == ("", [("weather", None)])


OPEN_ENDED = ("cut", "no end", "without", "missing", "fenced")


@pytest.mark.parametrize("form", [form for form in FORMS if not any(word in form for word in OPEN_ENDED)])
def test_two_of_a_form_are_two_calls(form: str) -> None:
    text = f"{FORMS[form]}\n\n{FORMS[form]}\n"
    assert read(text) == read(*text) == ("", [("weather", PARIS)] * 2)


ARGUMENTS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "Python": ("{'a': True, 'b': None, 'c': [1, 2.5], 'd': False}", {"a": True, "b": None, "c": [1, 2.5], "d": False}),
    "line break in a text": ('{"a": "one\ntwo"}', {"a": "one\ntwo"}),
    "tab in a text": ('{"a": "one\ttwo"}', {"a": "one\ttwo"}),
    "nothing": ("", {}),
    "blanks": (" \n ", {}),
    "empty object": ("{}", {}),
    "nested": ('{"a": {"b": [{"c": "</d>"}]}}', {"a": {"b": [{"c": "</d>"}]}}),
    "end tag in a text": ('{"a": "</arguments></tool_use> and on"}', {"a": "</arguments></tool_use> and on"}),
    "opening in a text": ('{"a": "<tool_use>"}', {"a": "<tool_use>"}),
    "code": ('{"a": "if x < 3:\\n    print(\\"y\\")"}', {"a": 'if x < 3:\n    print("y")'}),
    "escaped slash": ('{"a": "<\\/b>"}', {"a": "</b>"}),
    "Chinese": ('{"城市": "巴黎"}', {"城市": "巴黎"}),
    "nested too deeply": ('{"a":' * 400, None),
    "not an object": ("[1, 2]", None),
    "prose": ("the city of Paris", None),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_of_every_kind(name: str) -> None:
    written, meant = ARGUMENTS[name]
    assert read(call(written)) == read(*call(written)) == ("", [("weather", meant)])


TEXTS = [
    "Use <tool_use> tags like this.",
    "a < b, a <tool, <tools>, </tool_use> &lt; &amp; <function>",
    "Write `<tool_use>` and then `<name>`.",
    "```xml\n" + call() + "\n```\nThat is how.",
    "Before\n```\n" + call() + "\n```",
    '```json\n{"name": "weather", "arguments": {}}\n```\nThat was an example.',
    '```json\n{"name": "Anna", "age": 3}\n```',
    '```json\n{"name": "nobody", "arguments": {}}\n```',
    "```json\n[1]\n```",
    "```python\nprint('<tool_call>')\n```",
    "An open ``` fence and `code",
    "~~~\nnever closed <tool_use>\n",
    "ends with <",
    "ends with <tool_us",
    "ends with &lt",
    "ends with blanks \n\n",
    "```",
    "`",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_stays_text(text: str) -> None:
    assert read(text) == read(*text) == (text, [])


def test_text_after_a_call_is_cut() -> None:
    text = f"I look.\n{call()}\nThen I wait.\n{call(name='search')} Done."
    assert read(text) == read(*text) == ("I look.", [("weather", PARIS), ("search", PARIS)])


def test_text_is_said_at_once() -> None:
    reader = CallReader(KNOWN)
    for piece in ("Hello", " there", ", 3 < 4", " and <b>bold</b>", " & more"):
        assert reader.feed(piece) == [Say(piece)]
    assert reader.feed("`code` <") == [Say("`code`")]
    assert reader.feed("b") == [Say(" <b")]


FLOODS = {
    "line breaks": "\n" * 40_000,
    "backticks": "`" * 40_000,
    "backticks in words": "` a" * 13_000,
    "fences": "```\n" * 4_000,
    "tags": "<tool_use>" * 4_000,
    "brackets": "<" * 40_000,
    "end tags in the arguments": call('{"a": "' + "</tool_use>" * 3_600 + '"}'),
    "tags in the arguments": call('{"a": "' + "<tool_use>" * 3_600 + '"}'),
    "blanks behind a tag": "<tool_use>" + " " * 40_000,
    "a line in a block that nothing ends": "```\n<tool_use>" + "a" * 40_000,
    "a block that may be a call": '```json\n{"name": "' + "a\n" * 20_000,
    "blocks": '```json\n{"a": 1}\n```\n' * 4_000,
    "blocks that are calls": FORMS["fenced JSON"] * 4_000,
    "calls": f"{call()}\n" * 4_000,
    "calls in blocks that nothing ends": "~~~ xml\n<tool_use>\n" * 4_000,
    "calls behind blocks that may be calls": '```json x\n{"name":\n<tool_use>\n' * 4_000,
    "calls on a line of a block that nothing ends": f"```\n{'<tool_call>{}' * 4_000}",
    "comments in the arguments": call("{'a': " + "/* " * 8_000 + "}"),  # mended only when whole
    "blanks in disguise": f"&lt;tool_use&gt;{'&nbsp;' * 20_000}x&lt;/tool_use&gt;",
}


@pytest.mark.parametrize("size", [pytest.param(24, marks=pytest.mark.no_cover), 10**6])  # the smaller is the slower
@pytest.mark.parametrize("name", FLOODS)
def test_four_times_as_much_takes_about_four_times_as_long(name: str, size: int) -> None:
    """Sixteen times would be the sign of a text that is read again for every piece, or for everything in it."""

    def seconds(text: str) -> float:
        reader = CallReader(KNOWN)
        began = time.process_time()
        for at in range(0, len(text), size):
            reader.feed(text[at : at + size])
        reader.finish()
        return time.process_time() - began

    flood = FLOODS[name]
    quarter = min(seconds(flood[: len(flood) // 4]) for _ in range(2))
    assert any(seconds(flood) < 10 * quarter + 0.01 for _ in range(2))


pieces = st.lists(
    st.sampled_from([*FORMS.values(), *TEXTS, "\n", " ", "word ", "`", "```\n", "<", "{", "&lt;", "\n\n"])
    | st.text(CHARACTERS, max_size=8),
    max_size=5,
).map("".join)


@given(pieces, st.data())
@example("<tool_use>```\n<tool_use>", None)
@example('```\n\n```json\n{"name": "weather", "arguments": {"city": "Paris"}}\n```', None)
def test_where_the_pieces_end_makes_no_difference(text: str, data: st.DataObject | None) -> None:
    whole = read(text)
    assert read(*text) == whole
    if data is not None and text:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
        parts = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert read(*parts) == whole


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(CHARACTERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(CHARACTERS, max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(CHARACTERS, max_size=8), json_values, max_size=4))
@example({"a": "</arguments>\n</tool_use>\n<tool_use>", "b": '"'})
def test_every_call_that_we_write_is_read_back(arguments: dict[str, Any]) -> None:
    written = CherryScheme().write_call("weather", json.dumps(arguments, ensure_ascii=False))
    assert read(f"Well. {written}") == ("Well.", [("weather", arguments)])


@pytest.mark.parametrize("key", ["name", "tool_name", "tool", "function"])
def test_json_that_cannot_be_read_is_a_call_all_the_same_if_it_names_the_tool(key: str) -> None:
    assert read(f'<tool_call>{{"{key}": "weather", oops</tool_call>') == ("", [("weather", None)])

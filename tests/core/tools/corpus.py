"""What models write: outputs with the text and the calls that they mean. One row is (output, text, calls).

Well-formed and sloppy forms come with text around them, alone, and twice; then arguments of every kind, texts that are
no call, and outputs made to confuse.
"""

import json
from typing import Any

from tests.core.tools.test_reader import ARGUMENTS, FORMS, OPEN_ENDED, PARIS, TEXTS, call

Row = tuple[str, str, list[tuple[str, dict[str, Any] | None]]]
ONE: list[tuple[str, dict[str, Any] | None]] = [("weather", PARIS)]
LONG = {"path": "a.txt", "content": 'line of a file, with <tags> and "quotes" 中文 🎈\n' * 2000}


def _strict(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False)


ONE_LINE = call().replace("\n", "")
JSON_CALL = '{"name": "weather", "arguments": {"city": "Paris"}}'
TRICKY: dict[str, Row] = {
    "a call in a text of the arguments": (
        call(_strict({"content": call()}), "write_file"), "", [("write_file", {"content": call()})]
    ),
    "a result in a text of the arguments": (
        call(_strict({"content": "<tool_use_result>x</tool_use_result>"}), "write_file"),
        "",
        [("write_file", {"content": "<tool_use_result>x</tool_use_result>"})],
    ),
    "end tags in a text, twice": (
        call(_strict({"content": "</tool_use></arguments></tool_use>"}), "write_file"),
        "",
        [("write_file", {"content": "</tool_use></arguments></tool_use>"})],
    ),
    "nested quotes": (
        call(_strict({"content": 'say "it\'s \\"here\\""'}), "write_file"),
        "",
        [("write_file", {"content": 'say "it\'s \\"here\\""'})],
    ),
    "Chinese before and inside": (f"我来查一下。\n{call(_strict({'city': '巴黎'}))}", "我来查一下。", [("weather", {"city": "巴黎"})]),
    "emoji before and inside": (f"Let me see 🎈 {call(_strict({'city': '🗼'}))}", "Let me see 🎈", [("weather", {"city": "🗼"})]),
    "a hundred kilobytes": (call(_strict(LONG), "write_file"), "", [("write_file", LONG)]),
    "backslashes": (call('{"path": "C:\\\\new\\\\table"}', "write_file"), "", [("write_file", {"path": "C:\\new\\table"})]),
    "escapes": (call('{"a": "\\u00e9\\n\\t\\/"}'), "", [("weather", {"a": "é\n\t/"})]),
    "numbers": (call('{"a": 1e3, "b": -0.5, "c": 12345678901234567890}'), "", [("weather", {"a": 1000.0, "b": -0.5, "c": 12345678901234567890})]),
    "deep": (call('{"a": ' + '{"b": ' * 20 + "1" + "}" * 21), "", [("weather", json.loads('{"a": ' + '{"b": ' * 20 + "1" + "}" * 21))]),
    "five calls": (call() * 5, "", ONE * 5),
    "calls in two forms": (call() + '<tool_call>{"name": "x", "arguments": {}}</tool_call>', "", [*ONE, ("x", {})]),
    "words between calls": (f"a {call()} then {call()} done", "a", ONE * 2),
    "an example, then a call": (f"Like this:\n```\n{call()}\n```\n{call()}", f"Like this:\n```\n{call()}\n```", ONE),
    "inline code, then a call": (f"I use `<tool_use>`: {call()}", "I use `<tool_use>`:", ONE),
    "an open backtick, then a call": (f"it`s time\n{call()}", "it`s time", ONE),
    "less and greater": (f"1 < 2 > 0 && a <b> {call()}", "1 < 2 > 0 && a <b>", ONE),
    "a tag that is none": (f"<tool_user> {call()}", "<tool_user>", ONE),
    "an empty call": ("<tool_use></tool_use>", "<tool_use></tool_use>", []),
    "a call without a name": ("<tool_use><name></name><arguments>{}</arguments></tool_use>",) * 2 + ([],),
    "a name alone": ("<tool_use><name>weather</name></tool_use>", "", [("weather", {})]),
    "a name with blanks": ("<tool_use><name>\n weather \n</name><arguments>{}</arguments></tool_use>", "", [("weather", {})]),
    "an unknown tool": (call(name="launch"), "", [("launch", PARIS)]),
    "the missing end before another": (call().removesuffix("\n</tool_use>") + "\n" + call(), "", ONE * 2),
    "a stray end tag": (f"a </tool_use> b {call()}", "a </tool_use> b", ONE),
    "a comment in the arguments": (call('{"city": "Paris" /* capital */}'), "", ONE),
    "two parameters": (
        "<function=write_file>\n<parameter=path>\na.txt\n</parameter>\n<parameter=content>\nif a < b:\n  \"x\"\n</parameter>\n</function>",
        "",
        [("write_file", {"path": "a.txt", "content": 'if a < b:\n  "x"'})],
    ),
    "a parameter with JSON": (
        '<function=weather><parameter=days>[1, 2]</parameter></function>', "", [("weather", {"days": [1, 2]})]
    ),
    "a parameter with a number": ("<function=weather><parameter=days>3</parameter></function>", "", [("weather", {"days": "3"})]),
    "no parameters": ("<tool_call><function=weather></function></tool_call>", "", [("weather", {})]),
    "prose in a tag": ("<tool_call>I will look it up</tool_call>",) * 2 + ([],),
    "a fence with another language": ("```python\ndef f():\n    pass\n```",) * 2 + ([],),
    "two fences": ("```\na\n```\n\n```\nb\n```\n",) * 2 + ([],),
    "a table": ("| a | b |\n|---|---|\n| < | > |\n",) * 2 + ([],),
    "HTML": ("<div><p>Hello &lt;you&gt; &amp; me</p></div>",) * 2 + ([],),
    "mathematics": ("a<b, b<=c, c<tool, $x<f(x)$",) * 2 + ([],),
    "a long text": ("word " * 5000 + "end",) * 2 + ([],),
    "a long line with backticks": ("word " * 100 + "`code " * 100 + "<tool_use> `" + " more" * 100,) * 2 + ([],),
    "a long line, then a call": ("word " * 200 + "`a` " + call(), "word " * 200 + "`a`", ONE),
    "a long line with open backticks, then a call": ("word " * 200 + "`a" + " b" * 200 + "\n" + call(), "word " * 200 + "`a" + " b" * 200, ONE),
    "a long line in a fence": ("```\n" + "<tool_use>" * 100 + "\n```\nend",) * 2 + ([],),
    "ticks after a long line": ("word " * 200 + "```\n" + call(), "word " * 200 + "```", ONE),
    "an odd backtick on the line of a call": (f"Let`s look: {call()}", "Let`s look:", ONE),
    "a block that nothing ends, then a call": (f"```python\nx = 1\n{call()}", "```python\nx = 1", ONE),
    "an example in a block that opens in mid-line": (f"Here: ```xml\n{call()}\n```\nDone.",) * 2 + ([],),
    "an example in a block in a longer block": (f"````md\n```xml\n{call()}\n```\n````\nDone.",) * 2 + ([],),
    "a whole example in backticks": (f"Write `{ONE_LINE}` to call.",) * 2 + ([],),
    "a whole example in two backticks": (f"Write ``{ONE_LINE}`` to call.",) * 2 + ([],),
    "an open backtick, then a call on its line": (f"I use `x: {ONE_LINE} now", "I use `x:", ONE),
    "no end of the name": ('<tool_use><name>weather\n<arguments>{"city": "Paris"}</arguments></tool_use>', "", ONE),
    "arguments before the name": ('<tool_use><arguments>{"city": "Paris"}</arguments><name>weather</name></tool_use>', "", ONE),
    "a list of calls": (f"<tool_call>[{JSON_CALL}, {JSON_CALL}]</tool_call>", "", ONE * 2),
    "two objects in one call": (f"<tool_call>{JSON_CALL}\n{JSON_CALL}</tool_call>", "", ONE * 2),
    "a list of calls in a block": (f"```json\n[{JSON_CALL}]\n```", "", ONE),
    "two blocks with a call each": (f"```json\n{JSON_CALL}\n```\n```json\n{JSON_CALL}\n```", "", ONE * 2),
    "a form inside another": (f"<tool_use>\n<tool_call>{JSON_CALL}</tool_call>\n</tool_use>", "", ONE),
    "a function in prose": ("<function=x> is no tag, and <function=weather> is none here.",) * 2 + ([],),
    "a function with a namespace": ("<function=functions.weather><parameter=city>Paris</parameter></function>", "", [("functions.weather", PARIS)]),
    "a tag in prose": ("I would write <tool_use> and go on, or <tool_call> too.",) * 2 + ([],),
    "quotes that nobody escaped": (call('{"city": "the "old" Paris"}'), "", [("weather", {"city": 'the "old" Paris'})]),
    "prose in braces": (call("{I think Paris}"), "", [("weather", None)]),
    "braces in prose": (call("I use {braces}"), "", [("weather", None)]),
    "entities inside plain tags": (call("{&quot;city&quot;: &quot;Paris&quot;}"), "", ONE),
    "null for arguments": (call("null"), "", [("weather", {})]),
    "null for arguments in JSON": ('<tool_call>{"name": "weather", "arguments": null}</tool_call>', "", [("weather", {})]),
    "nothing but blanks": ("\n\n  ",) * 2 + ([],),
    "emoji": ("👩‍👩‍👧‍👦 <3",) * 2 + ([],),
    "right to left": ("שלום <b>עולם</b>",) * 2 + ([],),
}  # fmt: skip

CORPUS: dict[str, Row] = {
    **{f"{name}, alone": (form, "", ONE) for name, form in FORMS.items()},
    **{f"{name}, after words": (f"I look.\n{form}", "I look.", ONE) for name, form in FORMS.items()},
    **{
        f"{name}, twice": (f"{form}\n\n{form}", "", ONE * 2)
        for name, form in FORMS.items()
        if not any(word in name for word in OPEN_ENDED)
    },
    **{f"arguments: {name}": (call(written), "", [("weather", meant)]) for name, (written, meant) in ARGUMENTS.items()},
    **{f"text {number}": (text, text, []) for number, text in enumerate(TEXTS)},
    **TRICKY,
}

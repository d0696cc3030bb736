"""Calls are checked against the client's schema; what is safe to mend is mended, the rest is told."""

import json
import time
from typing import Any

import pytest

from app.core.tools.checking import check
from app.core.tools.definitions import ReadCall, Tool
from app.core.tools.names import meant_name

TOOLS = [Tool(name) for name in ("get_weather", "get_time", "files__read", "web.search", "send")]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("get_weather", "get_weather"),
        ("Get_Weather", "get_weather"),
        ("getWeather", "get_weather"),
        ("get-weather", "get_weather"),
        ("read", "files__read"),
        ("files.read", "files__read"),
        ("search", "web.search"),
        ("mcp__send", "send"),
        ("get_weathr", None),
        ("set_time", None),
        ("launch_rocket", None),
        ("get", None),
        ("", None),
    ],
)
def test_a_near_miss_is_mended_only_if_it_can_mean_no_other(written: str, meant: str | None) -> None:
    assert meant_name(written, [tool.name for tool in TOOLS]) == meant


def test_two_tools_that_a_name_may_mean_are_neither() -> None:
    assert meant_name("read", ["a__read", "b__read", "Same", "same_"]) is None
    assert meant_name("SAME", ["Same", "same"]) is None
    assert meant_name("functions.get.time", ["time", "get.time"]) is None


def one(
    schema: dict[str, Any], value: Any, *, required: bool = True, root: dict[str, Any] | None = None
) -> tuple[Any, int, int]:
    """Return the mended value, how much was mended, and how many problems are left."""
    whole = {"type": "object", "properties": {"v": schema}, "required": ["v"] if required else [], **(root or {})}
    checked = check(ReadCall("t", {"v": value}, ""), [Tool("t", "", whole)])
    return json.loads(checked.arguments).get("v", "gone"), len(checked.mended), len(checked.problems)


@pytest.mark.parametrize(
    ("schema", "written", "meant"),
    [
        ({"type": "integer"}, "3", 3),
        ({"type": "integer"}, 3.0, 3),
        ({"type": "number"}, "3", 3),
        ({"type": "number"}, "2.5", 2.5),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "False", False),
        ({"type": "string"}, 3, "3"),
        ({"type": "array", "items": {"type": "string"}}, "a", ["a"]),
        ({"type": "array", "items": {"type": "integer"}}, ["1", 2], [1, 2]),
        ({"type": "array"}, '["a", "b"]', ["a", "b"]),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"type": ["integer", "null"]}, "3", 3),
        ({"$ref": "#/$defs/n"}, "3", 3),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": "1"}, {"a": 1}),
        ({"type": "string"}, True, "true"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "3", 3),
        ({"oneOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}, "3", 3),
        ({"allOf": [{"$ref": "#/$defs/n"}]}, "3", 3),
        (
            {"anyOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"type": "null"}]},
            {"a": "1"},
            {"a": 1},
        ),
        ({"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}, ["1"], [1]),
    ],
)
def test_what_means_the_same_in_another_type_is_mended(schema: dict[str, Any], written: Any, meant: Any) -> None:
    value, mended, problems = one(schema, written, root={"$defs": {"n": {"type": "integer"}}})
    assert (value, mended, problems) == (meant, 1, 0)
    assert type(value) is type(meant)


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": "integer"}, "three"),
        ({"type": "integer"}, 2.5),
        ({"type": "integer"}, True),
        ({"type": "boolean"}, 1),
        ({"type": "string"}, {"a": 1}),
        ({"type": "string"}, None),
        ({"type": "array"}, {"a": 1}),
        ({"enum": ["a", "b"]}, "c"),
        ({"type": "string", "minLength": 3}, "a"),
        ({"$ref": "#/$defs/n"}, "x"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x"),
    ],
)
def test_what_does_not_is_a_problem_and_stays(schema: dict[str, Any], written: Any) -> None:
    assert one(schema, written, root={"$defs": {"n": {"type": "integer"}}}) == (written, 0, 1)


def test_null_for_something_optional_is_left_out() -> None:
    assert one({"type": "string"}, None, required=False) == ("gone", 1, 0)
    assert one({"type": ["string", "null"]}, None, required=False) == (None, 0, 0)
    assert one({}, None, required=False) == (None, 0, 0)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such type"},
        {"type": 5},
        {"required": 5},
        {"enum": 5},
        {"properties": 5},
        {"anyOf": {}},
        {"$ref": "https://example.org/never-fetched.json"},
        {"properties": {"v": {"$ref": "#/nowhere"}}},
        {"$ref": "#"},
    ],
)
def test_a_schema_that_cannot_be_used_asks_for_nothing(schema: dict[str, Any]) -> None:
    assert check(ReadCall("t", {"v": 1}, ""), [Tool("t", "", schema)]).problems == ()


def test_problems_say_where_and_what() -> None:
    tool = Tool("t", "", {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}})
    (problem,) = check(ReadCall("t", {"a": [1, "x"]}, ""), [tool]).problems
    assert problem == "In the arguments of t at a[1]: 'x' is not of type 'integer'."
    (problem,) = check(ReadCall("nobody", {}, ""), [tool]).problems
    assert problem == "There is no tool nobody; the tools are: t."
    (problem,) = check(ReadCall("t", None, "prose"), [tool]).problems
    assert problem == "The arguments of t are not a whole JSON object."


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e999, "half a pair \ud83d", {"\ud83d": 1}])
def test_what_json_cannot_say_is_a_problem(value: Any) -> None:
    checked = check(ReadCall("t", {"v": value}, "raw"), [Tool("t")])
    assert checked.problems == ("The arguments of t hold what JSON cannot say.",)


def test_a_pattern_that_would_never_end_is_told_to_the_model_but_not_checked() -> None:
    slow = {"type": "string", "pattern": "^(a+)+$"}
    by_name = {"patternProperties": {"^(a+)+$": {"type": "integer"}}, "additionalProperties": False}
    schema = {"type": "object", "properties": {"v": slow, "w": by_name, "pattern": {"type": "integer"}}}
    arguments = {"v": "a" * 40 + "!", "w": {"a" * 40 + "!": 1}, "pattern": "x"}
    checked = check(ReadCall("t", arguments, ""), [Tool("t", "", schema)])
    assert [problem.partition(":")[0] for problem in checked.problems] == ["In the arguments of t at pattern"]


@pytest.mark.parametrize("way", ["allOf", "anyOf", "oneOf"])
def test_a_schema_that_asks_for_itself_does_no_harm(way: str) -> None:
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {way: [{"$ref": "#/$defs/a"}, {"type": "object"}]}}}
    assert json.loads(check(ReadCall("t", {"v": 1}, ""), [Tool("t", "", schema)]).arguments) == {"v": 1}


def doubling(step: Any) -> dict[str, Any]:
    """Return a schema of 1 or 2 KB whose every level asks twice for the next one."""
    levels = {f"d{n}": step({"$ref": f"#/$defs/d{n + 1}"}) for n in range(30)}
    return {"$ref": "#/$defs/d0", "$defs": {**levels, "d30": {"required": ["u"]}}}


GREEDY = (
    doubling(lambda next_: {"allOf": [next_, next_]}),
    doubling(lambda next_: {"anyOf": [next_, next_, {"type": "integer"}]}),
    doubling(lambda next_: {"oneOf": [next_, next_]}),
    doubling(lambda next_: {"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [next_, next_]}),
    {"unevaluatedProperties": False, **doubling(lambda next_: {"dependentSchemas": {"v": next_, "w": next_}})},
)


@pytest.mark.parametrize(
    "schema",
    [
        *(pytest.param(schema, marks=pytest.mark.no_cover) for schema in GREEDY),  # for their volume
        {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 20}}},
    ],
)
def test_a_small_schema_that_asks_for_more_and_more_is_given_up(
    schema: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    began = time.process_time()
    checked = check(ReadCall("t", {"v": 1, "w": 2}, ""), [Tool("t", "", schema)])
    assert time.process_time() - began < 60, "following all of it takes hours; this takes some seconds, also under load"
    assert (json.loads(checked.arguments), checked.mended) == ({"v": 1, "w": 2}, ())
    assert "cannot be followed" in caplog.text


def test_many_small_objects_are_checked_to_the_last() -> None:
    item = {"type": "object", "properties": {key: {"type": "string"} for key in "abcd"}, "required": ["a"]}
    schema = {"properties": {"v": {"type": "array", "items": {"$ref": "#/$defs/item"}}}, "$defs": {"item": item}}
    values: list[dict[str, str]] = [dict.fromkeys("abcd", "x") for _ in range(2000)]
    (problem,) = check(ReadCall("t", {"v": [*values, {}]}, ""), [Tool("t", "", schema)]).problems
    assert problem == "In the arguments of t at v[2000]: 'a' is a required property."

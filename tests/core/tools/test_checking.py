"""Calls are checked against the client's schema; what is safe to mend is mended, the rest is told."""

import json
from typing import Any

import pytest

from app.core.tools.checking import check, offered_name
from app.core.tools.definitions import ReadCall, Tool

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
    assert offered_name(written, TOOLS) == meant


def test_two_tools_that_a_name_may_mean_are_neither() -> None:
    alike = [Tool("a__read"), Tool("b__read"), Tool("Same"), Tool("same_")]
    assert offered_name("read", alike) is None
    assert offered_name("SAME", [Tool("Same"), Tool("same")]) is None


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
    assert problem == "The arguments of t are not a JSON object."

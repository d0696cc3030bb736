"""Decode bodies once, strictly, with errors that name the field."""

import re
from collections.abc import Mapping, Sequence
from typing import Generic, NoReturn, TypeVar

import msgspec

from app.errors import InvalidRequest

_MOST_MESSAGES = 20_000  # reading so many takes about half a second, in which nobody else is served
_LONGEST_STOP = 1_000  # characters; every piece of an answer is looked through for the beginning of one
_Body = TypeVar("_Body", bound=msgspec.Struct)
_HALF_CHARACTER = re.compile(rb"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|[c-fC-F])")
_KINDS = {
    "int | null": "a whole number",
    "bool | null": "true or false",
    "str | null": "a text",
    "str | array | null": "a text or a list",
    "str | array": "a text or a list",
    "object | null": "an object",
    "array | null": "a list",
    "str | object | null": "a text or an object",
    "str": "a text",
    "int": "a whole number",
    "float": "a number with a fraction",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_names_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class BodyDecoder(Generic[_Body]):
    """Decodes the bodies of one route, and names the fields that its struct does not have.

    `roles` are those that its messages may have. Two passes: whatever is ignored stays bytes, however large it is, and
    a fault is told with its place.
    """

    def __init__(self, kind: type[_Body], *, roles: str = "") -> None:
        self._roles = roles
        self._decoder = msgspec.json.Decoder(kind)
        self._known = frozenset(kind.__struct_fields__)

    def decode(self, body: bytes) -> tuple[_Body, tuple[str, ...]]:
        """Return a decoded body and the names of the fields that are ignored. Raises InvalidRequest with `param`."""
        try:
            names = _names_decoder.decode(body)
            parsed = self._decoder.decode(body)
        except msgspec.ValidationError as problem:
            _refuse_shape(problem, self._roles)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            half = _HALF_CHARACTER.search(body)
            hint = " A text in it may have been cut in the middle of a character, such as an emoji." if half else ""
            raise InvalidRequest(f"The request body is not valid JSON: {problem}.{hint}") from None
        except RecursionError:
            raise InvalidRequest("The request body is nested too deeply.") from None
        known = self._known
        return parsed, tuple([name for name, value in names.items() if name not in known and not _is_null(value)])


def check_count(count: int, field: str, kind: str) -> None:
    """Raise InvalidRequest for more messages or items than can be read."""
    if count > _MOST_MESSAGES:
        raise InvalidRequest(f"'{field}' holds {count:,} {kind}; at most {_MOST_MESSAGES:,} are possible.", param=field)


def check_limit(tokens: int | None, field: str) -> None:
    """Raise InvalidRequest for a limit of an answer that leaves no room for one."""
    if tokens is not None and tokens < 1:
        raise InvalidRequest(f"'{field}' must be 1 or more.", param=field)


def checked_stops(stops: Sequence[str], field: str, most: int) -> tuple[str, ...]:
    """Return the texts that end an answer. Raises InvalidRequest for more than can be looked for."""
    if len(stops) > most or not all(0 < len(stop) <= _LONGEST_STOP for stop in stops):
        raise InvalidRequest(f"'{field}' holds at most {most} texts of 1 to {_LONGEST_STOP:,} characters.", param=field)
    return tuple(stops)


def decode_fields(fields: Mapping[str, str], kind: type[_Body]) -> tuple[_Body, tuple[str, ...]]:
    """Return a form's decoded fields and the names of those that are ignored. Raises InvalidRequest with `param`."""
    try:
        parsed = msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as problem:
        _refuse_shape(problem)
    return parsed, tuple(name for name in fields if name not in parsed.__struct_fields__)


def _is_null(value: msgspec.Raw) -> bool:
    return bytes(memoryview(value)[:5]) == b"null"  # not all of it, which may be large


def _refuse_shape(problem: msgspec.ValidationError, roles: str = "") -> NoReturn:
    """Say which field is wrong, in the words of the decoder."""
    text, _, path = str(problem).partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    missing = re.search(r"missing required field `(\w+)`", text)
    if missing:
        path = f"{path}.{missing[1]}".lstrip(".")
        raise InvalidRequest(f"'{path}' is missing.", param=path) from None
    where = f"'{path}': " if path else "The request body: "
    if roles and path.endswith(".role"):
        text = f"{text}; the roles are {roles}"
    for name, words in _KINDS.items():
        text = text.replace(f"`{name}`", words)
    raise InvalidRequest(f"{where}{text[:1].lower()}{text[1:]}.", param=path or None) from None

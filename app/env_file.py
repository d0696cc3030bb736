"""Reads `.env`, and writes settings into it: in one step, for its owner only, with every other line as it was."""

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream

ENCODING = "utf-8-sig"  # some editors write a mark of three bytes before the text


@dataclass(frozen=True, slots=True)
class Line:
    """A line that holds something: without `name` it cannot be read, without `value` there is no `=` in it.

    Anything in it may be a secret that was put into the wrong place, so it shows only its number.
    """

    number: int
    name: str | None = field(repr=False)
    value: str | None = field(repr=False)


def read_lines(path: Path) -> list[Line]:
    """Return what a file holds, line by line. Raises OSError or UnicodeDecodeError."""
    lines = []
    with path.open(encoding=ENCODING) as stream:
        for found in parse_stream(stream):
            if found.error or found.key is not None:
                text = found.original.string
                blank_lines = text[: len(text) - len(text.lstrip())].count("\n")
                lines.append(Line(found.original.line + blank_lines, found.key, found.value))
    return lines


def read_values(path: Path) -> dict[str, str]:
    """Return the settings of a file, the last of each name. Raises OSError or UnicodeDecodeError."""
    return {line.name: line.value for line in read_lines(path) if line.name is not None and line.value is not None}


def put_values(path: Path, values: Mapping[str, str]) -> None:
    """Set these settings in a file, each where it stood, new ones at the end; the file then has mode 0600.

    Raises OSError or UnicodeDecodeError if the file cannot be written; it is then as it was.
    """
    target = path.resolve()  # a link stays one
    try:
        text = target.read_bytes().decode(ENCODING)
    except FileNotFoundError:
        text = ""
    _replace(target, with_values(text, values))


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return the text of a `.env` file with these settings; of a setting that stands twice one line stays."""
    ending = "\r\n" if "\r\n" in text else "\n"
    left = dict(values)
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        found = re.match(r"(\s*(?:export\s+)?)(\w+)\s*=", line)
        if found is None or found[2] not in values:
            lines.append(line)
        elif (value := left.pop(found[2], None)) is not None:
            lines.append(f"{found[1]}{found[2]}={_quoted(value)}{ending}")
    if left and lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += ending
    return "".join([*lines, *(f"{name}={_quoted(value)}{ending}" for name, value in left.items())])


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # else a power cut may bring the old file back
        finally:
            os.close(folder)

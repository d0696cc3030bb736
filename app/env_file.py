"""Writes settings into `.env`: in one step, for its owner only, with every other line as it was."""

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path


def put_values(path: Path, values: Mapping[str, str]) -> None:
    """Set these settings in a file, each where it stood, new ones at the end; the file then has mode 0600.

    Raises OSError or UnicodeDecodeError if the file cannot be written; it is then as it was.
    """
    target = path.resolve()  # a link stays one
    try:
        text = target.read_bytes().decode("utf-8")
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

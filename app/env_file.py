"""Change values in `.env`, in one step and for its owner only; every other line stays as it is."""

import contextlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path


def change(path: Path, values: Mapping[str, str]) -> None:
    """Set values, each in the place of its old line or at the end. Raises OSError or UnicodeDecodeError.

    Where the file cannot be replaced, since it is mounted by itself into a container, it is written over.
    """
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    left = dict(values)
    kept = []
    for line in lines:
        name = re.match(r"\s*(?:export\s+)?(\w+)\s*=", line)
        if name is None or name[1] not in values:
            kept.append(line)
        elif name[1] in left:
            kept.append(_line(name[1], left.pop(name[1])))
    text = "\n".join([*kept, *(_line(name, value) for name, value in left.items())]) + "\n"
    try:
        _replace(path, text)
    except OSError:
        if not path.exists():
            raise
        _write_over(path, text)


def _line(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'"


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _write_over(path: Path, text: str) -> None:
    with path.open("r+", encoding="utf-8") as file:
        file.write(text)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(OSError):
        path.chmod(0o600)

"""Journals: files of JSON lines, so that one change costs one line.

A kill at any moment leaves at most a torn last line, which is dropped.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def read(path: Path) -> Iterator[Any]:
    """Read the records that are whole; a file that does not exist has none."""
    if not path.exists():
        return
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue  # torn by a kill


def append(path: Path, records: Iterable[dict[str, Any]], *, safely: bool = False) -> None:
    """Append all records or, on a full disk, none; the next one would be glued to half a line.

    `safely` waits for the disk, as a file needs that is about to replace another. Raises OSError.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(file).st_size
        left = memoryview("".join(json.dumps(record, ensure_ascii=True) + "\n" for record in records).encode())
        try:
            while left:
                left = left[os.write(file, left) :]
        except OSError:
            os.ftruncate(file, size)
            raise
        if safely:
            os.fsync(file)
    finally:
        os.close(file)


def rewrite(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Replace a journal by these records, all or nothing."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    append(fresh, records, safely=True)
    fresh.replace(path)

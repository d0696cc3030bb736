"""Statements that take any number of rows at once.

Each statement that Python runs gives the interpreter up and has to win it back from the event loop, which costs more
than a row does. So rows of a kind are written by one statement, whose text is one of a few: it has places for a power
of two of rows, and those that are left over are filled with 0.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

Row = tuple[Any, ...]
_MOST_ROWS = 64  # times the values of a row: far below what SQLite takes as parameters


class _ManyRows:
    """One statement; `write` returns its text for a number of rows. The first value of a row is not 0.

    `width` is the number of values of a row.
    """

    def __init__(self, width: int, write: Callable[[int], str]) -> None:
        self.width = width
        self._texts = tuple(write(1 << power) for power in range(_MOST_ROWS.bit_length()))

    def text(self, rows: int) -> str:
        """Return the statement with places for so many rows or more, at most 64."""
        return self._texts[(rows - 1).bit_length()]

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Write the rows; return how many were changed."""
        changed = 0
        for start in range(0, len(rows), _MOST_ROWS):
            part = rows[start : start + _MOST_ROWS]
            spare = (1 << (len(part) - 1).bit_length()) - len(part)
            values = [value for row in part for value in row]
            values += [0] * (spare * self.width)
            changed += connection.execute(self.text(len(part)), values).rowcount
        return changed


class Insert(_ManyRows):
    """INSERT INTO a table; a column whose name ends in `?` is NULL for an empty text.

    None is no faster way to say so: Python looks for a way to adapt it to SQLite, which takes longer than all texts.
    """

    def __init__(self, table: str, columns: str) -> None:
        names = columns.split(", ")
        into = f"INSERT INTO {table} ({', '.join(name.rstrip('?') for name in names)})"

        def write(rows: int) -> str:
            place, source = _place_and_source(len(names), rows)
            values = ", ".join(
                f"nullif({place.format(number)}, '')" if name.endswith("?") else place.format(number)
                for number, name in enumerate(names, 1)
            )
            where = "" if rows == 1 else "WHERE row.column1 <> 0"
            return f"{into} SELECT {values} {source} {where}"

        super().__init__(len(names), write)


class Update(_ManyRows):
    """UPDATE a table; `setting` and `where` name the values of a row in braces, as `names` has them in order."""

    def __init__(self, table: str, names: str, setting: str, *, where: str) -> None:
        listed = names.split(", ")

        def write(rows: int) -> str:
            place, source = _place_and_source(len(listed), rows)
            values = {name: place.format(number) for number, name in enumerate(listed, 1)}
            return f"UPDATE {table} SET {setting.format_map(values)} {source} WHERE {where.format_map(values)}"  # noqa: S608 - put together from constants

        super().__init__(len(listed), write)


def _place_and_source(width: int, rows: int) -> tuple[str, str]:
    """Return how a value of a row is named, by its number, and where the rows are from.

    A row alone is named by its parameters: FROM would make SQLite collect it in a table in memory before an update.
    """
    if rows == 1:
        return "?{}", ""
    one = f"({', '.join('?' * width)})"
    return "row.column{}", f"FROM (VALUES {', '.join([one] * rows)}) row"

"""Statements that take any number of rows at once.

Each statement that Python runs gives the interpreter up and has to win it back from the event loop, which costs more
than a row does. So rows of a kind are written by one statement, whose text is one of a few: it has places for a power
of two of rows, and those that are left over are filled with 0.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

Row = tuple[Any, ...]
MOST_ROWS = 64  # times the values of a row: far below what SQLite takes as parameters


class Insert:
    """INSERT INTO a table; a column whose name ends in `?` is NULL for an empty text. The first value is never 0.

    None is no faster way to say so: Python looks for a way to adapt it to SQLite, which takes longer than all texts.
    """

    def __init__(self, table: str, columns: str) -> None:
        names = columns.split(", ")
        self._width = len(names)
        into = f"INSERT INTO {table} ({', '.join(name.rstrip('?') for name in names)})"
        row = f"({', '.join('?' * self._width)})"
        many = ", ".join(_value(name, f"column{number}") for number, name in enumerate(names, 1))
        self._texts = (
            f"{into} VALUES ({', '.join(_value(name, '?') for name in names)})",  # a lone row needs no table in memory
            *(
                f"{into} SELECT {many} FROM (VALUES {', '.join([row] * 2**power)}) WHERE column1 <> 0"  # noqa: S608 - put together from constants
                for power in range(1, MOST_ROWS.bit_length())
            ),
        )

    def _text(self, rows: int) -> str:
        """Return the statement with places for so many rows or more, at most 64."""
        return self._texts[(rows - 1).bit_length()]

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Write the rows, MOST_ROWS by each statement."""
        for start in range(0, len(rows), MOST_ROWS):
            part = rows[start : start + MOST_ROWS]
            spare = (1 << (len(part) - 1).bit_length()) - len(part)
            values = [value for row in part for value in row]
            values += [0] * (spare * self._width)
            connection.execute(self._text(len(part)), values)


def _value(name: str, given: str) -> str:
    return f"nullif({given}, '')" if name.endswith("?") else given

"""Writes that may concern turns that have begun: these are written first."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from app.store.beginnings import Beginnings
from app.store.connection import Database, Values

_T = TypeVar("_T")


class Writes:
    """Runs transactions in the order in which they came, after all turns that began before them."""

    def __init__(self, database: Database, beginnings: Beginnings) -> None:
        self._database = database
        self._beginnings = beginnings

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work` as one transaction."""
        self._beginnings.write_all()
        return await self._database.write(work)

    async def execute(self, statement: str, values: Values) -> None:
        """Run one statement, which is a transaction by itself."""
        self._beginnings.write_all()
        await self._database.execute(statement, values)

    async def execute_all(self, *steps: tuple[str, Values]) -> None:
        """Run statements as one transaction."""

        def work(connection: sqlite3.Connection) -> None:
            for statement, values in steps:
                connection.execute(statement, values)

        await self.run(work)

"""Renews the account's login before it ends, also while nobody asks for anything.

docs/operating.md says to the owner when.
"""

import asyncio

from app.core.ports import Login


class TokenKeeper:
    """Sees to the login whenever it says it has to be seen to."""

    def __init__(self, login: Login) -> None:
        self._login = login

    async def keep(self) -> float:
        """Renew what is due, once; return the seconds until it should be seen to again."""
        return await self._login.keep_login()

    async def run(self) -> None:
        """Keep the login, until cancelled."""
        while True:
            wait = await self.keep()
            await asyncio.sleep(wait)

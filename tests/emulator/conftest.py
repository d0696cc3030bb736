"""One emulator for each test, with a signed-in client."""

from collections.abc import AsyncIterator

import pytest

from tests.emulator.page import Site, emulated


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with emulated() as site:
        yield site

"""One emulator and one server for each end-to-end test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.emulator import Emulator
from tests.e2e.harness import Server, emulating, serving


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with emulating() as emulator:
        yield emulator


@pytest.fixture
async def server(tmp_path: Path, emulator: Emulator) -> AsyncIterator[Server]:
    async with serving(tmp_path, emulator) as server:
        yield server

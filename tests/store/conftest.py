import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.ports import SessionStore
from tests.databases import lay_empty_database
from tests.store.making import OpenStore, Outside, sqlite_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "qwen-thread.db"


@pytest.fixture
def outside(path: Path) -> Outside:
    return Outside(path)


@pytest.fixture
def rights_count(tmp_path: Path) -> None:
    """Skip where rights keep nobody out: for an administrator, and on Windows."""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("the system lets this user write anywhere")


@pytest.fixture(params=["sqlite"])
def open_store(request: pytest.FixtureRequest, path: Path) -> OpenStore:
    """Every kind of store that there is, one after the other; a further kind is one more parameter."""
    assert request.param == "sqlite"
    return lambda: sqlite_store(path)


@pytest.fixture
async def store(open_store: OpenStore, path: Path) -> AsyncIterator[SessionStore]:
    await lay_empty_database(path)
    async with open_store() as opened:
        yield opened

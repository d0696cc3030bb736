"""The bytes of a picture that the site made: they may be gone soon, so a broken way is gone twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from app.core.pictures import picture_bytes
from app.core.ports import Upstream
from app.errors import UpstreamCut, UpstreamError, UpstreamRejected, UpstreamUnreachable
from tests.samples import PNG


class Store:
    """Gives a picture in two pieces; each problem spoils one attempt, a cut after the first piece."""

    def __init__(self, *problems: UpstreamError) -> None:
        self.problems = list(problems)
        self.asked = 0

    @asynccontextmanager
    async def download(self, url: str) -> AsyncIterator[Any]:
        self.asked += 1
        problem = self.problems.pop(0) if self.problems else None
        if problem is not None and not isinstance(problem, UpstreamCut):
            raise problem
        yield Pieces(problem)


class Pieces:
    """A download on its way."""

    content_type, size = "", len(PNG)  # the bytes say what it is, if nobody else does

    def __init__(self, problem: UpstreamError | None) -> None:
        self.problem = problem

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield PNG[:10]
        if self.problem is not None:
            raise self.problem
        yield PNG[10:]


@pytest.mark.parametrize("problem", [UpstreamUnreachable("x"), UpstreamCut("x")], ids=lambda each: type(each).__name__)
async def test_a_picture_that_did_not_come_is_asked_for_once_more(problem: UpstreamError) -> None:
    store = Store(problem)
    assert await picture_bytes(cast(Upstream, store), "https://cdn/1.png") == ("image/png", PNG)
    store = Store(problem, problem)
    with pytest.raises(type(problem)):
        await picture_bytes(cast(Upstream, store), "https://cdn/1.png")
    assert store.asked == 2


async def test_a_picture_that_is_refused_is_not_asked_for_again() -> None:
    store = Store(UpstreamRejected("gone"))
    with pytest.raises(UpstreamRejected):
        await picture_bytes(cast(Upstream, store), "https://cdn/1.png")
    assert store.asked == 1

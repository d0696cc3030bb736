"""The model list is live, cached, and stale rather than missing; names mean what the configuration says."""

import asyncio
import logging

import pytest

from app.core.catalog import ModelCatalog
from app.errors import ModelNotFound, UpstreamUnreachable
from app.tasks.background import BackgroundTasks
from tests.core.fakes import FakeClock, FakeModels, model

ALIASES = {"qwen": "qwen3-old", "coder": "qwen3-coder-plus"}
LISTED = [model("painter", general=False), model("qwen3.7-plus"), model("qwen3-coder-plus"), model("odd-thinking")]
DOWN = UpstreamUnreachable("No connection.")


def catalog(upstream: FakeModels, clock: FakeClock | None = None, default: str = "") -> ModelCatalog:
    background = BackgroundTasks(patience=1)
    return ModelCatalog(upstream, background, clock or FakeClock(), aliases=ALIASES, default=default, ttl=600)  # type: ignore[arg-type]  # it asks only for `models`


async def test_the_list_is_fetched_once_for_many_waiting_requests_and_again_when_old() -> None:
    upstream, clock = FakeModels(LISTED), FakeClock()
    listed = catalog(upstream, clock)
    await asyncio.gather(*(listed.models() for _ in range(10)))
    assert upstream.calls == 1
    clock.seconds = 601
    assert [entry.id for entry in await listed.models()] == [entry.id for entry in LISTED]
    assert upstream.calls == 2


async def test_a_list_that_cannot_be_renewed_stays_in_use_and_is_tried_again_soon() -> None:
    upstream, clock = FakeModels(LISTED, DOWN, LISTED), FakeClock()
    listed = catalog(upstream, clock)
    await listed.models()
    clock.seconds = 601
    assert len(await listed.models()) == 4
    assert len(await listed.models()) == 4
    assert upstream.calls == 2
    clock.seconds = 612
    await listed.models()
    assert upstream.calls == 3


async def test_an_old_list_serves_while_it_is_renewed_beside_the_request() -> None:
    fresh = [*LISTED, model("brand-new")]
    upstream, clock = FakeModels(LISTED, fresh, fresh), FakeClock()
    listed = catalog(upstream, clock)
    await listed.choose("coder")
    clock.seconds = 601
    assert (await listed.choose("coder")).id == "qwen3-coder-plus"
    await asyncio.sleep(0)
    assert upstream.calls == 2
    assert (await listed.choose("brand-new")).id == "brand-new"


async def test_a_name_that_an_old_list_does_not_know_is_looked_for_in_a_new_one() -> None:
    upstream, clock = FakeModels(LISTED, [*LISTED, model("brand-new")]), FakeClock()
    listed = catalog(upstream, clock)
    await listed.models()
    clock.seconds = 601
    assert (await listed.choose("brand-new")).id == "brand-new"


async def test_a_list_that_cannot_be_had_is_not_asked_for_at_every_request() -> None:
    upstream = FakeModels(DOWN)
    listed = catalog(upstream)
    for _ in range(3):
        await listed.choose("qwen")
    assert upstream.calls == 1


async def test_without_any_list_the_error_comes_out_but_chatting_still_works() -> None:
    listed = catalog(FakeModels(DOWN))
    with pytest.raises(UpstreamUnreachable):
        await listed.models()
    with pytest.raises(UpstreamUnreachable):
        await listed.find("qwen")
    assert (await listed.choose("qwen")).id == "qwen3-old"
    choice = await listed.choose("some-model-fast")
    assert (choice.id, choice.thinking, choice.info) == ("some-model", False, None)


@pytest.mark.parametrize(
    ("name", "expected", "thinking", "search"),
    [
        ("qwen3.7-plus", "qwen3.7-plus", None, False),
        ("coder", "qwen3-coder-plus", None, False),
        ("coder-thinking", "qwen3-coder-plus", True, False),
        ("qwen3.7-plus-fast", "qwen3.7-plus", False, False),
        ("qwen3.7-plus-fast-search", "qwen3.7-plus", False, True),
        ("qwen3.7-plus-search-thinking", "qwen3.7-plus", True, True),
        ("odd-thinking", "odd-thinking", None, False),
        ("odd-thinking-fast", "odd-thinking", False, False),
    ],
)
async def test_a_name_is_an_id_or_an_alias_with_suffixes(
    name: str, expected: str, thinking: bool | None, search: bool
) -> None:
    choice = await catalog(FakeModels(LISTED)).choose(name)
    assert (choice.id, choice.thinking, choice.search) == (expected, thinking, search)
    assert choice.info is not None


@pytest.mark.parametrize("name", ["nothing", "", "odd", "-thinking", "qwen3.7-plus-image"])
async def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(ModelNotFound) as refused:
        await catalog(FakeModels(LISTED)).choose(name)
    assert (refused.value.status, refused.value.param) == (404, "model")
    with pytest.raises(ModelNotFound):
        await catalog(FakeModels(LISTED)).find(name)


async def test_an_alias_whose_target_is_gone_falls_to_the_first_general_model_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listed = catalog(FakeModels(LISTED))
    with caplog.at_level(logging.WARNING):
        assert (await listed.choose("qwen")).id == "qwen3.7-plus"
        assert (await listed.choose("qwen-thinking")).id == "qwen3.7-plus"
    assert [record.getMessage() for record in caplog.records] == [
        "qwen3-old, the model behind the alias 'qwen', left the list; qwen3.7-plus is used instead"
    ]


async def test_the_configured_default_replaces_targets_that_are_gone() -> None:
    assert (await catalog(FakeModels(LISTED), default="qwen3-coder-plus").find("qwen")).id == "qwen3-coder-plus"
    assert (await catalog(FakeModels(LISTED), default="gone-too").find("qwen")).id == "qwen3.7-plus"
    assert (await catalog(FakeModels([model("painter", general=False)])).find("qwen")).id == "painter"

"""The model list is live, cached, and stale rather than missing; names mean what the configuration says."""

import asyncio
import logging

import pytest

from app.core.catalog import ModelCatalog
from app.core.modes import Mode
from app.errors import InvalidRequest, ModelNotFound, UpstreamUnreachable
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


async def test_an_error_that_many_are_told_does_not_grow_and_is_nobody_else_s() -> None:
    listed = catalog(FakeModels(DOWN))
    lengths = set()
    for _ in range(100):
        with pytest.raises(UpstreamUnreachable) as caught:
            await listed.models()
        assert not caught.value.accepted
        caught.value.accepted = True
        lengths.add(len(caught.traceback))
    assert len(lengths) == 1


@pytest.mark.parametrize(
    ("name", "expected", "thinking", "mode"),
    [
        ("qwen3.7-plus", "qwen3.7-plus", None, "chat"),
        ("coder", "qwen3-coder-plus", None, "chat"),
        ("coder-thinking", "qwen3-coder-plus", True, "chat"),
        ("qwen3.7-plus-fast", "qwen3.7-plus", False, "chat"),
        ("qwen3.7-plus-fast-search", "qwen3.7-plus", False, "search"),
        ("qwen3.7-plus-search-thinking", "qwen3.7-plus", True, "search"),
        ("coder-image", "qwen3-coder-plus", None, "image"),
        ("qwen3.7-plus-video", "qwen3.7-plus", None, "video"),
        ("qwen3.7-plus-research-research", "qwen3.7-plus", None, "research"),
        ("odd-thinking", "odd-thinking", None, "chat"),
        ("odd-thinking-fast", "odd-thinking", False, "chat"),
    ],
)
async def test_a_name_is_an_id_or_an_alias_with_suffixes(
    name: str, expected: str, thinking: bool | None, mode: Mode
) -> None:
    choice = await catalog(FakeModels(LISTED)).choose(name)
    assert (choice.id, choice.thinking, choice.mode) == (expected, thinking, mode)
    assert choice.info is not None


async def test_a_mode_may_be_asked_for_beside_the_name() -> None:
    listed = catalog(FakeModels(LISTED))
    assert (await listed.choose("coder", "search")).mode == "search"
    assert (await listed.choose("coder-search", "search")).mode == "search"


@pytest.mark.parametrize(
    ("name", "mode", "why"),
    [
        ("coder-image-search", "chat", "One answer cannot make images and search the web."),
        ("coder-image", "search", "One answer cannot make images and search the web."),
        ("coder-thinking-fast", "chat", "-thinking and -fast contradict each other."),
        (
            "coder-fast-image",
            "chat",
            "-thinking and -fast are for answers in text, not for what is to make images.",
        ),
    ],
)
async def test_what_contradicts_itself_is_refused(name: str, mode: Mode, why: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await catalog(FakeModels(LISTED)).choose(name, mode)
    assert (refused.value.status, refused.value.param, refused.value.message) == (400, "model", why)


ABLE = [
    model("talker", modes=frozenset({"chat"})),
    model("painter", modes=frozenset({"chat", "image"})),
    model("director", modes=frozenset({"chat", "image", "video"})),
    model("unknown"),
]


async def test_a_model_that_lacks_the_mode_is_refused_with_the_names_of_those_that_have_it() -> None:
    listed = catalog(FakeModels(ABLE))
    with pytest.raises(InvalidRequest) as refused:
        await listed.choose("talker-image")
    assert refused.value.message == "talker cannot make images. These models can: painter, director."
    with pytest.raises(InvalidRequest) as refused:
        await listed.choose("talker-research")
    assert refused.value.message == "talker cannot do deep research. No model of the list can."
    assert (await listed.choose("unknown-image")).mode == "image"


async def test_a_mode_has_a_model_of_its_own_where_none_is_named() -> None:
    assert await catalog(FakeModels(ABLE)).default("video") == "director"
    assert await catalog(FakeModels(ABLE), default="director").default("image") == "director"
    assert await catalog(FakeModels(ABLE), default="talker").default("image") == "painter"
    assert await catalog(FakeModels(LISTED)).default("image") == "qwen3.7-plus"
    with pytest.raises(ModelNotFound):
        await catalog(FakeModels(ABLE)).default("research")
    with pytest.raises(ModelNotFound):
        await catalog(FakeModels(DOWN)).default("image")


@pytest.mark.parametrize("name", ["nothing", "", "odd", "-thinking", "qwen3.7-plus-images"])
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

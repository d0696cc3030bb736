"""Estimates of tokens learn from upstream's counts, within bounds and model by model."""

import pytest
from msgspec.structs import replace

from app.core.budget import estimate_tokens
from app.core.events import Usage
from app.core.messages import Message
from app.core.ports import Place
from app.core.token_scale import TokenScale, Weight, continued_weight, opened_weight
from app.errors import ChatFull, ContextTooLong
from tests.core.fakes import model

TEXT = "word " * 7000  # 10,000 tokens by the estimate
PLACE = Place("k", "n", "s", "c", "r", "b", "", 1, False, None, input_tokens=12_000)


def learned(scale: TokenScale, weight: Weight, counted: int, times: int = 1) -> float:
    for _ in range(times):
        scale.learn("m", weight, Usage(counted, 1))
    return scale.factor("m")


def test_a_first_message_and_growth_move_the_factor_towards_what_was_counted() -> None:
    assert learned(TokenScale(), opened_weight(TEXT, is_pure=True), 15_000) == pytest.approx(1.15)
    told = (Message("user", "hi"), Message("assistant", TEXT))
    grown = continued_weight(TEXT, told, PLACE, is_pure=True)
    assert learned(TokenScale(), grown, 12_000 + 15_000) == pytest.approx(0.7 + 0.3 * 0.75)


def test_it_settles_at_what_is_counted_again_and_again() -> None:
    scale = TokenScale()
    assert learned(scale, opened_weight(TEXT, is_pure=True), 13_000, times=30) == pytest.approx(1.3, abs=0.001)
    assert scale.factor("another") == 1.0


@pytest.mark.parametrize(("counted", "limit"), [(900_000, 2.0), (10, 0.5)])
def test_no_count_moves_it_out_of_bounds(counted: int, limit: float) -> None:
    assert learned(TokenScale(), opened_weight(TEXT, is_pure=True), counted, times=50) == pytest.approx(limit, abs=0.01)


@pytest.mark.parametrize(
    "weight",
    [
        opened_weight(TEXT, is_pure=False),
        opened_weight("short", is_pure=True),
        continued_weight(TEXT, (), replace(PLACE, input_tokens=None), is_pure=True),
    ],
)
def test_what_is_not_only_known_text_or_too_short_teaches_nothing(weight: Weight) -> None:
    assert learned(TokenScale(), weight, 30_000) == 1.0


def test_the_context_is_checked_with_the_corrected_estimate() -> None:
    info = replace(model("m"), context_tokens=12_000)
    scale, weight = TokenScale(), opened_weight(TEXT, is_pure=True)
    scale.check(info, weight)
    learned(scale, weight, 20_000, times=3)
    with pytest.raises(ContextTooLong, match="about 16,570 tokens; the context of m takes 12,000"):
        scale.check(info, weight)
    scale.check(replace(info, context_tokens=None), weight)
    scale.check(None, weight)


def test_a_chat_that_was_never_counted_is_estimated() -> None:
    told = (Message("user", TEXT), Message("assistant", "Yes."))
    weight = continued_weight("hi", told, replace(PLACE, input_tokens=None), is_pure=True)
    assert (weight.earlier, weight.answer) == (estimate_tokens(TEXT), estimate_tokens("Yes."))
    with pytest.raises(ChatFull, match="about 10,001 in the conversation before it"):
        TokenScale().check(replace(model("m"), context_tokens=10_000), weight)


def test_a_chat_is_full_only_where_the_message_alone_would_fit() -> None:
    info = replace(model("m"), context_tokens=5_000)
    with pytest.raises(ContextTooLong) as refused:
        TokenScale().check(info, continued_weight(TEXT, (), PLACE, is_pure=True))
    assert type(refused.value) is ContextTooLong

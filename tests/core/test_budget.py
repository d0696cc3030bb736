"""A message that is too large is refused before anything is sent, with the numbers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.budget import body_bytes, check_budget, estimate_tokens
from app.errors import ContextTooLong
from tests.characters import CHARACTERS


@given(st.text(CHARACTERS))
def test_the_size_is_never_below_what_json_takes(text: str) -> None:
    assert body_bytes(text) >= len(json.dumps(text, ensure_ascii=False).encode())


def test_a_message_above_the_byte_budget_is_refused_with_both_numbers() -> None:
    with pytest.raises(ContextTooLong, match=r"102,048 bytes .* 92,160 bytes") as refused:
        check_budget("x" * 100_000, body_budget=92_160, max_tokens=96_000)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")


def test_a_message_above_the_token_budget_is_refused() -> None:
    with pytest.raises(ContextTooLong, match="about 1,143 tokens"):
        check_budget("x" * 4_000, body_budget=0, max_tokens=1_000)


def test_what_fits_passes() -> None:
    check_budget("x" * 80_000, body_budget=92_160, max_tokens=96_000)
    check_budget("字" * 20_000, body_budget=92_160, max_tokens=96_000)


def test_chinese_counts_for_more_tokens_than_english() -> None:
    assert estimate_tokens("字" * 30) == 20
    assert estimate_tokens("word " * 70) == 100

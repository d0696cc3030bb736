"""How large a message is, before it is sent: bytes exactly, tokens by an estimate (docs/limits.md)."""

import re

from app.errors import ContextTooLong

_WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_ESCAPED = re.compile(r"[\"\\\x00-\x1f]")
_CONTROL = re.compile(r"[\x00-\x07\x0b\x0e-\x1f]")
_ENVELOPE_BYTES = 2048


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text: one per 1.5 Chinese, Japanese or Korean characters, per 3.5 others."""
    wide = 0 if text.isascii() else len(_WIDE.findall(text))
    return round(wide / 1.5 + (len(text) - wide) / 3.5)


def body_bytes(text: str) -> int:
    """Return the bytes of an upstream request that carries this text, from above."""
    plain = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return plain + len(_ESCAPED.findall(text)) + 4 * len(_CONTROL.findall(text)) + _ENVELOPE_BYTES


def fits_budget(text: str, *, body_budget: int, max_tokens: int) -> bool:
    """Say whether a message is below the budgets."""
    try:
        check_budget(text, body_budget=body_budget, max_tokens=max_tokens)
    except ContextTooLong:
        return False
    return True


def check_budget(text: str, *, body_budget: int, max_tokens: int) -> None:
    """Raise ContextTooLong with the numbers if a message is above one of the budgets (`body_budget` 0: no limit)."""
    if body_budget and len(text) * 4 + _ENVELOPE_BYTES > body_budget and (size := body_bytes(text)) > body_budget:
        raise ContextTooLong(
            f"This message would be {size:,} bytes upstream; at most {body_budget:,} bytes pass (BODY_BUDGET).",
            param="messages",
        )
    if len(text) > max_tokens and (tokens := estimate_tokens(text)) > max_tokens:
        raise ContextTooLong(
            f"This message holds about {tokens:,} tokens; at most {max_tokens:,} pass (MAX_INPUT_TOKENS).",
            param="messages",
        )

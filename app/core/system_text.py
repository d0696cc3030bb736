"""The identity of a system prompt: its text with dates and times masked (docs/sessions.md, System prompt).

Clients write the clock into their system prompt at every request; that is no change of instructions. Numbers are
masked only inside a recognised date or time, so "at most 100 words" against "at most 50 words" stays a change.
"""

import re
from collections.abc import Iterable

from app.core.canonical import digest, squeeze

_MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?"
)
_WEEKDAYS = "mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:rs(?:day)?)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"
_CLOCK = r"\d{1,2}[:：]\d{2}(?:[:：]\d{2}(?:[.,]\d{1,9})?)?"
_ZONE = r"(?:z|utc|gmt)?(?:\s*[+-]\d{1,2}(?::?\d{2})?)?(?![a-z0-9])"
_TIME = rf"{_CLOCK}(?:\s*[ap]\.?m\.?(?![a-z]))?(?:\s*{_ZONE})?"
_YEAR = r"(?:\s*(?:,\s*)?\d{4})?"  # blanks twice in a row would be shared out in every way
_MOST_MASKED = 500_000  # characters; they take up to a second, in which nobody else is served
_FORMS = {  # by how they begin
    r"(?=\d)": (
        rf"\d{{4}}-\d{{1,2}}-\d{{1,2}}(?:[t\s]+{_TIME})?",
        r"\d{4}\s*年\s*(?:\d{1,2}\s*月\s*(?:\d{1,2}\s*[日号])?)?",
        r"\d{1,2}\s*月\s*\d{1,2}\s*[日号]",
        r"(?<![\d./])(?:\d{4}/\d{1,2}/\d{1,2}|\d{1,2}/\d{1,2}/(?:\d{4}|\d{2}))(?![\d/])",
        r"(?<![\d.])(?:(?:19|20)\d{2}\.\d{1,2}\.\d{1,2}|\d{1,2}\.\d{1,2}\.(?:19|20)\d{2})(?![\d])",
        rf"\d{{1,2}}(?:st|nd|rd|th)?\.?\s+(?:of\s+)?(?:{_MONTHS})\.?{_YEAR}(?![a-z0-9])",
        r"\d{1,2}\s*[点时]\s*\d{1,2}\s*分(?:\s*\d{1,2}\s*秒)?",
        _TIME,
        r"\d{1,2}\s*[ap]\.?m\.?(?![a-z])",
    ),
    r"(?=[a-z])(?<![a-z])": (
        rf"(?:{_MONTHS})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?{_YEAR}(?![a-z0-9])",
        rf"(?:{_WEEKDAYS})(?![a-z])",
    ),
    r"(?=[上下凌早中晚星周礼])": (
        r"(?:[上下]午|凌晨|早上|中午|晚上)\s*\d{1,2}\s*[:：点时]\s*(?:\d{1,2}\s*分?)?(?:[:：]?\s*\d{1,2}\s*秒?)?",
        r"(?:星期|周|礼拜)[一二三四五六日天]",
    ),
}
_DATE_OR_TIME = re.compile("|".join(f"{begin}(?:{'|'.join(forms)})" for begin, forms in _FORMS.items()), re.IGNORECASE)


def joined(texts: Iterable[str]) -> str:
    """Join the texts of all system messages, raw, in their order."""
    return "\n\n".join([text for text in texts if text.strip()])


def chained(known: str, added: str) -> str:
    """Return the identity of system messages that came one after the other: those so far, and one more."""
    return digest("system-2", known, added) if known and added else known or added


def parts_digest(lasting: str, passing: str) -> str:
    """Return the identity of a prompt in two parts, given their digests; "" for neither.

    System messages stay in force, instructions are for one answer.
    """
    return f"{lasting}/{passing}" if lasting or passing else ""


def parts_of(digest_of_prompt: str) -> tuple[str, str]:
    """Return the digests of both parts; a prompt that came in one stays in force."""
    lasting, _, passing = digest_of_prompt.partition("/")
    return lasting, passing


def is_same_prompt(one: str, other: str) -> bool:
    """Say whether two prompts read the same, in one part or in the only one of two."""
    return one == other or (is_in_parts(one) != is_in_parts(other) and one.strip("/") == other.strip("/"))


def is_in_parts(digest_of_prompt: str) -> bool:
    """Say whether a prompt came in two parts."""
    return "/" in digest_of_prompt


def system_digest(text: str) -> str:
    """Return the identity of a system prompt; "" for none."""
    masked = squeeze(_DATE_OR_TIME.sub("\0", text) if len(text) <= _MOST_MASKED else text)
    masked = re.sub("\0[,，]?(?=\0)", "", masked)
    return digest("system-1", masked) if masked else ""

"""The tags of calls as models write them: blanks and capitals, full-width brackets, entities (docs/tools.md, Forms)."""

import html
import re
from typing import Literal

from msgspec import Struct

Kind = Literal["tool_use", "tool_call", "function"]

_LT, _GT, _SLASH, _BLANK = r"(?:<|＜|&lt;)", r"(?:>|＞|&gt;)", r"(?:/|／)", r"\s{0,8}"
LONGEST_TAG = 120  # characters
OPENING = re.compile(
    rf"{_LT}{_BLANK}(?P<tag>tool_use|tool_call){_BLANK}{_GT}"
    rf"|{_LT}{_BLANK}function{_BLANK}={_BLANK}[\"']?(?P<function>[\w.:/-]{{1,64}})[\"']?{_BLANK}{_GT}",
    re.I,
)
END = re.compile(rf"{_LT}{_BLANK}{_SLASH}{_BLANK}(?P<end>tool_use|tool_call|function){_BLANK}{_GT}", re.I)
_ARGUMENT_NAMES = r"(?:arguments|args|parameters|params|input)"
ARGUMENTS = re.compile(rf"{_LT}{_BLANK}{_ARGUMENT_NAMES}{_BLANK}{_GT}", re.I)
ARGUMENTS_END = re.compile(rf"{_LT}{_BLANK}{_SLASH}{_BLANK}{_ARGUMENT_NAMES}{_BLANK}{_GT}", re.I)
MARKS = "<＜&"


class Opening(Struct, frozen=True):
    """An opening tag as it was written; `function` is the name that Qwen-Coder's holds."""

    text: str
    kind: Kind
    function: str = ""

    @property
    def is_encoded(self) -> bool:
        """Whether the model wrote HTML entities for brackets, hence also for quotes."""
        return "&" in self.text

    def plain(self, text: str) -> str:
        """Undo the disguise that the tag shows in a text that belongs to it."""
        if "＜" in self.text:
            text = text.replace("＜", "<").replace("＞", ">").replace("／", "/")
        return html.unescape(text) if self.is_encoded else text


def opening_at(text: str, position: int) -> Opening | None:
    """Return the opening tag that begins there."""
    found = OPENING.match(text, position)
    if found is None:
        return None
    if found["function"]:
        return Opening(found[0], "function", found["function"])
    return Opening(found[0], "tool_use" if found["tag"].lower() == "tool_use" else "tool_call")


def may_open(text: str) -> bool:
    """Say whether a text may be the beginning of an opening tag."""
    if len(text) > LONGEST_TAG:
        return False
    begun = re.sub(r"\s+", "", text.replace("＜", "<").replace("＞", ">")).lower()
    if "&lt;".startswith(begun):
        return True
    begun = begun.replace("&lt;", "<")
    begun = begun.removesuffix(next((part for part in ("&gt", "&g", "&") if begun.endswith(part)), ""))
    if any(whole.startswith(begun) for whole in ("<tool_use>", "<tool_call>", "<function=")):
        return True
    return re.fullmatch(r"<function=[\"']?[\w.:/-]*[\"']?", begun) is not None

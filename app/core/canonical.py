"""The canonical form of texts, for keys only: equal under everything clients do to a history without meaning to.

docs/sessions.md, Canonical form. Upstream always gets the raw text.
"""

import re
import unicodedata
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from msgspec.structs import replace

from app.core.messages import Message

_BLANK = re.compile(r"[\s\u200b-\u200f\u2060\ufeff\u00ad\u180e]+")
_THINKING = re.compile(r"<(think|thinking|thought|seed:think)>")
_LINE = r"(?:^|(?<=</think>)|(?<=</thinking>)|(?<=</thought>)|(?<=</seed:think>))"  # of the answer without thinking
_THINKING_OR_CODE = re.compile(
    rf"{_THINKING.pattern}|{_LINE}[ \t]*+(?P<fence>`{{3,64}}(?=[^`\n]*+$)|~{{3,64}})", re.MULTILINE
)
_OPEN_THINKING = re.compile(r"\s*<(think|thinking|thought|seed:think)>.*", re.DOTALL)
_DETAILS = re.compile(r"<details\s")
_DETAILS_TYPE = re.compile(r"type=[\"']?(?:reasoning|tool_calls|code_interpreter)\b")
_CALL = re.compile(r"<(tool_use|tool_call)>(?=\s*+(?:[<{\[]|```))")  # else the tag is only mentioned
_PICTURE = re.compile(r"!\[(?:[^\[\]]|\[[^\[\]]*\])*+\]\(([^()]*)\)")  # no part of it can be read in two ways
_EXPIRING = re.compile(r"(https?://[^/?#]+/output/[^?#]+)\?key=[^&#]*")  # docs/upstream-protocol.md, Generation modes
_QUOTED_HEAD = re.compile(r"\s*+(?:>[^\n]*+(?:\n(?![^\S\n]*+\n)[^\n]*+)*+\s*+)++")
_SHOWN_RESULT = re.compile(r"\"[\[{\s]*+&quot;[^\"]*+\"|<tool_calls\s[^<>]*+(?<=/)>")
_SWITCH = re.compile(r"/(?:no_)?think\s*$")
_PROMPT_RESULT = re.compile(r"\s*(?:<tool_use_result>|Here is the result of mcp tool use `)")
_RESULT_BEGINS = frozenset("<H[")
_BARE_RESULT = re.compile(r"\s*\[\s*\{\s*\"type\"\s*:")


def squeeze(text: str) -> str:
    """Normalise to NFC and remove all white space and zero-width characters."""
    if text.isascii():
        return "".join(text.split())
    return _BLANK.sub("", unicodedata.normalize("NFC", text))


def canonical_user(text: str) -> str:
    """Return what a user's text is known by: without a trailing thinking switch."""
    return squeeze(_SWITCH.sub("", text) if "think" in text[-16:] else text)


def canonical_assistant(text: str) -> str:
    """Return what an answer is known by: without thinking, tool calls and pictures."""
    if "<" in text:
        if _THINKING.search(text):
            has_code = "```" in text or "~~~" in text
            text = _without(_THINKING_OR_CODE if has_code else _THINKING, text)
        text = _OPEN_THINKING.sub("", text) if _OPEN_THINKING.match(text) else text
        text = _without_details(text)
        text = _without(_CALL, text)
    if "![" in text:
        text = _PICTURE.sub("", text)
    return squeeze(text)


def call_bodies(text: str) -> list[str]:
    """Return what stands in the calls that an answer is not known by."""
    return [text[found.begin : found.end] for found in _blocks(_CALL, text)]


def call_places(text: str) -> list[tuple[int, int]]:
    """Return where each of these calls begins and ends, its tags included."""
    return [(found.start, found.after) for found in _blocks(_CALL, text)]


def without_additions(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return messages whose answers lose what some clients add to them; the same ones where there is nothing of it.

    NextChat puts a model's reasoning before its answer, with a mark before each paragraph but none before single lines.
    Open WebUI puts the results of calls where the calls were, in one of two forms. An answer may hold all of that by
    itself, so this is a second way to read a history, not a part of what answers are known by.
    """
    changed = {
        place: text
        for place, message in enumerate(messages)
        if message.role == "assistant" and (text := _without_additions(message.text)) != message.text
    }
    if not changed:
        return messages
    return tuple(
        [
            replace(message, text=changed[place]) if place in changed else message
            for place, message in enumerate(messages)
        ]
    )


def _without_additions(text: str) -> str:
    if "&quot;" in text or "<tool_calls" in text:
        text = _SHOWN_RESULT.sub("", text)
    quoted = _QUOTED_HEAD.match(text)
    return text[quoted.end() :] if quoted else text


def picture_links(text: str) -> list[str]:
    """Return the addresses of the pictures that an answer shows; one kept in the text or by the client has none."""
    targets = _PICTURE.findall(text) if "![" in text else []
    addresses = [target.split(maxsplit=1)[0].strip("<>") for target in targets if not target.isspace() and target]
    return [address for address in addresses if address.startswith("http")]


def picture_names(text: str) -> list[str]:
    """Return what the pictures that an answer shows are known by: their addresses, without a key that expires."""
    expiring = [(address, _EXPIRING.fullmatch(address)) for address in picture_links(text)]
    return [found[1] if found else address for address, found in expiring]


def picture_text(address: str) -> str:
    """Show a picture in an answer's text."""
    return f"![image]({address})"


def video_text(address: str) -> str:
    """Show a video in an answer's text."""
    return f"[video]({address})"


def unsigned(address: str) -> str:
    """Return an address without what a signature adds to it."""
    return re.split(r"[?#]", address, maxsplit=1)[0]


class _Block(NamedTuple):
    """Where a block begins and ends, its tags included, and the text between them."""

    start: int
    begin: int
    end: int
    after: int


def _blocks(opening: re.Pattern[str], text: str) -> Iterator[_Block]:
    """Find the blocks from opening tags to their ends; what follows a fence up to its own is code, and holds none.

    Not one expression, which would look for the end anew from each open tag.
    """
    after, unclosed = 0, set()
    for found in opening.finditer(text):
        tag = found[1]
        if found.start() < after or tag in unclosed:
            continue
        if tag is None:
            after = _code_end(text, found)
            continue
        end = text.find(f"</{tag}>", found.end())
        if end < 0:
            unclosed.add(tag)
            continue
        after = end + len(tag) + 3
        yield _Block(found.start(), found.end(), end, after)


def _code_end(text: str, opening: re.Match[str]) -> int:
    fence = opening["fence"]
    ended = re.compile(rf"^[ \t]*+{fence}{fence[0]}*+[ \t]*+$", re.MULTILINE).search(text, opening.end())
    return ended.end() if ended else len(text)


def _without(opening: re.Pattern[str], text: str) -> str:
    kept, position = [], 0
    for block in _blocks(opening, text):
        kept.append(text[position : block.start])
        position = block.after
    return "".join(kept) + text[position:] if kept else text


def _without_details(text: str) -> str:
    """Cut out the details elements that hold no words of the answer; one pass, as above."""
    kept, position, searched = [], 0, 0
    for found in _DETAILS.finditer(text):
        if found.start() < searched:
            continue
        head_end = text.find(">", found.end())
        if head_end < 0:
            break
        searched = head_end
        if not _DETAILS_TYPE.search(text, found.end(), head_end):
            continue
        end = text.find("</details>", head_end)
        if end < 0:
            break
        kept.append(text[position : found.start()])
        position = searched = end + len("</details>")
    return "".join(kept) + text[position:]


def is_tool_result(message: Message, *, may_be_bare: bool) -> bool:
    """Say whether a message carries tool results, also in the forms of clients without a tool role.

    `may_be_bare`: a call may have come before it, which a bare JSON array needs to count as one.
    """
    if message.role == "tool":
        return True
    if message.role != "user":
        return False
    text = message.text
    begins = text[:1] if text[:1].strip() else text.lstrip()[:1]
    if begins not in _RESULT_BEGINS:
        return False
    if _PROMPT_RESULT.match(text):
        return True
    return may_be_bare and bool(_BARE_RESULT.match(text)) and text.rstrip().endswith("]")


def digest(*parts: str) -> str:
    """Return 32 hexadecimal digits for a sequence of texts; different sequences never share an encoding."""
    return digest_of(b"".join(map(framed, parts)))


def digest_of(encoded: bytes) -> str:
    """Return the digest of a sequence of texts, given what `framed` makes of each, joined."""
    return blake2b(encoded, digest_size=16).hexdigest()


def framed(text: str) -> bytes:
    """Return a text as one of a sequence, its length in front of it."""
    raw = text.encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(8, "big") + raw


def sent_digest(text: str) -> str:
    """Name a message as it was sent, whatever white space the site makes of it."""
    return digest_of(_SENT + framed(squeeze(text)))


_SENT = framed("sent")

"""Tell again what led to a stored answer, from the texts of its nodes (docs/sessions.md, Named answers).

The first message of a chat may hold a transcript itself, of what was said before that chat was made. Its messages are
taken out of it, so that a conversation that is replayed again and again stays one transcript.
"""

import re
from collections.abc import Sequence

from app.core.letter import DOCUMENT
from app.core.ports import PathNode
from app.core.system_text import is_in_parts, parts_of
from app.core.transcript import FROM_HERE, NO_LONGER, REPLACED, REVOKED, SO_FAR, fence, named_file, system_message

_INSTRUCTED = re.compile(  # what `instructions` and `changed_instructions` put before a transcript
    rf"(?P<before>{re.escape(REPLACED)}|{re.escape(REVOKED)}\n\n)?"
    rf"(?:<(?P<tag>instructions(?:-\d+)?)>\n(?P<told>.*?)\n</(?P=tag)>\n\n)"
    rf"|(?P<none>{re.escape(NO_LONGER)}|{re.escape(REVOKED)})\n\n",
    re.DOTALL,
)
_TOLD = re.compile(
    rf"<(?P<tag>conversation(?:-\d+)?)>\n(?P<told>.*?)\n</(?P=tag)>\n\n"
    rf"(?:{re.escape(SO_FAR)}|{re.escape(FROM_HERE)})(?:\n\n|\Z)",
    re.DOTALL,
)
# A message that an older version stored: what went as its document is not kept.
_WENT_ELSEWHERE = re.compile(
    rf"^The attached file {re.escape(DOCUMENT)} \([\d,]+ characters\) holds [a-z, ]*our conv", re.M
)


def retold(path: Sequence[PathNode]) -> str | None:
    """Write the messages that led to a stored answer as a transcript has them; None where not all texts are kept.

    What a message told of the conversation before it is among them, and its instructions are not.
    """
    written: list[str] = []
    is_asked_again, digest = False, ""
    for node in path:
        if node.said is None or node.answer is None or _WENT_ELSEWHERE.search(node.sent or ""):
            return None
        if not is_asked_again:  # else we asked
            named = [named_file(file) for file in node.files]
            said = "\n".join(filter(None, (node.said, *named)))
            written += [_lasting(node, digest), told_in(node.sent or ""), fence("user", said) if said else ""]
        is_asked_again, digest = node.asked_again, node.system_digest
        if node.answer and not is_asked_again:
            written.append(fence("assistant", node.answer))
    return "\n\n".join(filter(None, written))


def _lasting(node: PathNode, known: str) -> str:
    """Return what a message said of the system prompt that stays, also that the one of before, `known`, does not.

    A prompt in one part stays; of one in two its `<system>` is among what was said, and the rest held for one answer.
    """
    found = _INSTRUCTED.match(node.sent or "")
    if not found:
        return ""
    ended = (found["before"] or found["none"] or "") if parts_of(known)[0] else ""
    if is_in_parts(node.system_digest):
        return system_message(REVOKED) if ended.startswith(REVOKED) else ""
    return system_message(ended + (found["told"] or "" if node.system_digest else ""))


def told_in(sent: str) -> str:
    """Return the messages in the transcript that a sent text holds, "" without one."""
    instructed = _INSTRUCTED.match(sent)
    found = _TOLD.match(sent, instructed.end() if instructed else 0)
    return found["told"] if found else ""

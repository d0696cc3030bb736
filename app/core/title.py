"""What a conversation is called: here, in lists of sessions, and on the site."""

import re
from collections.abc import Sequence

from app.core.attaching import Attached
from app.core.messages import Message

_CHARS = 80
_REMINDERS = re.compile(r"(?:\s*<system-reminder>.*?</system-reminder>)+", re.DOTALL)  # of Claude Code, in front


def title_of(spoken: Sequence[Message], attached: Attached) -> str:
    """Return the beginning of the first user text, on one line; without words, the names of the files."""
    first = next((message.text for message in spoken if message.role == "user"), "")
    if reminded := _REMINDERS.match(first):
        first = first[reminded.end() :]
    first = first if first.strip() else ", ".join(attached.shown.values())
    line = " ".join(first.split(maxsplit=_CHARS))  # what is not split then is behind the end
    return line if len(line) <= _CHARS else line[: _CHARS - 1] + "…"

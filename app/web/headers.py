"""The headers of answers: where in the history they are, and which parameters of their request had no effect."""

import re
from collections.abc import Sequence

from app.core.ports import Match
from app.core.turn import Turn

_MOST_BYTES = 1024


def turn_headers(turn: Turn, ignored: Sequence[str]) -> dict[str, str]:
    """Return the headers of an answer that a turn gave."""
    node = turn.draft.node
    return session_headers(node.session_id, node.match, ignored)


def session_headers(session_id: str, match: Match, ignored: Sequence[str]) -> dict[str, str]:
    """Return the headers of what is in a session."""
    return {"X-Session-Id": session_id, "X-Session-Match": match, **ignored_header(ignored)}


def ignored_header(names: Sequence[str]) -> dict[str, str]:
    """Return the header; it holds token characters only, and no more than 1 KB of whole names unless one is longer."""
    if not names:
        return {}
    line = ",".join(re.sub(r"[^!#$%&'*+.^_`|~0-9A-Za-z-]", "_", name) for name in names)
    if len(line) > _MOST_BYTES:
        line = line[: _MOST_BYTES + 1].rpartition(",")[0] or line[:_MOST_BYTES]
    return {"X-Ignored-Params": line} if line else {}

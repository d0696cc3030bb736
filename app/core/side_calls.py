"""Side calls: requests that look like a first message but start no conversation (docs/sessions.md, Side calls).

The table is data: a row says who sends a shape and how it is told. Everything that no row knows is a conversation.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from app.core.messages import ChatRequest

_FEW_TOKENS = 50


@dataclass(frozen=True, slots=True)
class Shape:
    """One known shape; `matches` is given the system text and the only user text."""

    name: str
    matches: Callable[[str, str], bool]


def _is_naming_input(text: str) -> bool:
    if not text.lstrip().startswith("["):
        return False
    try:
        entries = json.loads(text)
    except ValueError:
        return False
    return bool(entries) and all(isinstance(entry, dict) and {"role", "mainText"} <= entry.keys() for entry in entries)


SHAPES = (
    Shape("Cherry Studio: topic name", lambda _, user: _is_naming_input(user)),
    Shape("Cherry Studio: health check", lambda system, user: system == "test" and user == "hi"),
    Shape("Cherry Studio: translation", lambda system, user: bool(system) and user == "follow system instruction"),
    Shape("Open WebUI: title, tags, follow-ups, queries", lambda _, user: user.startswith("### Task:")),
)


def side_call(request: ChatRequest) -> str | None:
    """Return the name of the side call that a request is, None for a conversation."""
    if any(message.role in {"assistant", "tool"} for message in request.messages):
        return None
    users = [message.text for message in request.messages if message.role == "user"]
    if len(users) != 1:
        return None
    if request.max_tokens is not None and request.max_tokens <= _FEW_TOKENS:
        return f"at most {_FEW_TOKENS} tokens"
    system = "\n\n".join(message.text for message in request.messages if message.role == "system").strip()
    return next((shape.name for shape in SHAPES if shape.matches(system, users[0].strip())), None)

"""Side calls: requests that belong to no conversation, or ask about one without being part of it.

docs/sessions.md, Side calls. The table is data: a row says who sends a shape and how it is told. Everything that no row
knows is a conversation.
"""

import json
from collections.abc import Callable

from msgspec import Struct

from app.core.messages import ChatRequest, Message, Role

_FEW_TOKENS = 50


class FirstShape(Struct, frozen=True):
    """A shape of requests with one user message and no other besides the system's; blanks around both do not count."""

    name: str
    matches: Callable[[str, str], bool]  # the system prompt, the user's text


class LastShape(Struct, frozen=True):
    """A shape that is told by how the last message begins, whatever comes before it."""

    name: str
    role: Role
    beginnings: tuple[str, ...]


_NEXTCHAT_TITLES = (
    "Please generate a four to five word title summarizing our conversation",
    "使用四到五个字直接返回这句话的简要主题",
)
_NEXTCHAT_SUMMARIES = (
    "Summarize the discussion briefly in ",
    "Summarize our discussion briefly in ",
    "简要总结一下对话内容",
    "简要总结一下你和用户的对话",
)
_LOBECHAT_SYSTEMS = (
    "You are a professional conversation summarizer.",
    "You are an assistant skilled at conversations. You need to summarize the user's conversation",
    "You are an assistant who is good at conversation. You need to summarize the user's conversation",
    "You're an assistant who's good at extracting key takeaways from conversations",
    "你是一名擅长会话的助理，你需要将用户的会话总结为",
)
_CLAUDE_TITLE = "Generate a concise, sentence-case title"


def _is_naming_input(text: str) -> bool:
    if not text.startswith("["):
        return False
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return bool(entries) and all(isinstance(entry, dict) and {"role", "mainText"} <= entry.keys() for entry in entries)


FIRST_SHAPES = (
    FirstShape("Cherry Studio: topic name", lambda _, user: _is_naming_input(user)),
    FirstShape("Cherry Studio: health check", lambda system, user: user == "hi" and system == "test"),
    FirstShape("Cherry Studio: translation", lambda system, user: user == "follow system instruction" and bool(system)),
    FirstShape("Open WebUI: title, tags, follow-ups, queries", lambda _, user: user.startswith("### Task:")),
    FirstShape("Claude Code: title", lambda system, user: user.startswith("<session>") and _CLAUDE_TITLE in system),
    FirstShape("LobeChat: title or summary", lambda system, _: system.startswith(_LOBECHAT_SYSTEMS)),
)
LAST_SHAPES = (
    LastShape("NextChat: title", "user", _NEXTCHAT_TITLES),
    LastShape("NextChat: summary", "system", _NEXTCHAT_SUMMARIES),
)


def side_call(request: ChatRequest) -> str | None:
    """Return the name of the side call that a request is, None for a conversation."""
    messages = request.messages
    lone = _lone(messages)
    if lone is not None and lone.role == "user":
        if request.max_tokens is not None and request.max_tokens <= _FEW_TOKENS:
            return f"at most {_FEW_TOKENS} tokens"
        systems = [message.text for message in messages if message is not lone]
        system = "\n\n".join([request.instructions, *systems] if request.instructions else systems).strip()
        user = lone.text.strip()
        for first in FIRST_SHAPES:
            if first.matches(system, user):
                return first.name
    last = messages[-1]
    for shape in LAST_SHAPES:
        if last.role == shape.role and last.text.strip().startswith(shape.beginnings):
            return shape.name if any(message.role != "system" for message in messages) else None
    return None


def _lone(messages: tuple[Message, ...]) -> Message | None:
    """Return the only message besides the system's; None if there are more, or none."""
    lone = None
    for message in messages:
        if message.role != "system":
            if lone is not None:
                return None
            lone = message
    return lone


def what_is_asked(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return a side call's messages, what is asked said by the user: some clients ask by a last system message."""
    *earlier, last = messages
    return messages if last.role != "system" else (*earlier, Message("user", last.text))

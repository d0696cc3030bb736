"""Side calls: requests that belong to no conversation, or ask about one without being part of it.

docs/sessions.md, Side calls. The table is data: a row says who sends a shape and how it is told. Everything that no row
knows is a conversation.
"""

import json
from collections.abc import Callable

from msgspec import Struct

from app.core.messages import ChatRequest, Message

_FEW_TOKENS = 50


class Asked(Struct, frozen=True):
    """A request as the shapes look at it, texts without blanks around them.

    `last_user` is the last message if that is a user's, `last_system` if it is a system's; else "". `lone_user` is the
    only message besides the system's.
    """

    system: str
    lone_user: str
    last_user: str
    last_system: str
    begins: bool

    @classmethod
    def of(cls, messages: tuple[Message, ...]) -> "Asked":
        """Look at a request's messages."""
        spoken = [message for message in messages if message.role != "system"]
        users = [message.text.strip() for message in spoken if message.role == "user"]
        last = messages[-1]
        return cls(
            system="\n\n".join(message.text for message in messages if message.role == "system").strip(),
            lone_user=users[0] if len(spoken) == len(users) == 1 else "",
            last_user=last.text.strip() if last.role == "user" else "",
            last_system=last.text.strip() if last.role == "system" and spoken else "",
            begins=len(spoken) == len(users) == 1,
        )


class Shape(Struct, frozen=True):
    """One known shape."""

    name: str
    matches: Callable[[Asked], bool]


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


def _is_naming_input(text: str) -> bool:
    if not text.startswith("["):
        return False
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return bool(entries) and all(isinstance(entry, dict) and {"role", "mainText"} <= entry.keys() for entry in entries)


SHAPES = (
    Shape("Cherry Studio: topic name", lambda asked: _is_naming_input(asked.lone_user)),
    Shape("Cherry Studio: health check", lambda asked: asked.system == "test" and asked.lone_user == "hi"),
    Shape(
        "Cherry Studio: translation",
        lambda asked: bool(asked.system) and asked.lone_user == "follow system instruction",
    ),
    Shape("Open WebUI: title, tags, follow-ups, queries", lambda asked: asked.lone_user.startswith("### Task:")),
    Shape("NextChat: title", lambda asked: asked.last_user.startswith(_NEXTCHAT_TITLES)),
    Shape("NextChat: summary", lambda asked: asked.last_system.startswith(_NEXTCHAT_SUMMARIES)),
    Shape("LobeChat: title or summary", lambda asked: asked.begins and asked.system.startswith(_LOBECHAT_SYSTEMS)),
)


def side_call(request: ChatRequest) -> str | None:
    """Return the name of the side call that a request is, None for a conversation."""
    asked = Asked.of(request.messages)
    if asked.begins and request.max_tokens is not None and request.max_tokens <= _FEW_TOKENS:
        return f"at most {_FEW_TOKENS} tokens"
    return next((shape.name for shape in SHAPES if shape.matches(asked)), None)


def what_is_asked(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return a side call's messages, what is asked said by the user: some clients ask by a last system message."""
    *earlier, last = messages
    return messages if last.role != "system" else (*earlier, Message("user", last.text))

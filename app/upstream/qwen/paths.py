"""The paths of what concerns a chat, and the ids that are safe in them."""

import re
from typing import TypeGuard

from app.errors import UpstreamRejected

CHATS = "/api/v2/chats/"
COMPLETIONS = "/api/v2/chat/completions"
_CHAT_ID = re.compile(r"[0-9A-Za-z-]{8,64}")


def is_chat_id(value: object) -> TypeGuard[str]:
    """Say whether a value has the form of a chat's id."""
    return isinstance(value, str) and _CHAT_ID.fullmatch(value) is not None


def checked_chat(chat_id: str) -> str:
    """Return a chat id that is safe in an address. Raises UpstreamRejected for any other."""
    if not is_chat_id(chat_id):
        raise UpstreamRejected("This is not the id of a chat, so nothing was sent.", cause="chat_id")
    return chat_id

"""What we send, in the shapes of the page's front end 0.3.11 (docs/upstream-protocol.md, Completions). Pure."""

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec

from app.core.ports import Mode, Prompt, UploadedFile

FRONT_END = "0.3.11"
_CHAT_TYPES: dict[Mode, str] = {
    "chat": "t2t",
    "search": "t2t",
    "image": "t2i",
    "video": "t2v",
    "research": "deep_research",
}
_DEFAULT_SIZES: dict[Mode, str] = {"image": "1:1", "video": "16:9"}


def create_body(model: str, mode: Mode = "chat", *, milliseconds: int) -> dict[str, Any]:
    """Return the body that makes an empty chat for a first message in that mode."""
    return {
        "chatId": "",
        "models": [model],
        "project_id": "",
        "timestamp": milliseconds,
        "chat_type": _CHAT_TYPES[mode],
        "chat_mode": "normal",
    }


class _Message(msgspec.Struct, kw_only=True, gc=False):
    """A message as the page sends it."""

    id: None = None
    fid: str
    parent: str | None = msgspec.field(name="parentId")
    children: tuple[str, ...] = msgspec.field(name="childrenIds")
    role: str = "user"
    content: str
    user_action: str
    files: list[dict[str, Any]]
    timestamp: int
    models: tuple[str, ...]
    model: str = ""
    chat_type: str
    feature_config: msgspec.Raw
    extra: msgspec.Raw
    sub_chat_type: str
    parent_id: str | None
    size: str | msgspec.UnsetType = msgspec.UNSET


class CompletionBody(msgspec.Struct, kw_only=True, gc=False):
    """What sends one message."""

    stream: bool
    version: str = "2.1"
    incremental_output: bool = True
    chat: str = msgspec.field(name="chatId")
    parent: str = msgspec.field(name="parentId")
    chat_id: str
    chat_mode: str = "normal"
    model: str
    parent_id: str | None
    messages: tuple[_Message, ...]
    timestamp: int
    size: str | msgspec.UnsetType = msgspec.UNSET


def completion_body(
    prompt: Prompt, *, seconds: int, message_id: str, answer_id: str, thinking_budget: int | None
) -> CompletionBody:
    """Return the body that sends one message.

    The two ids are provisional, as the page makes them; the site keeps neither. `thinking_budget` in tokens holds where
    the prompt has none of its own.
    """
    mode, chat_type, parent_id = prompt.mode, _CHAT_TYPES[prompt.mode], prompt.parent_id
    size = (prompt.size or _DEFAULT_SIZES[mode]) if mode in _DEFAULT_SIZES else msgspec.UNSET
    size_of_video = size if mode == "video" else msgspec.UNSET
    message = _Message(
        fid=message_id,
        parent=parent_id,
        children=(answer_id,),
        content=prompt.text,
        user_action="edit" if prompt.is_sibling else "chat",
        files=_files(prompt) if prompt.files or prompt.pictures else [],
        timestamp=seconds,
        models=(prompt.model,),
        chat_type=chat_type,
        feature_config=_feature_config(mode, prompt.thinking, prompt.thinking_budget or thinking_budget),
        extra=_extra(chat_type, size_of_video),
        sub_chat_type=chat_type,
        parent_id=parent_id,
        size=size_of_video,
    )
    return CompletionBody(
        stream=mode != "video",
        chat=prompt.chat_id,
        parent=parent_id or "",
        chat_id=prompt.chat_id,
        model=prompt.model,
        parent_id=parent_id,
        messages=(message,),
        timestamp=seconds,
        size=size,
    )


def _files(prompt: Prompt) -> list[dict[str, Any]]:
    """Return what a message holds besides its text."""
    return [*map(_file_entry, prompt.files), *(_picture_entry(url) for group in prompt.pictures for url in group)]


def _file_entry(file: UploadedFile) -> dict[str, Any]:
    """Return a file as a message holds it, which is what the upload wrote."""
    entry: dict[str, Any] = msgspec.json.decode(file.reference)
    return entry


def _picture_entry(address: str) -> dict[str, Any]:
    """Return the short form for a picture that the site made (docs/upstream-protocol.md, Files)."""
    return {
        "type": "image",
        "name": urlsplit(address).path.rpartition("/")[2],
        "file_type": "image/png",
        "showType": "image",
        "file_class": "vision",
        "status": "uploaded",
        "url": address,
    }


@lru_cache(maxsize=64)
def _extra(chat_type: str, size: str | msgspec.UnsetType) -> msgspec.Raw:
    meta = (
        {"subChatType": chat_type} if isinstance(size, msgspec.UnsetType) else {"subChatType": chat_type, "size": size}
    )
    return msgspec.Raw(msgspec.json.encode({"meta": meta}))


@lru_cache(maxsize=64)
def _feature_config(mode: Mode, thinking: bool, budget: int | None) -> msgspec.Raw:
    """Return the page's settings for Thinking or Fast; the budget is the only thing that the page does not send.

    Pictures and videos are made without thinking, and their bodies name no mode of it.
    """
    config: dict[str, Any] = {
        "thinking_enabled": thinking,
        "output_schema": "phase",
        "research_mode": "normal",
        "auto_thinking": False,
    }
    if mode in _DEFAULT_SIZES:
        config |= {"thinking_enabled": False, "auto_search": False}
    else:
        config["thinking_mode"] = "Thinking" if thinking else "Fast"
        config["auto_search"] = mode in ("search", "research")
        if thinking:
            config["thinking_format"] = "summary"
            if budget is not None:
                config["thinking_budget"] = budget
    return msgspec.Raw(msgspec.json.encode(config))

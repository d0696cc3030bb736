"""What we send, in the shapes of the page's front end 0.3.11 (docs/upstream-protocol.md, Completions). Pure."""

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


def completion_body(
    prompt: Prompt, *, seconds: int, message_id: str, answer_id: str, thinking_budget: int | None
) -> dict[str, Any]:
    """Return the body that sends one message.

    The two ids are provisional, as the page makes them; the site keeps neither. `thinking_budget` in tokens holds where
    the prompt has none of its own.
    """
    chat_type = _CHAT_TYPES[prompt.mode]
    meta = {"subChatType": chat_type}
    message: dict[str, Any] = {
        "id": None,
        "fid": message_id,
        "parentId": prompt.parent_id,
        "childrenIds": [answer_id],
        "role": "user",
        "content": prompt.text,
        "user_action": "edit" if prompt.is_sibling else "chat",
        "files": [
            *map(_file_entry, prompt.files),
            *(_picture_entry(url) for group in prompt.pictures for url in group),
        ],
        "timestamp": seconds,
        "models": [prompt.model],
        "model": "",
        "chat_type": chat_type,
        "feature_config": _feature_config(prompt, thinking_budget),
        "extra": {"meta": meta},
        "sub_chat_type": chat_type,
        "parent_id": prompt.parent_id,
    }
    body: dict[str, Any] = {
        "stream": prompt.mode != "video",
        "version": "2.1",
        "incremental_output": True,
        "chatId": prompt.chat_id,
        "parentId": prompt.parent_id or "",
        "chat_id": prompt.chat_id,
        "chat_mode": "normal",
        "model": prompt.model,
        "parent_id": prompt.parent_id,
        "messages": [message],
        "timestamp": seconds,
    }
    if prompt.mode in _DEFAULT_SIZES:
        body["size"] = prompt.size or _DEFAULT_SIZES[prompt.mode]
    if prompt.mode == "video":
        message["size"] = meta["size"] = body["size"]
    return body


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


def _feature_config(prompt: Prompt, thinking_budget: int | None) -> dict[str, Any]:
    """Return the page's settings for Thinking or Fast; the budget is the only thing that the page does not send.

    Pictures and videos are made without thinking, and their bodies name no mode of it.
    """
    config = {
        "thinking_enabled": prompt.thinking,
        "output_schema": "phase",
        "research_mode": "normal",
        "auto_thinking": False,
    }
    if prompt.mode in _DEFAULT_SIZES:
        return {**config, "thinking_enabled": False, "auto_search": False}
    config["thinking_mode"] = "Thinking" if prompt.thinking else "Fast"
    config["auto_search"] = prompt.mode in ("search", "research")
    if prompt.thinking:
        config["thinking_format"] = "summary"
        budget = prompt.thinking_budget or thinking_budget
        if budget is not None:
            config["thinking_budget"] = budget
    return config

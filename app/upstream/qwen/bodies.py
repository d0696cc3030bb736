"""What we send, in the shapes of the page's front end 0.3.11 (docs/upstream-protocol.md, Completions). Pure."""

from typing import Any

from app.core.ports import Prompt

FRONT_END = "0.3.11"


def create_body(model: str, *, milliseconds: int) -> dict[str, Any]:
    """Return the body that makes an empty chat."""
    return {
        "chatId": "",
        "models": [model],
        "project_id": "",
        "timestamp": milliseconds,
        "chat_type": "t2t",
        "chat_mode": "normal",
    }


def completion_body(
    prompt: Prompt, *, seconds: int, message_id: str, answer_id: str, thinking_budget: int | None
) -> dict[str, Any]:
    """Return the body that sends one message.

    The two ids are provisional, as the page makes them; the site keeps neither. `thinking_budget` in tokens holds where
    the prompt has none of its own.
    """
    message = {
        "id": None,
        "fid": message_id,
        "parentId": prompt.parent_id,
        "childrenIds": [answer_id],
        "role": "user",
        "content": prompt.text,
        "user_action": "edit" if prompt.is_sibling else "chat",
        "files": [],
        "timestamp": seconds,
        "models": [prompt.model],
        "model": "",
        "chat_type": "t2t",
        "feature_config": _feature_config(prompt, thinking_budget),
        "extra": {"meta": {"subChatType": "t2t"}},
        "sub_chat_type": "t2t",
        "parent_id": prompt.parent_id,
    }
    return {
        "stream": True,
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


def _feature_config(prompt: Prompt, thinking_budget: int | None) -> dict[str, Any]:
    """Return the page's settings for Thinking or Fast; the budget is the only thing that the page does not send."""
    config = {
        "thinking_enabled": prompt.thinking,
        "output_schema": "phase",
        "research_mode": "normal",
        "auto_thinking": False,
        "thinking_mode": "Thinking" if prompt.thinking else "Fast",
        "auto_search": prompt.mode == "search",
    }
    if prompt.thinking:
        config["thinking_format"] = "summary"
        budget = prompt.thinking_budget or thinking_budget
        if budget is not None:
            config["thinking_budget"] = budget
    return config

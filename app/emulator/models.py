"""The emulator's model list, in the site's shape (docs/upstream-protocol.md, Models)."""

from collections.abc import Sequence
from typing import Any

_TEXT_MODES = ["t2t", "search", "artifacts", "web_dev", "deep_research", "travel", "learn"]
_ALL_MODES = ["t2t", "t2v", "t2i", "image_edit", *_TEXT_MODES[1:], "slides"]
_FREE, _ALWAYS, _NEVER = 3, 1, 2


_MODALITIES = (("image", "vision"), ("video", "video"), ("audio", "audio"))
_SENSES = ("vision", "document", "video", "audio")


def _entry(name: str, title: str, *, context: int, thinking: int, takes: Sequence[str], about: str) -> dict[str, Any]:
    """Write one model; `thinking` is 3 for the user's choice, 1 for always, 2 for never."""
    senses = {sense: sense in takes for sense in _SENSES}
    sees = senses["vision"]
    meta: dict[str, Any] = {
        "profile_image_url": "/static/favicon.png",
        "description": about,
        "short_description": about,
        "capabilities": {**senses, "citations": True, "thinking": thinking != _NEVER, "search": True},
        "abilities": {
            **{kind: int(sees) for kind in senses},
            "citations": 1,
            "mcp": 1,
            "thinking": thinking,
            "parse_url": 2,
        },
        "max_context_length": context,
        "max_summary_generation_length": 65536,
        "auto_thinking": thinking == _FREE,
        "auto_search": True,
        "thinking_format": "summary",
        "think_skip": {"enable": thinking != _ALWAYS},
        "chat_type": _ALL_MODES if sees else _TEXT_MODES,
        "mcp": ["image-generation", "code-interpreter", "amap", "fire-crawl"],
        "modality": ["text", *(kind for kind, sense in _MODALITIES if senses[sense])],
    }
    info = {
        "id": name,
        "name": title,
        "user_id": "00000000-0000-4000-8000-000000000001",
        "base_model_id": None,
        "is_active": True,
        "is_visitor_active": True,
        "updated_at": 1780000000,
        "created_at": 1780000000,
        "access_control": None,
        "meta": meta,
    }
    return {
        "id": name,
        "name": title,
        "object": "model",
        "owned_by": "qwen",
        "preset": True,
        "action_ids": [],
        "info": info,
    }


MODELS = (
    _entry(
        "qwen3.7-plus", "Qwen3.7-Plus", context=1_000_000, thinking=_FREE, takes=_SENSES, about="Emulated all-rounder"
    ),
    _entry("qwen3.8-max", "Qwen3.8-Max", context=1_000_000, thinking=_FREE, takes=_SENSES, about="Emulated flagship"),
    _entry(
        "qwen3-coder-plus",
        "Qwen3-Coder",
        context=1_000_000,
        thinking=_NEVER,
        takes=("document",),
        about="Emulated coder",
    ),
    _entry(
        "qwen3-235b-a22b",
        "Qwen3-235B",
        context=262_144,
        thinking=_FREE,
        takes=("document",),
        about="Emulated open model",
    ),
    _entry(
        "qwen-max-latest",
        "Qwen-Max",
        context=131_072,
        thinking=_FREE,
        takes=("vision", "document"),
        about="Emulated older flagship",
    ),
    _entry("qwq-32b", "QwQ-32B", context=131_072, thinking=_ALWAYS, takes=(), about="Emulated, always thinks"),
)
BY_ID = {str(model["id"]): model for model in MODELS}


def title(name: str) -> str:
    """Return a model's display name; one that is no longer listed keeps its id."""
    return str(BY_ID[name]["name"]) if name in BY_ID else name


def must_think(name: str) -> bool:
    """Say whether a model refuses to answer without thinking."""
    return not BY_ID[name]["info"]["meta"]["think_skip"]["enable"]


def can_think(name: str) -> bool:
    """Say whether a model is able to think."""
    return bool(BY_ID[name]["info"]["meta"]["capabilities"]["thinking"])


def can_read(name: str, sense: str) -> bool:
    """Say whether a model takes files of a kind: `vision`, `document`, `video`, `audio`."""
    return bool(BY_ID[name]["info"]["meta"]["capabilities"].get(sense))


def offers(name: str, chat_type: str) -> bool:
    """Say whether a model has a mode."""
    return chat_type in BY_ID[name]["info"]["meta"]["chat_type"]

"""The model list and the account's settings as the site writes them (docs/upstream-protocol.md, Models). Pure."""

from collections.abc import Iterator
from typing import Any

from app.core.attachments import FileKind
from app.core.ports import Mode, ModelInfo
from app.errors import UpstreamProtocolError

_UNDERSTOOD: dict[str, FileKind] = {"vision": "image", "document": "document", "video": "video", "audio": "audio"}
_LARGEST = 2**53  # beyond it a number is none of tokens or seconds, and none that JSON carries everywhere
_MODES: dict[str, Mode] = {
    "t2t": "chat",
    "search": "search",
    "t2i": "image",
    "t2v": "video",
    "deep_research": "research",
}


def read_models(data: object) -> list[ModelInfo]:
    """Return the active models, in the site's order. Raises UpstreamProtocolError when there is none."""
    listed = data.get("data") if isinstance(data, dict) else data
    entries = listed if isinstance(listed, list) else []
    models: dict[str, ModelInfo] = {}
    for entry in entries:
        model = _read_model(_object(entry))
        if model is not None:
            models.setdefault(model.id, model)
    if not models:
        raise UpstreamProtocolError("The site's model list holds no active model.", cause="models")
    return list(models.values())


def _read_model(entry: dict[str, Any]) -> ModelInfo | None:
    info = _object(entry.get("info"))
    meta = _object(info.get("meta"))
    model_id = entry.get("id") or info.get("id")
    if not isinstance(model_id, str) or not model_id or info.get("is_active") is False:
        return None
    name = entry.get("name")
    owner = entry.get("owned_by")
    context = _whole(meta.get("max_context_length"))
    types = meta.get("chat_type")
    ability = _object(meta.get("abilities")).get("thinking")
    insists = ability == 1 or _object(meta.get("think_skip")).get("enable") is False
    capable = insists or ability == 3 or _object(meta.get("capabilities")).get("thinking") is True
    return ModelInfo(
        id=model_id,
        name=name if isinstance(name, str) and name else model_id,
        owned_by=owner if isinstance(owner, str) and owner else "qwen",
        created=_whole(info.get("created_at")),
        context_tokens=context or None,
        can_think=capable and ability != 2,
        must_think=insists and ability != 2,
        is_general="t2t" in types if isinstance(types, list) else True,
        understands=_read_understood(_object(meta.get("capabilities")), _object(meta.get("abilities"))),
        modes=_read_modes(types, _object(meta.get("capabilities"))),
    )


def _read_understood(capabilities: dict[str, Any], abilities: dict[str, Any]) -> frozenset[FileKind] | None:
    """Return the kinds of files that either map grants, None if neither tells. An absent capability is a no."""
    if not capabilities and not abilities.keys() & _UNDERSTOOD.keys():
        return None
    return frozenset(
        kind for name, kind in _UNDERSTOOD.items() if capabilities.get(name) is True or abilities.get(name) == 1
    )


def _read_modes(types: object, capabilities: dict[str, Any]) -> frozenset[Mode] | None:
    """Return the modes among the chat types; a model that chats and has the search needs no type for it."""
    if not isinstance(types, list):
        return None
    modes = {_MODES[name] for name in types if isinstance(name, str) and name in _MODES}
    return frozenset(modes | {"search"} if "chat" in modes and capabilities.get("search") is True else modes)


def read_thinking_budgets(settings: object) -> dict[str, int]:
    """Return the thinking budgets, in tokens by model id, that the owner chose on the site."""
    config = _object(_object(settings).get("model_config"))
    budgets = {model: _whole(_object(chosen).get("thinking_budget")) for model, chosen in config.items()}
    return {model: budget for model, budget in budgets.items() if budget}


def switched_on(settings: object) -> Iterator[str]:
    """Yield the account's switches that may colour answers: memory and hosted tools."""
    for group in ("memory", "tools_enabled"):
        for name, on in _object(_object(settings).get(group)).items():
            if on is True:
                yield f"{group}.{name}"


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST else 0

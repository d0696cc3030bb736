"""A completion as it is asked for: its body, read and checked (docs/upstream-protocol.md, Completions)."""

from dataclasses import dataclass
from typing import Any

from app.emulator.envelope import Refused, require
from app.emulator.faults import Refusal

RATIOS = {"1:1": (64, 64), "4:3": (64, 48), "3:4": (48, 64), "16:9": (64, 36), "9:16": (36, 64)}


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed completion: the ids are not looked up yet.

    `sizes` are the aspect ratios at the top, in the message and in its `extra.meta`, where there are such.
    """

    chat_id: str
    parent_id: str | None
    model: str
    role: str
    text: str
    user_action: str
    config: dict[str, Any]
    chat_type: str
    sizes: tuple[str | None, str | None, str | None]
    files: list[dict[str, Any]]
    stream: bool

    @property
    def pixels(self) -> tuple[int, int]:
        """Return width and height of what is to be made."""
        return RATIOS[next((size for size in self.sizes if size), "1:1")]


def read(body: dict[str, Any], chat_id: str | None) -> Asked:
    """Read a completion's body. Raises Refused."""
    given = body if chat_id else {name: value for name, value in body.items() if name != "chat_id"}
    require(given, "chat_id", "model", "messages", "stream")
    messages = body["messages"]
    if not isinstance(messages, list) or not messages or not isinstance(messages[0], dict):
        raise Refused(Refusal("RequestValidationError", ["Field 'messages': one message is required"], 422))
    if len(messages) > 1:
        raise Refused(Refusal("Bad_Request", "Invalid input too many messages.", 400))
    message: dict[str, Any] = messages[0]
    if message.get("role") == "function":
        raise Refused(Refusal("Bad_Request", "Something wrong with request!", 400))
    parent_id = message.get("parent_id") or body.get("parent_id")
    config = message.get("feature_config")
    return Asked(
        chat_id=str(chat_id),
        parent_id=str(parent_id) if parent_id else None,
        model=str(body["model"]),
        role=str(message.get("role", "user")),
        text=_text(message.get("content")),
        user_action=str(message.get("user_action", "")),
        config=config if isinstance(config, dict) else {},
        chat_type=str(message.get("chat_type") or "t2t"),
        sizes=_sizes(body, message),
        files=_files(message),
        stream=bool(body["stream"]),
    )


def _text(content: Any) -> str:
    """Join the text parts of a message's content, which is a text or a list of parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _files(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files of a message. Raises Refused."""
    files = message.get("files") or []
    if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
        raise Refused(Refusal("RequestValidationError", ["Field 'files': a list of objects is required"], 422))
    return files


def _sizes(body: dict[str, Any], message: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Find the aspect ratio in its three places. Raises Refused for one that does not exist, and where two differ."""
    extra = message.get("extra")
    meta = extra.get("meta") if isinstance(extra, dict) else None
    top, within, deep = body.get("size"), message.get("size"), meta.get("size") if isinstance(meta, dict) else None
    told = {size for size in (top, within, deep) if size is not None}
    if len(told) > 1 or not told <= RATIOS.keys():
        raise Refused(Refusal("invalid_input", f"size: one of {', '.join(RATIOS)} is required", 400))
    return top, within, deep

"""What a model is shown of a message: its text, and the files that it refers to (docs/upstream-protocol.md, Files)."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from app.emulator import outputs
from app.emulator.asking import Asked
from app.emulator.bucket import PREFIX
from app.emulator.envelope import Refused
from app.emulator.faults import Refusal
from app.emulator.files import StoredFile
from app.emulator.models import can_read
from app.emulator.pixels import pixel_size
from app.emulator.state import EmulatorState
from app.emulator.tree import Chat
from app.emulator.viewing import ShownFile

_NEEDED = ("type", "name", "file_type", "showType", "status", "file_class", "id", "url")  # accepted in practice
_SENSES = {"image": "vision", "file": "document", "video": "video", "audio": "audio"}
_LIMITS = {"file": 5, "video": 1, "audio": 1}


@dataclass(frozen=True, slots=True)
class Sight:
    """What the model sees: the branch as (role, text), documents within the text, and the files, the newest last.

    `files` are those of the new message, `earlier` those of the messages before it.
    """

    seen: list[tuple[str, str]]
    files: list[ShownFile]
    earlier: list[ShownFile]


async def look(state: EmulatorState, chat: Chat, asked: Asked) -> Sight:
    """Look at the branch that a message continues, and at the message. Raises Refused for files that cannot be."""
    _check_limits(state, asked)
    files = [await _checked(state, entry, asked.model) for entry in asked.files]
    seen, earlier = [], []
    for node in chat.branch(asked.parent_id):
        before = [found for entry in node.files if (found := await _find(state, entry)) is not None]
        earlier.extend(before)
        seen.append((node.role, _with_documents(node.text, before)))
    return Sight([*seen, ("user", _with_documents(asked.text, files))], files, earlier)


def _with_documents(text: str, files: Sequence[ShownFile]) -> str:
    documents = [f'<document name="{file.name}">\n{file.text}\n</document>\n\n' for file in files if file.text]
    return "".join(documents) + text


def _check_limits(state: EmulatorState, asked: Asked) -> None:
    counts = Counter(str(entry.get("type")) for entry in asked.files)
    limits = {**_LIMITS, "image": state.options.image_limit}
    for kind, count in counts.items():
        if count > limits.get(kind, 0):
            raise _bad(f"There are too many files of type {kind!r}.")


def _bad(details: str) -> Refused:
    return Refused(Refusal("Bad_Request", details, 400))


async def _checked(state: EmulatorState, entry: dict[str, Any], model: str) -> ShownFile:
    """Find a file that a message names. Raises Refused."""
    kind = str(entry.get("type"))
    if entry.get("id"):
        missing = [f"Field 'files.{name}': Field required" for name in _NEEDED if not entry.get(name)]
        if missing:
            raise Refused(Refusal("RequestValidationError", missing, 422))
    if not can_read(model, _SENSES.get(kind, kind)):
        raise _bad(f"The model cannot take files of type {kind!r}.")
    found = await _find(state, entry)
    if found is None:
        raise _bad("The file does not exist, was not uploaded, or is not parsed.")
    if found.type != kind:
        raise _bad(f"The file is of type {found.type!r}, not {kind!r}.")
    return found


async def _find(state: EmulatorState, entry: dict[str, Any]) -> ShownFile | None:
    """Return a file as the model is shown it: by its id, or by its address where there is no id."""
    url = str(entry.get("url", ""))
    path = unquote(urlsplit(url).path)
    if path.startswith(outputs.PREFIX):
        made = outputs.find(state.tokens, url)
        return _made(made, url) if made is not None else None
    file_id = str(entry.get("id") or "")
    file = state.files.files.get(file_id) if file_id else state.files.find(path.removeprefix(PREFIX))
    return await _shown(state, file, url) if file is not None and file.is_ready else None


def _made(output: outputs.Output, url: str) -> ShownFile:
    """Show what the site made itself; its own keys do not end for it."""
    width, height = pixel_size(output.data) or (None, None)
    return ShownFile(
        id="",
        name=output.name,
        type=output.type,
        content_type=output.content_type,
        size=len(output.data),
        digest=hashlib.sha256(output.data).hexdigest(),
        width=width,
        height=height,
        text=None,
        url=url,
    )


async def _shown(state: EmulatorState, file: StoredFile, url: str) -> ShownFile:
    data = await state.files.read(file) or b""
    size = pixel_size(data) if file.kind == "image" else None
    return ShownFile(
        id=file.id,
        name=file.name,
        type=file.kind,
        content_type=file.content_type,
        size=file.size,
        digest=file.digest,
        width=size[0] if size else None,
        height=size[1] if size else None,
        text=data.decode("utf-8", errors="replace") if file.kind == "file" and file.is_text else None,
        url=url,
    )

"""Read the content of messages: blocks as the texts, files, calls and results that the core knows."""

from collections.abc import Sequence

import msgspec

from app.core.attachments import Attachment, FileKind
from app.core.file_types import safe_name
from app.core.messages import Message, ToolCall
from app.errors import InvalidRequest, UnsupportedFeature
from app.wire.contents import Extent, apart
from app.wire.sources import by_url, fault, from_base64, inline, stored

_OF_USERS = "text, image, document, search_result and tool_result"
_OF_ANSWERS = "text and tool_use"
_FILES: dict[str, FileKind] = {"image": "image", "document": "document"}
# Not told again: what the model thought, and what its own tools did, whose outcome is in the words that follow.
_LEFT_OUT = frozenset({"thinking", "redacted_thinking", "server_tool_use", "mcp_tool_use"})
_FAILED = "The tool failed."
_NO_INPUT = msgspec.Raw(b"{}")


class Source(msgspec.Struct):
    """Where a file comes from: which fields count is said by `type` (base64, url, file, text, content)."""

    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    content: "str | list[InputBlock]" = ""


class InputBlock(msgspec.Struct, gc=False):
    """A block of a message; which fields count is said by `type`.

    `source` is a text in `search_result`, `content` an object in what Anthropic's own tools gave, which is left out.
    """

    type: str
    text: str = ""
    source: Source | str | None = None
    title: str | None = None
    context: str | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.field(default_factory=lambda: _NO_INPUT)
    tool_use_id: str = ""
    content: "str | list[InputBlock] | dict[str, msgspec.Raw] | None" = None
    is_error: bool | None = None


Content = str | list[InputBlock]


class ContentReader(Extent):
    """Reads the contents of one request's messages. Raises InvalidRequest, whose `param` names the place."""

    def system(self, content: Content, path: str) -> str:
        """Return a text of the system, its blocks as paragraphs."""
        return content if isinstance(content, str) else "\n\n".join(self.system_texts(content, path))

    def system_texts(self, blocks: Sequence[InputBlock], path: str) -> list[str]:
        """Return the texts of the system's blocks."""
        self.count(len(blocks), path)
        for index, block in enumerate(blocks):
            if block.type != "text":
                raise UnsupportedFeature(
                    f"'{path}[{index}]': a system text holds blocks of text only.", param=f"{path}[{index}].type"
                )
        return [block.text for block in blocks if block.text]

    def assistant(self, content: Content, path: str) -> Message:
        """Return an answer: its words and calls."""
        if isinstance(content, str):
            return Message("assistant", content)
        self.count(len(content), path)
        texts: list[str] = []
        calls: list[ToolCall] = []
        for index, block in enumerate(content):
            if block.type == "text":
                texts.append(block.text)
            elif block.type == "tool_use":
                calls.append(_call(block, f"{path}[{index}]"))
            elif not _is_left_out(block):
                raise _unknown(block, f"{path}[{index}]", _OF_ANSWERS)
        return Message("assistant", "".join(texts), tuple(calls))

    def user(self, content: Content, path: str) -> list[Message]:
        """Return what a user's message says, in its order: results of tools, and words with files."""
        if isinstance(content, str):
            return [Message("user", content)]
        self.count(len(content), path)
        messages: list[Message] = []
        texts: list[str] = []
        files: list[Attachment] = []
        for index, block in enumerate(content):
            where = f"{path}[{index}]"
            if block.type == "tool_result":
                _add_words(messages, texts, files)
                messages.append(self._result(block, where))
            elif block.type in _FILES:
                texts += [block.context] if block.context else []
                files.append(self._file(block, where))
            elif not _is_left_out(block):
                texts.append(self._words(block, where))
        _add_words(messages, texts, files)
        return messages

    def _result(self, block: InputBlock, path: str) -> Message:
        """Return what a tool gave; what of it is no text is named only."""
        if not block.tool_use_id:
            raise _missing(f"{path}.tool_use_id")
        text = self._given(block.content, f"{path}.content")
        failed = [_FAILED] if block.is_error else []
        return Message("tool", "\n".join([*failed, text] if text else failed), tool_call_id=block.tool_use_id)

    def _given(self, content: str | list[InputBlock] | dict[str, msgspec.Raw] | None, path: str) -> str:
        if isinstance(content, dict):
            raise InvalidRequest(f"'{path}' must be a text or a list.", param=path)
        if content is None or isinstance(content, str):
            return content or ""
        self.count(len(content), path)
        return apart(
            [
                self._words(block, f"{path}[{index}]")
                if block.type in {"text", "search_result"}
                else f"[{block.type} not passed on]"
                for index, block in enumerate(content)
            ]
        )

    def _words(self, block: InputBlock, path: str) -> str:
        if block.type == "text":
            return block.text
        if block.type == "search_result":
            source = block.source if isinstance(block.source, str) else ""
            found = block.content if isinstance(block.content, list) else []
            self.count(len(found), f"{path}.content")
            said = block.content if isinstance(block.content, str) else apart([each.text for each in found])
            return "\n".join(filter(None, (block.title, source, said)))
        raise _unknown(block, path, _OF_USERS)

    def _file(self, block: InputBlock, path: str) -> Attachment:
        self.count_file(path)
        kind, name, source = _FILES[block.type], safe_name(block.title or ""), block.source
        where = f"{path}.source"
        if source is None:
            raise _missing(where)
        if isinstance(source, str):
            raise InvalidRequest(f"'{where}' must be an object.", param=where)
        if source.type == "base64":
            return inline(from_base64(source.data, f"{where}.data"), source.media_type, name, f"{where}.data")
        if source.type == "url":
            return by_url(kind, source.url, name, f"{where}.url")
        if source.type == "file":
            if not source.file_id:
                raise _missing(f"{where}.file_id")
            return stored(kind, source.file_id, name)
        if source.type == "text" and kind == "document":
            return inline(source.data.encode(errors="replace"), "text/plain", name, f"{where}.data")
        if source.type == "content" and kind == "document":
            text = self._given(source.content, f"{where}.content")
            return inline(text.encode(errors="replace"), "text/plain", name, f"{where}.content")
        raise fault(where, f"of type {source.type!r} cannot be read; base64, url and file can, of documents text too")


def _add_words(messages: list[Message], texts: list[str], files: list[Attachment]) -> None:
    """Add what the user said so far; nothing is left to add."""
    if texts or files:
        messages.append(Message("user", apart(texts), attachments=tuple(files)))
        texts.clear()
        files.clear()


def _call(block: InputBlock, path: str) -> ToolCall:
    for field, value in (("id", block.id), ("name", block.name)):
        if not value:
            raise _missing(f"{path}.{field}")
    arguments = bytes(block.input).decode()
    if not arguments.startswith("{"):
        raise InvalidRequest(f"'{path}.input' must be an object.", param=f"{path}.input")
    return ToolCall(block.id, block.name, arguments)


def _is_left_out(block: InputBlock) -> bool:
    return block.type in _LEFT_OUT or block.type.endswith("_tool_result")


def _missing(path: str) -> InvalidRequest:
    return InvalidRequest(f"'{path}' is missing.", param=path)


def _unknown(block: InputBlock, path: str, known: str) -> UnsupportedFeature:
    return UnsupportedFeature(
        f"'{path}': a block of type {block.type!r} cannot stand here; {known} can.", param=f"{path}.type"
    )

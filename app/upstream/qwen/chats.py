"""The account's chats as the site lists and stores them (docs/upstream-protocol.md, Chats and Chat detail). Pure."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from app.core.events import Picture, Source
from app.core.ports import ChatMessage, ChatRecord, ChatSummary
from app.errors import UpstreamProtocolError
from app.upstream.qwen.causes import excerpt
from app.upstream.qwen.hosted import IMAGE_PHASES, IMAGE_TOOLS, TOOLS, Pictures, SourceNumbers, drawn
from app.upstream.qwen.phases import RESEARCH_PHASES, TEXT_PHASES, is_keep_alive
from app.upstream.qwen.pieces import Thoughts
from app.upstream.qwen.replies import failure_from
from app.upstream.qwen.video import find_text

LARGEST_CHAT = 32 * 1024 * 1024  # bytes; a chat's detail holds its texts twice
Note = Callable[[str], None]
_MILLISECONDS = 1e11  # a moment above this is not in seconds: it would be in the year 5138


def read_list(data: object, note: Note) -> list[ChatSummary]:
    """Return the rows of one page, in the site's order. Raises UpstreamProtocolError for anything but a list."""
    if not isinstance(data, list):
        raise UpstreamProtocolError("The site's list of chats is no list.", cause="chats")
    rows = []
    for entry in data:
        row = _object(entry)
        if chat_id := _text(row.get("id")):
            rows.append(ChatSummary(chat_id, _text(row.get("title")), _moment(row.get("updated_at"))))
        else:
            note("a row without an id in the list of chats")
    return rows


def read_record(data: object, chat_id: str, note: Note) -> ChatRecord:
    """Return a chat with every message that the site shows of it, older ones first.

    A message whose parent the site did not show keeps its `parent_id`, so that it cannot be taken for the beginning.
    Raises UpstreamProtocolError for a shape that holds no chat, and for another chat than the one asked for.
    """
    record = _object(data)
    chat = record.get("chat")
    if not isinstance(chat, dict):
        raise UpstreamProtocolError("The site's answer holds no chat.", cause="chat")
    if record.get("id") not in (None, chat_id):
        raise UpstreamProtocolError("The site answered with another chat than the one asked for.", cause="chat_id")
    history = _object(chat.get("history"))
    pagination = _object(history.get("pagination"))
    if pagination.get("has_more_older") or pagination.get("has_more_newer"):
        note("a chat of which only a page is shown")
    messages = _in_order(_read_nodes(history, chat, note), note)
    return ChatRecord(
        id=chat_id,
        title=_text(record.get("title")) or _text(chat.get("title")),
        model=_first_text(chat.get("models")) or next((message.model for message in messages if message.model), None),
        updated_at=_moment(record.get("updated_at")),
        messages=tuple(messages),
    )


def _read_nodes(history: dict[str, Any], chat: dict[str, Any], note: Note) -> dict[str, ChatMessage]:
    """Read the nodes of the map, which has every branch; else those of the list, which has the current one."""
    listed = chat.get("messages")
    nodes: list[tuple[str, object]] = list(_object(history.get("messages")).items())
    if not nodes and isinstance(listed, list):
        nodes = [("", node) for node in listed]
    messages: dict[str, ChatMessage] = {}
    for key, value in nodes:
        node = _object(value)
        role, node_id = node.get("role"), _text(node.get("id")) or key
        if role not in ("user", "assistant") or not node_id:
            note(f"a message of the role {str(role)[:40]!r}" if node_id else "a message without an id")
        else:
            messages.setdefault(node_id, _read_message(node_id, role, node, note))
    return messages


def _in_order(messages: dict[str, ChatMessage], note: Note) -> list[ChatMessage]:
    """Return the messages with the older first, but each after its parent; a circle of them has no place."""
    waiting = list(messages.values())
    if all(message.at for message in waiting):
        waiting.sort(key=lambda message: message.at.timestamp() if message.at else 0.0)
    placed: dict[str, ChatMessage] = {}
    for message in waiting:
        line: dict[str, ChatMessage] = {}
        above: ChatMessage | None = message
        while above is not None and above.id not in placed and above.id not in line:
            line[above.id] = above
            above = messages.get(above.parent_id) if above.parent_id else None
        if above is None or above.id in placed:
            placed.update(reversed(line.items()))
        else:
            note("messages that follow one another in a circle")
    return list(placed.values())


def _read_message(node_id: str, role: Literal["user", "assistant"], node: dict[str, Any], note: Note) -> ChatMessage:
    answer = _Answer(node, note) if role == "assistant" else None
    text = _plain(node.get("content"))
    error = failure_from(node["error"], None) if node.get("error") else None
    return ChatMessage(
        id=node_id,
        parent_id=_text(node.get("parentId")) or _text(node.get("parent_id")) or None,
        role=role,
        text=(answer.text if answer else "") or text,
        reasoning=answer.reasoning if answer else "",
        model=_text(node.get("model")) or _first_text(node.get("models")),
        at=_moment(node.get("timestamp")),
        finished=answer is None or answer.is_finished(node, text),
        stopped=node.get("is_stop") is True,
        error=(excerpt(error.details or error.code) or "The site names no reason.") if error else None,
        pictures=tuple(answer.pictures) if answer else (),
        sources=tuple(answer.sources) if answer else (),
        video_task=find_text(node, "task_id") if answer else "",
    )


class _Answer:
    """The parts of a stored answer, put together as the stream would have shown them."""

    def __init__(self, node: dict[str, Any], note: Note) -> None:
        self.text = ""
        self.pictures: list[str] = []
        self.sources: list[Source] = []
        self._citations = SourceNumbers(note)
        self._drawn = Pictures(note)
        self._statuses: set[object] = set()
        self._text_phase = ""
        self._thoughts = Thoughts()
        self._note = note
        reasoning: list[str] = []
        items = node.get("content_list")
        for item in items if isinstance(items, list) else []:
            reasoning.append(self._take(_object(item)))
        self.reasoning = "".join(reasoning) or _text(node.get("reasoning_content"))

    def is_finished(self, node: dict[str, Any], text: str) -> bool:
        """Say whether nothing more will come; where the site does not say so itself, the parts tell."""
        if node.get("is_stop") is True or node.get("error"):
            return True
        done = node.get("done")
        if isinstance(done, bool):
            return done
        return self._statuses <= {None, "finished"} if self._statuses else bool(text)

    def _take(self, item: dict[str, Any]) -> str:
        """Take a part; return what it adds to the thinking."""
        phase = str(item.get("phase") or "")
        if phase in ("think", "thinking_summary") or phase in RESEARCH_PHASES:
            return self._think(item)
        if phase in TEXT_PHASES or (not phase and not item.get("name") and not item.get("function_call")):
            self._add(_plain(item.get("content")), phase)
            self._statuses.add(_text(item.get("status")) or None)
        elif phase in IMAGE_PHASES:
            self._draw(_text(item.get("content")).split())
            self._statuses.add(_text(item.get("status")) or None)
        elif not is_keep_alive(phase):
            extra = _object(item.get("extra"))
            if phase in IMAGE_TOOLS:
                self._draw(drawn(extra))
            elif phase == "web_search":
                self.sources += self._citations.take(extra)
            if phase in TOOLS:
                return ""
            self._note(f"the phase {phase[:40]!r}")
        return ""

    def _draw(self, addresses: Sequence[object]) -> None:
        self.pictures += [event.url for event in self._drawn.take(addresses) if isinstance(event, Picture)]

    def _add(self, text: str, phase: str) -> None:
        """Add to the text; where another phase writes on, a blank line stands between, as in the stream."""
        if text and phase:
            if self._text_phase not in ("", phase):
                text = f"\n\n{text}"
            self._text_phase = phase
        self.text += text

    def _think(self, item: dict[str, Any]) -> str:
        """Read a segment of thinking: raw text, or a summary, which is a list of thoughts or one thought."""
        extra = _object(item.get("extra") or item.get("extras"))
        summary = _object(extra.get("summary_thought")).get("content")
        thoughts = [summary] if isinstance(summary, str) else summary
        if isinstance(thoughts, list) and thoughts:
            text = self._thoughts.update(thoughts)
        else:
            text = self._thoughts.add(_plain(item.get("content")))
        return text + self._thoughts.end_segment()


def _plain(content: object) -> str:
    """Return the text of a content, which is a text or a list of parts."""
    parts = content if isinstance(content, list) else [content]
    texts = [part if isinstance(part, str) else _object(part).get("text") for part in parts]
    return "".join([text for text in texts if isinstance(text, str)])


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _first_text(value: object) -> str | None:
    return _text(value[0]) or None if isinstance(value, list) and value else None


def _moment(value: object) -> datetime | None:
    """Read a moment, which is in seconds, or in milliseconds where it would be too far off; None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e14:
        return None
    return datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS else value, UTC)

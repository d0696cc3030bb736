"""Chats as the site stores them: a tree of user messages and answers (docs/upstream-protocol.md, Chat detail)."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from app.emulator.models import title
from app.emulator.options import Era

NEW_TITLE = "New Chat"
_TITLE_CHARS = 40


@dataclass(slots=True)
class Node:
    """A user message or an answer; times are in seconds.

    `summary` tells how an answer's thinking was streamed, `ended_at` when the answer was done. `files` are the entries
    that came with a message. `items` are what an answer holds besides thinking and text: pictures, calls of tools.
    `phase` is that of its text, None for an answer without one. `task_id` is that of a video.
    """

    id: str
    role: str
    parent_id: str | None
    text: str
    model: str
    timestamp: int
    feature_config: dict[str, Any] = field(default_factory=dict)
    thoughts: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    done: bool = False
    is_stop: bool = False
    summary: bool = False
    ended_at: float | None = None
    chat_type: str = "t2t"
    files: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    phase: str | None = "answer"
    task_id: str | None = None

    def wire(self) -> dict[str, Any]:
        """Write the node as the chat detail shows it: an answer's text is in `content_list`, never in `content`."""
        common: dict[str, Any] = {
            "id": self.id,
            "role": self.role,
            "parentId": self.parent_id,
            "childrenIds": self.children,
            "chat_type": self.chat_type,
            "sub_chat_type": self.chat_type,
            "edited": False,
            "error": None,
            "turn_id": None,
            "feature_config": self.feature_config,
            "timestamp": self.timestamp,
        }
        extra: dict[str, Any] = {"meta": {"subChatType": self.chat_type}}
        if self.role == "user":
            return common | {"content": self.text, "models": [self.model], "files": self.files, "extra": extra}
        if self.task_id is not None:
            extra["wanx"] = {"task_id": self.task_id}
        if self.ended_at is not None:
            extra["endTime"] = self.ended_at
        return common | {
            "content": "",
            "reasoning_content": None,
            "content_list": list(self._contents()),
            "model": self.model,
            "modelName": title(self.model),
            "modelIdx": 0,
            "is_stop": self.is_stop,
            "done": self.done,
            "meta": {},
            "info": None,
            "annotation": None,
            "feedbackId": None,
            "extra": extra,
        }

    def _contents(self) -> Iterator[dict[str, Any]]:
        status = "finished" if self.done else "typing"
        thinking = "finished" if self.done or self.text else "typing"
        if self.thoughts and self.summary:
            summary = {
                "summary_title": {"content": [f"Step {number + 1}" for number in range(len(self.thoughts))]},
                "summary_thought": {"content": self.thoughts},
            }
            yield {
                "phase": "thinking_summary",
                "content": "",
                "status": thinking,
                "role": "assistant",
                "extra": summary,
            }
        elif self.thoughts:
            thought = "\n\n".join(self.thoughts)
            yield {"phase": "think", "content": thought, "status": thinking, "role": "assistant", "extra": None}
        yield from self.items
        if self.phase is not None:
            yield {
                "phase": self.phase,
                "content": self.text,
                "status": status,
                "role": "assistant",
                "extra": None,
                "usage": self.usage,
            }


@dataclass(slots=True)
class Chat:
    """One chat: its nodes by id, in the order they came."""

    id: str
    model: str
    created_at: int
    updated_at: int
    title: str = NEW_TITLE
    chat_type: str = "t2t"
    nodes: dict[str, Node] = field(default_factory=dict)
    current_id: str | None = None

    def branch(self, node_id: str | None) -> list[Node]:
        """Return the nodes from the root to this one: what the model is shown."""
        path: list[Node] = []
        while node_id is not None:
            node = self.nodes[node_id]
            path.append(node)
            node_id = node.parent_id
        return path[::-1]

    def add(self, node: Node) -> None:
        """Put a node below its parent; one that is there already is replaced."""
        known = self.nodes.get(node.id)
        self.nodes[node.id] = node
        if known is not None:
            node.children = known.children
        elif node.parent_id is not None:
            self.nodes[node.parent_id].children.append(node.id)
        if node.role == "assistant":
            self.current_id = node.id
        self.updated_at = node.timestamp

    def name_itself(self) -> None:
        """Take a title from the first message, as the site does after the first answer."""
        if self.title == NEW_TITLE and self.nodes:
            first = " ".join(next(iter(self.nodes.values())).text.split())
            self.title = first[:_TITLE_CHARS] or NEW_TITLE

    def row(self, era: Era = "2026") -> dict[str, Any]:
        """Write the chat as one row of the list, which had fewer columns in 2025."""
        row = {
            "id": self.id,
            "title": self.title,
            "updated_at": self.updated_at,
            "created_at": self.created_at,
            "chat_type": self.chat_type,
        }
        if era == "2025":
            return row
        return row | {
            "project_id": None,
            "pinned": False,
            "content": None,
            "highlight_indexes": None,
            "message_id": None,
        }

    def detail(self, user_id: str) -> dict[str, Any]:
        """Write the chat with its whole tree."""
        current = [self.current_id] if self.current_id else []
        history = {
            "currentId": self.current_id,
            "currentResponseIds": current,
            "pagination": {},
            "messages": {node.id: node.wire() for node in self.nodes.values()},
        }
        return self.row() | {
            "user_id": user_id,
            "share_id": None,
            "archived": False,
            "meta": {},
            "folder_id": None,
            "currentId": self.current_id,
            "currentResponseIds": current,
            "chat": {
                "models": [self.model],
                "messages": [node.wire() for node in self.branch(self.current_id)],
                "history": history,
            },
        }


def new_chat(model: str, chat_type: str = "t2t") -> Chat:
    """Make an empty chat."""
    now = int(time.time())
    return Chat(str(uuid4()), model, now, now, chat_type=chat_type)


def new_node(role: str, parent_id: str | None, text: str, model: str, feature_config: dict[str, Any]) -> Node:
    """Make a node with an id of the server's own."""
    return Node(str(uuid4()), role, parent_id, text, model, int(time.time()), feature_config)

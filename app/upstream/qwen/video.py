"""Videos, which the site makes on its own time: the task in its answer, and how far it is (Video). Pure."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from app.core.events import Event, Finished, Started, VideoTask
from app.core.ports import VideoState
from app.errors import UpstreamProtocolError, UpstreamRejected
from app.upstream.qwen.causes import excerpt
from app.upstream.qwen.hosted import is_address
from app.upstream.qwen.replies import Outer

_MOST_MEMBERS = 20_000
_DONE = frozenset({"success", "succeeded", "finished", "completed"})
_RUNNING = frozenset({"running", "pending", "queued", "processing"})
_FAILED = frozenset({"failed", "failure", "error", "canceled", "cancelled"})


@dataclass(frozen=True, slots=True)
class VideoReply:
    """What the answer to a prompt for a video says; a member is empty where it does not."""

    task_id: str = ""
    response_id: str = ""
    user_message_id: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it names the task and the answer that holds it."""
        return bool(self.task_id and self.response_id)

    @property
    def is_empty(self) -> bool:
        """Whether it names neither."""
        return not self.task_id and not self.response_id

    def may_be(self, other: "VideoReply") -> bool:
        """Say whether nothing that both name is different."""
        pairs = (self.task_id, other.task_id), (self.response_id, other.response_id)
        return all(not mine or not theirs or mine == theirs for mine, theirs in pairs)

    def completed_by(self, other: "VideoReply") -> "VideoReply":
        """Return it with what only the other one knows."""
        return VideoReply(
            self.task_id or other.task_id,
            self.response_id or other.response_id,
            self.user_message_id or other.user_message_id,
        )

    def events(self) -> list[Event]:
        """Return it as the events of an answer. Raises UpstreamProtocolError where a part is missing."""
        if not self.is_whole:
            raise UpstreamProtocolError("The site took the prompt and named no video that it makes.", cause="task_id")
        return [Started(self.response_id, self.user_message_id or None), VideoTask(self.task_id), Finished()]


def read_video_reply(data: object) -> VideoReply:
    """Read the JSON answer to a prompt for a video."""
    messages = data.get("messages") if isinstance(data, dict) else None
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and message.get("role") == "assistant":
            return _read_message(message).completed_by(
                VideoReply(find_text(data, "task_id"), find_text(data, "response_id"))
            )
    return VideoReply(find_text(data, "task_id"), find_text(data, "response_id"))


def read_stored_video(data: object, parent_id: str | None, promised: VideoReply) -> VideoReply:
    """Find in a chat's detail the newest answer to a message that follows `parent_id` and may be the one promised."""
    chat = data.get("chat") if isinstance(data, dict) else None
    history = chat.get("history") if isinstance(chat, dict) else None
    listed = history.get("messages") if isinstance(history, dict) else None
    nodes = [node for node in listed.values() if isinstance(node, dict)] if isinstance(listed, dict) else []
    users = [node for node in nodes if node.get("role") == "user" and node.get("parentId") == parent_id]
    asked = [user["id"] for user in users if isinstance(user.get("id"), str)]
    answers = [node for node in nodes if node.get("role") == "assistant" and node.get("parentId") in asked]
    found = [reply for reply in map(_read_message, sorted(answers, key=_age)) if reply.may_be(promised)]
    return found[-1] if found else VideoReply()


def read_video_state(outer: Outer, note: Callable[[str], None]) -> VideoState:
    """Read the state of a task, which comes bare; within an envelope it is read too.

    A state that is not known is told to `note`, and may change: the video counts as one that is being made.
    """
    said = outer.data if isinstance(outer.data, dict) else {"task_status": outer.task_status, "content": outer.content}
    status = str(said.get("task_status")).lower()
    content = said.get("content")
    url = next((text for text in _texts(content) if is_address(text)), "")
    if status in _DONE and url:
        return VideoState("succeeded", url=url)
    if status in _DONE:
        return VideoState("failed", error="The site says that the video is made, but not where it is.")
    if status in _FAILED:
        reason = said.get("message") or outer.message or (content if not url else "")
        words = excerpt(reason) if isinstance(reason, str) else ""
        return VideoState("failed", error=f"The site could not make the video. It said: {words!r}." if words else _MUTE)
    if status not in _RUNNING:
        note(f"the task's status {status[:40]!r}")
    return VideoState("running")


_MUTE = "The site could not make the video and does not say why."


def checked_task(task_id: str) -> str:
    """Return a task's id that is safe in an address. Raises UpstreamRejected for any other."""
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,128}", task_id):
        raise UpstreamRejected("This is not the id of a video's task, so nothing was sent.", cause="task_id")
    return task_id


def find_text(value: object, key: str) -> str:
    """Return the first text that stands under a key, however deep; "" where there is none."""
    return next((item for name, item in _members(value) if name == key and isinstance(item, str) and item), "")


def _read_message(message: dict[str, Any]) -> VideoReply:
    parent = message.get("parentId") or message.get("parent_id")
    identity = message.get("response_id") or message.get("id")
    return VideoReply(
        find_text(message, "task_id"),
        identity if isinstance(identity, str) else "",
        parent if isinstance(parent, str) else "",
    )


def _age(node: dict[str, Any]) -> float:
    at = node.get("timestamp")
    return at if isinstance(at, int | float) else 0.0


def _texts(value: object) -> Iterator[str]:
    yield from (item for _, item in _members({"": value}) if isinstance(item, str))


def _members(value: object) -> Iterator[tuple[object, object]]:
    """Yield the members of any JSON value, the outer ones first, up to a bound."""
    waiting: list[object] = [value]
    left = _MOST_MEMBERS
    for item in waiting:
        pairs = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        for name, member in pairs:
            yield name, member
            left -= 1
            if left <= 0:
                return
            if isinstance(member, dict | list):
                waiting.append(member)

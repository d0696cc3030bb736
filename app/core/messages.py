"""A conversation as the program sees it, whichever wire format it came in."""

from typing import Literal

from msgspec import Struct

from app.core.attachments import Attachment
from app.core.modes import Mode
from app.core.tools.definitions import ToolUse
from app.core.tools.json_output import JsonFormat

Role = Literal["system", "user", "assistant", "tool"]
Purpose = Literal["conversation", "pictures", "video"]


class ToolCall(Struct, frozen=True, gc=False):
    """A call that an assistant message holds; `arguments` is JSON text as the client sent it."""

    id: str
    name: str
    arguments: str


class Message(Struct, frozen=True, gc=False):
    """One message. `text` is raw: what upstream is sent, never a canonical form.

    `developer` messages are `system`, `function` messages are `tool`.
    """

    role: Role
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    attachments: tuple[Attachment, ...] = ()


class ChatRequest(Struct, frozen=True, gc=False):
    """A request: the whole conversation as the client knows it, and how to answer.

    With `follows`, the name of a stored answer (its node's id), the messages are only what is new after that. In a wire
    format that has `instructions` these hold for one answer, while system messages stay; None where it has none.
    `thinking` is None where the client left it open. `max_tokens` limits the answer, not the thinking. `mode` is asked
    for beside the model's name; `size` is the aspect ratio of a picture or video, as in `Prompt`. A request for a
    `purpose` other than a conversation is answered in a chat of its own, which nothing continues: for `pictures` the
    answer is to hold `count` of them; a `video` is not waited for, its answer ends with the task that makes it.
    """

    owner: str
    model: str
    messages: tuple[Message, ...]
    thinking: bool | None = None
    thinking_budget: int | None = None
    max_tokens: int | None = None
    tool_use: ToolUse | None = None
    json_format: JsonFormat | None = None
    stop: tuple[str, ...] = ()
    mode: Mode = "chat"
    size: str | None = None
    purpose: Purpose = "conversation"
    count: int = 1
    follows: str | None = None
    instructions: str | None = None

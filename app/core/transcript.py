"""What upstream is sent: only the new text where the chat knows the rest, else a transcript of everything.

docs/sessions.md, Transcript. The web backend has no system role and takes one message a turn, so instructions and
earlier turns travel as text, in tags that occur nowhere else in that text.
"""

import re
from collections.abc import Iterable, Sequence

from app.core.messages import Message, ToolCall
from app.core.tools.results import in_order
from app.core.tools.scheme import SCHEME

CONTINUE = "Continue."


def fence(tag: str, text: str) -> str:
    """Enclose a text in a tag, numbered where the text itself holds the plain one."""
    name, number = tag, 1
    taken = set(re.findall(rf"</({tag}(?:-\d+)?)>", text)) if f"</{tag}>" in text else ()
    while name in taken:
        number += 1
        name = f"{tag}-{number}"
    return f"<{name}>\n{text}\n</{name}>"


def first_message(system: str, earlier: Sequence[Message], said: str) -> str:
    """Return the text that opens a chat: what was newly said, below the instructions and the conversation so far.

    Without either it is sent byte for byte.
    """
    parts = []
    if system:
        parts.append(fence("instructions", system))
    if earlier:
        parts.append(fence("conversation", "\n\n".join(_spoken(earlier))))
        parts.append("Above is our conversation so far. Go on from there: reply to what follows, as the assistant.")
    return "\n\n".join([*parts, said])


def next_message(changed_system: str | None, untold: Sequence[Message], said: str) -> str:
    """Return the text that continues a chat; the new system prompt goes in front if it changed ("": it is gone).

    `untold` is what was said since the answer that the chat goes on from, where the client took another way there.
    """
    parts = []
    if changed_system == "":
        parts.append("The instructions given earlier no longer apply.")
    elif changed_system is not None:
        parts.append(f"These instructions replace the ones given earlier:\n{fence('instructions', changed_system)}")
    if untold:
        parts.append(fence("conversation", "\n\n".join(_spoken(untold))))
        parts.append("Above is how our conversation went on from here. Reply to what follows, as the assistant.")
    return "\n\n".join([*parts, said])


def new_text(new: Sequence[Message], earlier: Sequence[Message]) -> str:
    """Return the raw text of what the client newly said; results of tools name the call they answer."""
    calls = {call.id: call for message in earlier for call in message.tool_calls}
    texts = [_result(message, calls) if message.role == "tool" else message.text for message in in_order(new, earlier)]
    return "\n\n".join(text for text in texts if text) or CONTINUE


def with_note(text: str, note: str) -> str:
    """Return a message with what it asks of the form of its answer."""
    return f"{text}\n\n{note}" if note else text


def _spoken(messages: Iterable[Message]) -> list[str]:
    """Return each message in a tag of its role."""
    calls: dict[str, ToolCall] = {}
    spoken = []
    for message in messages:
        calls |= {call.id: call for call in message.tool_calls}
        if message.role == "tool":
            spoken.append(fence("user", _result(message, calls)))
        else:
            written = [SCHEME.write_call(call.name, call.arguments) for call in message.tool_calls]
            spoken.append(fence(message.role, "\n".join(text for text in (message.text, *written) if text)))
    return spoken


def _result(message: Message, calls: dict[str, ToolCall]) -> str:
    """Write a tool's result in the form that the model is taught; one of a call that nobody made is text."""
    call = calls.get(message.tool_call_id or "")
    name = call.name if call else message.name
    text = message.text if message.text.strip() else "(empty result)"
    return SCHEME.write_result(name, text) if name else text

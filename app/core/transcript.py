"""What upstream is sent: only the new text where the chat knows the rest, else a transcript of everything.

docs/sessions.md, Transcript. The web backend has no system role and takes one message a turn, so instructions and
earlier turns travel as text, in tags that occur nowhere else in that text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from app.core.messages import Message, ToolCall
from app.core.tools.results import answered_calls, in_order
from app.core.tools.scheme import SCHEME

CONTINUE = "Continue."
_AFTER = "Your last answer was cut. Continue it right after these words, and repeat nothing:"
_LAST_WORDS = 200  # characters
_LONGEST_NAME = 64
SEE_FILES = "See the attached file."
SO_FAR = "Above is our conversation so far. Go on from there: reply to what follows, as the assistant."
FROM_HERE = "Above is how our conversation went on from here. Reply to what follows, as the assistant."
REPLACED = "These instructions replace the ones given earlier:\n"
NO_LONGER = "The instructions given earlier no longer apply."
REVOKED = "None of the instructions and system messages given earlier apply any longer."


def fence(tag: str, text: str) -> str:
    """Enclose a text in a tag, numbered where the text itself holds the plain one."""
    name, number = tag, 1
    taken = set(re.findall(rf"</({tag}(?:-\d+)?)>", text)) if f"</{tag}>" in text else ()
    while name in taken:
        number += 1
        name = f"{tag}-{number}"
    return f"<{name}>\n{text}\n</{name}>"


def transcript(earlier: Sequence[Message], shown: Mapping[str, str] | None = None, before: str = "") -> str:
    """Return messages as one text, each in a tag of its role; "" for none.

    Files are named; those that go along are in `shown`: their names, by digest. `before` are messages that came before
    these, written in the same way.
    """
    if not earlier and not before:
        return ""
    spoken = _spoken(earlier, shown or {})
    return fence("conversation", "\n\n".join([before, *spoken] if before else spoken))


def system_message(text: str) -> str:
    """Return what system messages say that stay in force, whatever instructions change."""
    return fence("system", text) if text else ""


def instructions(system: str) -> str:
    """Return a system prompt as a text that opens a chat."""
    return fence("instructions", system) if system else ""


def changed_instructions(system: str | None, *, revoked: bool = False) -> str:
    """Return a system prompt as a text that takes the place of another ("": it is gone, None: nothing changed).

    `revoked`: nor does any system message of before hold any more.
    """
    if system is None:
        return ""
    if revoked:
        return "\n\n".join(filter(None, (REVOKED, instructions(system))))
    if not system:
        return NO_LONGER
    return f"{REPLACED}{fence('instructions', system)}"


def new_text(new: Sequence[Message], earlier: Sequence[Message]) -> str:
    """Return the raw text of what the client newly said, "" for none; results of tools name the call they answer.

    Answers among it show calls again that the chat holds.
    """
    if len(new) == 1 and new[0].role != "tool":
        return _words(new[0])
    calls = answered_calls(new, earlier)
    ordered = in_order(new, calls) if calls else new
    said = [message for message in ordered if message.role != "assistant"]
    texts = [_result(message, calls) if message.role == "tool" else _words(message) for message in said]
    return "\n\n".join(filter(None, texts))


def in_place_of_words(new: Sequence[Message], cut: str = "") -> str:
    """Return what is said where the client said nothing: upstream wants a text with every message.

    `cut` is what the client has of an answer that was cut; the chat may have more of it.
    """
    if any(message.attachments for message in new):
        return SEE_FILES
    last = cut.rstrip()[-_LAST_WORDS:]
    return f"{_AFTER}\n{fence('words', last)}" if last else CONTINUE


def _spoken(messages: Iterable[Message], shown: Mapping[str, str]) -> list[str]:
    """Return each message in a tag of its role."""
    calls: dict[str, ToolCall] = {}
    spoken = []
    for message in messages:
        calls |= {call.id: call for call in message.tool_calls}
        if message.role == "tool":
            spoken.append(fence("user", _result(message, calls)))
        else:
            written = [SCHEME.write_call(call.name, call.arguments) for call in message.tool_calls]
            files = [named_file(file.name, shown.get(file.digest)) for file in message.attachments]
            spoken.append(fence(message.role, "\n".join(text for text in (_words(message), *files, *written) if text)))
    return spoken


def _words(message: Message) -> str:
    """Return the text of a message, behind the name of who says it where the client tells one: several may speak."""
    if not message.name or not message.text or message.role == "tool":
        return message.text
    return f"{' '.join(message.name.split())[:_LONGEST_NAME]}: {message.text}"


def named_file(name: str, shown_as: str | None = None) -> str:
    """Name a file that came with a message, by the name that it is shown under where it goes along again."""
    return f"[attached: {shown_as}]" if shown_as else f"[attached, not shown again: {name}]"


def _result(message: Message, calls: dict[str, ToolCall]) -> str:
    """Write a tool's result in the form that the model is taught; one of a call that nobody made is text."""
    call = calls.get(message.tool_call_id or "")
    name = call.name if call else message.name
    text = message.text if message.text.strip() else "(empty result)"
    return SCHEME.write_result(name, text) if name else text

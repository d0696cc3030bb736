"""Say how a message is sent: where it goes, how the model is to think, and which pictures it is about."""

from collections.abc import Sequence

from app.core.attaching import LIMITS, Attached
from app.core.canonical import picture_links
from app.core.catalog import Choice
from app.core.messages import ChatRequest, Message
from app.core.ports import Place, Prompt
from app.core.telling import Telling


def prompt_for(
    request: ChatRequest,
    choice: Choice,
    place: Place | None,
    text: str,
    telling: Telling,
    attached: Attached,
    *,
    thinking: bool,
) -> Prompt:
    """Return what upstream is sent: at a place in a chat, or the first message of one that is still to be made."""
    return Prompt(
        chat_id=place.chat_id if place else "",
        parent_id=place.response_id if place else None,
        text=text,
        model=choice.id,
        is_sibling=place is not None and place.has_children,
        thinking=thinking,
        thinking_budget=request.thinking_budget,
        mode=choice.mode,
        pictures=_to_change(request, choice, telling.earlier, attached),
        size=request.size,
    )


def thinking_for(request: ChatRequest, choice: Choice, *, default: bool) -> tuple[bool, bool]:
    """Return whether the model is to think, and whether the client is to see it.

    The model's suffix says most, then the request. Some models cannot think, others cannot be kept from it.
    """
    wanted = default if request.thinking is None else request.thinking
    if choice.thinking is not None:
        wanted = choice.thinking
    if choice.info is None:
        return wanted, wanted
    return choice.info.can_think and (wanted or choice.info.must_think), wanted


def _to_change(
    request: ChatRequest, choice: Choice, earlier: Sequence[Message], attached: Attached
) -> tuple[tuple[str, ...], ...]:
    """Return what a message under `-image` may be about if it brings no picture: those of answers, the newest first.

    Upstream wants them named again with the message (docs/upstream-protocol.md, Generation modes). Where the user
    showed one since, the chat tells.
    """
    if choice.mode != "image" or request.purpose != "conversation":
        return ()
    if any(file.kind == "image" for file in attached.files):
        return ()
    found: list[tuple[str, ...]] = []
    for message in reversed(earlier):
        if any(file.kind == "image" for file in message.attachments):
            break
        if message.role == "assistant" and (links := picture_links(message.text)):
            found.append(tuple(dict.fromkeys(links))[: LIMITS["image"].count])
    return tuple(found)

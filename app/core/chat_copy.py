"""Find an answer in a chat as the site has it (docs/sessions.md, Recovery)."""

from collections.abc import Collection, Sequence

from app.core.canonical import sent_digest
from app.core.ports import ChatMessage


def newest_answer(
    messages: Sequence[ChatMessage], parent_id: str | None, asked: str | None, known: Collection[str]
) -> ChatMessage | None:
    """Return the newest answer to a message below `parent_id`, passing over those that are `known` by their ids.

    `asked` is the digest of the message's text, None where that is not known. A message without an answer ends the
    search: it is the newest, and what older ones were answered is not for it.
    """
    answers = {message.parent_id: message for message in reversed(messages) if message.role == "assistant"}
    for message in reversed(messages):
        if message.role != "user" or message.parent_id != parent_id:
            continue
        if asked is None or sent_digest(message.text) == asked:
            answer = answers.get(message.id)
            if answer is None or answer.id not in known:
                return answer
    return None

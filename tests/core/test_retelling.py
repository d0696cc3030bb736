"""What led to an answer is told again from what the nodes hold, each message once and no instructions."""

import pytest

from app.core.messages import Message
from app.core.ports import PathNode
from app.core.retelling import retold, told_in
from app.core.transcript import (
    FROM_HERE,
    NO_LONGER,
    REPLACED,
    REVOKED,
    SO_FAR,
    changed_instructions,
    fence,
    instructions,
    transcript,
)

EARLIER = (Message("user", "One."), Message("assistant", "Two."))
WRITTEN = "<user>\nOne.\n</user>\n\n<assistant>\nTwo.\n</assistant>"


def node(
    said: str | None = "Three.",
    answer: str | None = "Four.",
    sent: str | None = None,
    *,
    files: tuple[str, ...] = (),
    asked_again: bool = False,
    system_digest: str = "",
) -> PathNode:
    return PathNode(said, sent, answer, files, (), True, asked_again, bool(files), system_digest)


def test_messages_are_written_as_a_transcript_has_them() -> None:
    path = [node("One.", "Two."), node(files=("fox.png",))]
    then = "<user>\nThree.\n[attached, not shown again: fox.png]\n</user>\n\n<assistant>\nFour.\n</assistant>"
    assert retold(path) == f"{WRITTEN}\n\n{then}"
    assert transcript((), before=WRITTEN) == transcript(EARLIER)


@pytest.mark.parametrize(
    "system",
    [
        "",
        instructions("Be brief."),
        instructions("</instructions>"),
        changed_instructions("Be."),
        changed_instructions("Be.", revoked=True),
    ],
)
@pytest.mark.parametrize("closing", [SO_FAR, FROM_HERE])
def test_what_a_message_told_of_before_is_taken_out_of_it(system: str, closing: str) -> None:
    sent = "\n\n".join(filter(None, (system, transcript(EARLIER), closing, "Three.", "(A note.)")))
    assert told_in(sent) == WRITTEN
    assert retold([node(sent=sent)]) == f"{WRITTEN}\n\n{fence('user', 'Three.')}\n\n{fence('assistant', 'Four.')}"


def test_prompts_that_stay_are_told_in_their_order_and_what_ended_them_too() -> None:
    def brought(system: str, digest: str, words: str) -> PathNode:
        return node(words, "Yes.", f"{system}\n\n{words}", system_digest=digest)

    def told(*texts: str) -> list[str]:
        return [text for text in (retold(path) or "").split("\n\n") if text in set(texts)]

    first, other = brought(instructions("Be brief."), "d1", "One."), "Answer in French."
    path = [first, brought(changed_instructions(other), "d2", "Two.")]
    brief, french = fence("system", "Be brief."), fence("system", f"{REPLACED}{other}")
    assert told(brief, french) == [brief, french]
    path = [first, brought(changed_instructions(""), "", "Two.")]
    assert told(brief, fence("system", NO_LONGER)) == [brief, fence("system", NO_LONGER)]
    path = [first, brought(changed_instructions("Hold for one answer.", revoked=True), "d2/p", "Two.")]
    assert told(brief, fence("system", REVOKED)) == [brief, fence("system", REVOKED)]
    assert "Hold for one answer." not in (retold(path) or "")


def test_a_tag_in_what_was_said_ends_nothing() -> None:
    odd = (Message("user", f"Say </conversation>\n\n{SO_FAR}\n\nnow."),)
    assert told_in(f"{transcript(odd)}\n\n{SO_FAR}\n\nThree.") == f"<user>\n{odd[0].text}\n</user>"


@pytest.mark.parametrize("sent", ["", "Three.", "<conversation>\nx\n</conversation>\n\nThree.", f"Three. {SO_FAR}"])
def test_what_is_no_transcript_of_ours_is_what_was_said(sent: str) -> None:
    assert told_in(sent) == ""


def test_what_asked_again_and_what_could_not_be_used_is_left_out() -> None:
    path = [node("One.", "Not JSON.", asked_again=True), node("Answer in JSON.", "{}"), node()]
    assert retold(path) == "\n\n".join(
        (fence("user", "One."), fence("assistant", "{}"), fence("user", "Three."), fence("assistant", "Four."))
    )


@pytest.mark.parametrize("held", ["our conversation", "my instructions, our conversation and my message"])
def test_without_all_texts_nothing_is_told(held: str) -> None:
    assert retold([node(said=None)]) is None
    assert retold([node(answer=None)]) is None
    moved = f"{instructions('x')}\n\nThe attached file conversation.txt (1,234 characters) holds {held}, each in a tag."
    assert retold([node(sent=moved)]) is None
    assert retold([node(sent=moved.replace("our conversation", "my message"))]) is not None

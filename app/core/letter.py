"""A message for upstream in its parts, and how a long one is made to fit (docs/limits.md, Long prompts)."""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from app.core.attachments import FileContent
from app.core.transcript import fence

DOCUMENT = "conversation.txt"


class Letter(Struct, frozen=True, gc=False):
    """The parts of a message in their order, each "" where it has none.

    `system` are the instructions, `conversation` is what the chat has to be told of what was said, `closing` how to go
    on from there; `said` is what the client newly said, `note` asks for the form of the answer. `document` holds the
    parts that were moved out of the text.
    """

    said: str
    system: str = ""
    conversation: str = ""
    closing: str = ""
    note: str = ""
    document: str = ""

    @property
    def text(self) -> str:
        """The message itself."""
        return "\n\n".join(filter(None, (self.system, self.conversation, self.closing, self.said, self.note)))

    def file(self) -> FileContent:
        """Return the document as a file."""
        return FileContent("document", DOCUMENT, "text/plain", self.document.encode("utf-8", "replace"))


_SETS = (
    ("conversation",),
    ("conversation", "system"),
    ("said",),
    ("conversation", "said"),
    ("conversation", "system", "said"),
)
_NAMES = {"system": "my instructions", "conversation": "our conversation", "said": "my message"}


def fitted(letter: Letter, text: str, fits: Callable[[str], bool]) -> tuple[Letter, str]:
    """Move as little as possible into a document so that the text fits; a letter that never does comes back as it is.

    The transcript goes first, the user's own words last. Takes a letter with its text, and returns both.
    """
    if fits(text):
        return letter, text
    for names in _SETS:
        moved = [name for name in _NAMES if name in names and getattr(letter, name)]
        if moved:
            shorter = _without(letter, moved)
            if fits(less := shorter.text):
                return shorter, less
    return letter, text


def _without(letter: Letter, moved: list[str]) -> Letter:
    """Move parts into the document, and put a reference to it in their place.

    Its length stands in the message, so that the site's copies of two such messages can be told apart after a crash.
    """
    parts = {name: getattr(letter, name) for name in moved}
    if "said" in parts:
        parts["said"] = fence("message", letter.said)
    named = [_NAMES[name] for name in moved]
    held = " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
    document = "\n\n".join(parts.values())
    holds = f"The attached file {DOCUMENT} ({len(document):,} characters) holds {held}, each in a tag."
    reference = [holds, "Read all of it before you answer."]
    if "system" in moved:
        reference.append("Follow the instructions.")
    if "conversation" in moved:
        reference.append("Go on from the conversation as the assistant.")
    reference.append("Reply to my message in the file." if "said" in moved else "Reply to what follows.")
    return replace(
        letter,
        **dict.fromkeys(moved, ""),
        closing=" ".join(reference),
        document=document,
    )

"""What the server's owner decided about answers (docs/configuration.md)."""

from msgspec import Struct

from app.core.budget import check_budget, fits_budget
from app.core.catalog import Choice
from app.core.citations import Marks


class Policy(Struct, frozen=True):
    """What the server's owner decided.

    Bytes and tokens of one message, whether chats outlive their answer, whether a client that trims its window is
    recognised by its last turns, bytes of one tool result, how often a model is asked again for an answer that cannot
    be used, and what becomes of the marks by which it cites.
    """

    body_budget: int
    max_input_tokens: int
    is_delete: bool
    window_match: bool
    result_budget: int
    tool_retries: int
    marks: Marks

    def check(self, text: str) -> None:
        """Raise ContextTooLong for a text that may not be sent as a message."""
        check_budget(text, body_budget=self.body_budget, max_tokens=self.max_input_tokens)

    def fits(self, choice: Choice, text: str) -> bool:
        """Say whether a message goes as text; else a part of it is to go as a document, where the model reads those.

        Where it does not, all goes as text, and `check` decides.
        """
        info = choice.info
        reads = info is None or info.understands is None or "document" in info.understands
        if not reads or choice.mode not in {"chat", "search"}:
            return True
        return fits_budget(text, body_budget=self.body_budget, max_tokens=self.max_input_tokens)

"""Answers that hold tool calls or JSON: what cannot be used is asked for again (docs/tools.md, Asking again)."""

import logging
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from app.core.answer import AnswerEnd, AnswerFormat, Piece
from app.core.events import CallArguments, CallStarted, TextDelta
from app.core.tools.arguments import plain_arguments
from app.core.tools.checking import Checked, check
from app.core.tools.definitions import ToolUse
from app.core.tools.json_output import JsonFormat
from app.core.tools.reader import Called, CallReader, Found
from app.core.tools.scheme import Scheme
from app.errors import ResponseFormatUnmet

_log = logging.getLogger(__name__)


class ToolAnswer:
    """Text as it comes, and calls as soon as they are whole and checked: one that cannot be run is never passed on.

    Words are held back where a call must come, and in an answer that was asked for again: they count only if no call
    comes.
    """

    def __init__(self, use: ToolUse, scheme: Scheme, new_id: Callable[[], str]) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self._use = use
        self._scheme = scheme
        self._new_id = new_id
        self._names = [tool.name for tool in use.tools]
        self._must_call = use.mode == "required" or use.only is not None
        self._earlier: frozenset[tuple[str, str]] = frozenset()  # calls of the answers before this one, in one form
        self._before: tuple[list[str], list[Checked]] = ([], [])  # what was held back of the answer before this one
        self._spoke = False  # whether the client was sent words
        self._begin(holds_words=self._must_call)

    @property
    def is_enough(self) -> bool:
        """More calls may have been to come."""
        return False

    def _begin(self, *, holds_words: bool) -> None:
        self._reader = CallReader(self._names)
        self._held: list[str] = []
        self._wrong: list[Checked] = []
        self._holds_words = holds_words

    def feed(self, text: str) -> Sequence[Piece]:
        """Pass on text and calls."""
        return self._pieces(self._reader.feed(text))

    def take_picture(self) -> bool:
        """Text may show it."""
        return True

    def finish(self, *, may_ask: bool) -> AnswerEnd:
        """Ask again for calls that cannot be run or did not come; at last pass them on as the text that they are."""
        pieces = self._pieces(self._reader.finish())
        problems = self._problems()
        if problems and may_ask:
            if self.calls:
                problems.append("The other calls were taken: write this one only.")
            return AnswerEnd(pieces, _ask_again(problems))
        if problems:
            _log.warning("A call cannot be passed on as one: %s", " ".join(problems))
        if not self.calls:
            words = "".join(self._held)
            written = [self._scheme.write_call(checked.name, checked.arguments) for checked in self._wrong]
            if text := "\n\n".join(part for part in (words, *written) if part):
                pieces.append(TextDelta(f"\n\n{text}" if self._spoke else text))
        return AnswerEnd(pieces)

    def again(self) -> None:
        """Begin anew for another answer; calls that were passed on stay."""
        self._earlier = frozenset((name, plain_arguments(arguments)) for _, name, arguments in self.calls)
        self._before = self._held, self._wrong
        self._begin(holds_words=True)

    def restore(self) -> None:
        """Go back to what was held back of the answer before this one."""
        self._begin(holds_words=True)
        self._held, self._wrong = self._before

    def cut(self) -> Sequence[Piece]:
        """Pass on text that was held back; half a call is none."""
        pieces = [] if self._reader.in_call else self._pieces(self._reader.finish())
        return [TextDelta("".join(self._held)), *pieces] if self._held and not self.calls else pieces

    def _problems(self) -> list[str]:
        """Say what is wrong with the answer; where one call is allowed and came, nothing is."""
        if self.calls and not self._use.parallel:
            return []
        if not self.calls and not self._wrong and self._must_call:
            return [f"{self._use.only or 'A tool'} was to be called."]
        return [problem for checked in self._wrong for problem in checked.problems]

    def _pieces(self, found: Sequence[Found]) -> list[Piece]:
        pieces: list[Piece] = []
        for each in found:
            if isinstance(each, Called):
                pieces += self._call(check(each.call, self._use.tools))
            elif self._holds_words:
                self._held.append(each.text)
            else:
                self._spoke = True
                pieces.append(TextDelta(each.text))
        return pieces

    def _call(self, checked: Checked) -> Sequence[Piece]:
        if self._use.only is not None and checked.name != self._use.only:
            checked = replace(checked, problems=(f"{self._use.only} was to be called, not {checked.name}.",))
        if checked.problems:
            self._wrong.append(checked)
            return ()
        if self.calls and not self._use.parallel:
            return ()
        if self._earlier and (checked.name, plain_arguments(checked.arguments)) in self._earlier:
            return ()  # told to write only what was wrong, the model wrote all of it again
        if checked.mended:
            _log.info("A call of %s was mended: %s", checked.name, ", ".join(checked.mended))
        call_id, index = self._new_id(), len(self.calls)
        self.calls.append((call_id, checked.name, checked.arguments))
        return CallStarted(index, call_id, checked.name), CallArguments(index, checked.arguments)


class JsonAnswer:
    """JSON and nothing else, whole at the end. Calls come first, where tools are offered too."""

    def __init__(self, wanted: JsonFormat, inner: AnswerFormat) -> None:
        self._wanted = wanted
        self._inner = inner
        self._text: list[str] = []
        self._before: list[str] = []  # the text of the answer before this one
        self._first_problems: Sequence[str] = ()

    @property
    def calls(self) -> list[tuple[str, str, str]]:
        """The whole calls so far."""
        return self._inner.calls

    @property
    def is_enough(self) -> bool:
        """Half a JSON text is none."""
        return False

    def feed(self, text: str) -> Sequence[Piece]:
        """Pass on calls; text waits until it is whole."""
        return self._without_text(self._inner.feed(text))

    def take_picture(self) -> bool:
        """JSON has no place for it."""
        return False

    def finish(self, *, may_ask: bool) -> AnswerEnd:
        """Pass on the JSON that the answer holds. Raises ResponseFormatUnmet if it is not what was asked for."""
        end = self._inner.finish(may_ask=may_ask)
        pieces = self._without_text(end.pieces)
        if end.ask_again is not None or self.calls:
            return AnswerEnd(pieces, end.ask_again)
        said, problems = self._wanted.read("".join(self._text))
        if said is not None and not problems:
            return AnswerEnd([*pieces, TextDelta(said)])
        first = self._first_problems = self._first_problems or problems
        if may_ask:
            return AnswerEnd(pieces, _ask_again([*problems, self._wanted.teach()]))
        told = ["The model did not answer in the format that was asked for.", *problems]
        if first != problems:
            told += ["What was wrong with its first answer:", *first]
        raise ResponseFormatUnmet(" ".join(told))

    def again(self) -> None:
        """Begin anew for another answer."""
        self._before, self._text = self._text, []
        self._inner.again()

    def restore(self) -> None:
        """Go back to the answer before this one."""
        self._text = self._before
        self._inner.restore()

    def cut(self) -> Sequence[Piece]:
        """Pass on the text so far: half an answer has no form."""
        pieces = self._without_text(self._inner.cut())
        return [*pieces, TextDelta("".join(self._text))] if self._text else pieces

    def _without_text(self, pieces: Sequence[Piece]) -> list[Piece]:
        self._text += [piece.text for piece in pieces if isinstance(piece, TextDelta)]
        return [piece for piece in pieces if not isinstance(piece, TextDelta)]


def _ask_again(problems: Sequence[str]) -> str:
    told = "\n".join(f"- {problem}" for problem in problems)
    return f"Your answer could not be used:\n{told}\nWrite it again, complete and corrected, and nothing else."

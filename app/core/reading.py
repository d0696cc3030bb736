"""Read a client's messages into turns, one after the other (docs/sessions.md, Turns and keys)."""

from collections.abc import Sequence
from sys import getsizeof

from msgspec import Struct
from msgspec.structs import replace

from app.core.canonical import is_tool_result
from app.core.history import Anchor, TurnRead, answer_text, user_text
from app.core.keys import Keys
from app.core.messages import Message
from app.core.told import ToldByPlace, ToldItem, told_by

_MESSAGE_BYTES = 600  # that a message takes in a reading, from above
_MORE_BYTES = 800  # that it takes besides if it holds calls, pictures or files, or is a result


class Reading(Struct, frozen=True, gc=False):
    """How far a conversation was read; no text of it is kept but `answered`.

    `marks` are the hashes of the messages, without the system's, by which the next request is known to say them again:
    Python's own, with a key of this process. The last one of `turns` may go on, and `answered` is the canonical text of
    the answers in it; `keys_before` name the conversation before each turn. `last` is the last answer, `results_since`
    are the places of the tool results that follow it; `after_call` says that the last assistant message holds a call.
    `is_taught`: the client's own system prompt teaches tools, and it may hide the calls. `size` is in bytes.
    """

    marks: tuple[int, ...] = ()
    turns: tuple[TurnRead, ...] = ()
    keys_before: tuple[str, ...] = ()
    told: ToldByPlace = ToldByPlace()
    answered: str = ""
    last: Anchor | None = None
    results_since: tuple[int, ...] = ()
    after_call: bool = False
    is_taught: bool = False
    size: int = 0

    def begins(self, marks: tuple[int, ...]) -> bool:
        """Say whether messages with these marks begin with those that were read."""
        return self.marks == marks[: len(self.marks)]

    def go_on(
        self, keys: Keys, spoken: Sequence[Message], marks: tuple[int, ...], alike: "Reading | None" = None
    ) -> "Reading":
        """Read what follows in messages that begin with those that were read.

        Texts that `alike` has read too, for the same keys, have the names that it gave them.
        """
        return _Reader(keys, self, spoken, marks, alike).read()

    def anchors(self) -> tuple[Anchor, ...]:
        """Return where the last answer may be, the one with most answers first.

        A run of results may hold answers that were nothing but a call, which some clients leave out.
        """
        last, since = self.last, self.results_since
        if not since:
            return () if last is None else (replace(last, results=None),)
        number = len(self.turns) - 1
        while number and self.turns[number - 1].end > since[-1]:
            number -= 1
        start = self.turns[number - 1].end if number else 0
        run = [index for index in since if index >= start]
        if last is not None and last.turn == number:
            told = last.results or 0
            unsaid = [Anchor(number, index, told + count) for count, index in enumerate(run) if count]
            return (*reversed(unsaid), last)
        return tuple(Anchor(number, index, count) for count, index in reversed(list(enumerate(run))) if index)


class _Reader:
    """Goes on with the last turn of a reading."""

    def __init__(
        self,
        keys: Keys,
        reading: Reading,
        spoken: Sequence[Message],
        marks: tuple[int, ...],
        alike: Reading | None,
    ) -> None:
        self._keys = keys
        self._before = reading
        self._spoken = spoken
        self._marks = marks
        self._turns = list(reading.turns[:-1])
        self._keys_before = list(reading.keys_before) or [keys.root]
        self._index = len(reading.marks)
        self._last = reading.last
        self._results_since = list(reading.results_since)
        self._after_call = reading.after_call
        turn = reading.turns[-1] if reading.turns else _NO_TURN
        self._said, self._files, self._replied = list(turn.said), list(turn.files), list(turn.replied)
        self._results, self._spoke, self._answered = turn.results, turn.spoke, turn.answered
        self._canonical, self._in_form = reading.answered, len(turn.replied)
        self._user_keys: dict[tuple[int, ...], str] = {}
        self._answer_keys: dict[tuple[int, ...], str] = {}
        if reading.turns:
            self._user_keys[_marks_of(turn.said, marks)] = turn.user_key
            self._answer_keys[_marks_of(turn.replied, marks)] = turn.answer_key
        if alike is not None:
            self._user_keys |= {_marks_of(turn.said, alike.marks): turn.user_key for turn in alike.turns}
            self._answer_keys |= {_marks_of(turn.replied, alike.marks): turn.answer_key for turn in alike.turns}

    def read(self) -> Reading:
        """Read the messages that are new; return how far all are read then."""
        before, items, size = self._before, [], self._before.size
        for message in self._spoken[self._index :]:
            may_be_bare = self._after_call or (before.is_taught and self._index > 0)
            is_result = is_tool_result(message, may_be_bare=may_be_bare)
            item = told_by(message, is_result=is_result)
            items.append(item)
            self._take(message, is_result=is_result)
            size += _MESSAGE_BYTES
            if item.digest or item.pictures or message.attachments:
                size += _size_beside(item, message)
        told, answered = before.told.and_then(items), self._answer()
        for item, after in zip(items, told.after[len(before.told.after) :], strict=True):
            if item.pictures:  # a set of all so far
                size += getsizeof(after.pictures)
        return Reading(
            marks=self._marks,
            turns=(*self._turns, self._turn()),
            keys_before=tuple(self._keys_before),
            told=told,
            answered=answered,
            last=self._last,
            results_since=tuple(self._results_since),
            after_call=self._after_call,
            is_taught=before.is_taught,
            size=size + getsizeof(answered) - getsizeof(before.answered),
        )

    def _take(self, message: Message, *, is_result: bool) -> None:
        if message.role == "assistant":
            self._replied.append(self._index)
            self._answered = self._spoke = True
            self._after_call = bool(message.tool_calls) or "<tool_use>" in message.text
            self._last = Anchor(len(self._turns), self._index + 1, self._results)
            self._results_since = []
        elif is_result:
            self._results_since.append(self._index)
            self._results += 1
            self._answered = False
        else:
            if self._spoke or self._results:
                self._end_turn()
            self._said.append(self._index)
            if message.attachments:
                self._files += [file.digest for file in message.attachments]
            self._after_call = False
        self._index += 1

    def _end_turn(self) -> None:
        """End the turn before the message that is being read."""
        turn = self._turn()
        self._turns.append(turn)
        self._keys_before.append(self._keys.turn(self._keys_before[-1], turn.user_key, turn.answer_key))
        self._said, self._files, self._replied, self._results = [], [], [], 0
        self._spoke = self._answered = False
        self._canonical, self._in_form = "", 0

    def _turn(self) -> TurnRead:
        """Return the turn as far as it was read."""
        said, files, replied = tuple(self._said), tuple(self._files), tuple(self._replied)
        return TurnRead(
            said=said,
            replied=replied,
            user_key=self._known(self._user_keys, said) or self._keys.user(user_text(self._spoken, said), files),
            answer_key=self._known(self._answer_keys, replied) or self._keys.answer(self._answer()),
            results=self._results,
            end=self._index,
            spoke=self._spoke,
            answered=self._answered,
            files=files,
        )

    def _known(self, keys: dict[tuple[int, ...], str], places: tuple[int, ...]) -> str | None:
        """Return the name that messages were given before, None if they are new."""
        return keys.get(_marks_of(places, self._marks)) if keys and places else None

    def _answer(self) -> str:
        """Return the canonical text of the turn's answers; each is brought into that form once."""
        new = self._replied[self._in_form :]
        if new:
            self._canonical += answer_text(self._spoken, new)
            self._in_form = len(self._replied)
        return self._canonical


_NO_TURN = TurnRead(
    said=(), replied=(), user_key="", answer_key="", results=0, end=0, spoke=False, answered=False, files=()
)


def _marks_of(places: Sequence[int], marks: Sequence[int]) -> tuple[int, ...]:
    return tuple([marks[place] for place in places])


def _size_beside(item: ToldItem, message: Message) -> int:
    """Return what is kept of a message besides what each takes; clients may show many calls and pictures."""
    files = len(message.attachments) + len(item.pictures)
    return _MORE_BYTES * (1 + files) + getsizeof(item.call_ids) + sum(map(getsizeof, item.call_ids))

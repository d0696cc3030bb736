"""Read a client's messages into turns, one after the other (docs/sessions.md, Turns and keys)."""

import dataclasses
from collections.abc import Sequence
from sys import getsizeof

from msgspec import Struct
from msgspec.structs import replace

from app.core.canonical import canonical_assistant, canonical_user, is_tool_result
from app.core.history import Anchor, TurnRead
from app.core.keys import Keys
from app.core.messages import Message
from app.core.told import Telling, told_by

_BESIDE_TEXT = 600  # bytes that a message, a call or a file takes in a reading besides its texts, from above


class Reading(Struct, frozen=True, gc=False):
    """How far a conversation was read: `messages`, without the system's and without the bytes of files.

    The last one of `turns` may go on, and `answered` is the canonical text of the answers in it; `keys_before` name
    the conversation before each turn. `last` is the last answer, `results_since` are the places of the tool results
    that follow it; `after_call` says that the last assistant message holds a call. `size` is in bytes.
    """

    messages: tuple[Message, ...] = ()
    turns: tuple[TurnRead, ...] = ()
    keys_before: tuple[str, ...] = ()
    told: Telling = Telling()
    answered: str = ""
    last: Anchor | None = None
    results_since: tuple[int, ...] = ()
    after_call: bool = False
    size: int = 0

    def begins(self, messages: tuple[Message, ...]) -> bool:
        """Say whether these messages begin with those that were read."""
        return self.messages == messages[: len(self.messages)]

    def go_on(self, keys: Keys, messages: Sequence[Message], alike: "Reading | None" = None) -> "Reading":
        """Read what follows. Texts that `alike` holds too, of the same keys, have the names that it gave them."""
        return _Reader(keys, self, alike).read(messages)

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

    def __init__(self, keys: Keys, reading: Reading, alike: Reading | None) -> None:
        self._keys = keys
        self._before = reading
        self._turns = list(reading.turns[:-1])
        self._keys_before = list(reading.keys_before) or [keys.root]
        self._index = len(reading.messages)
        self._last = reading.last
        self._results_since = list(reading.results_since)
        self._after_call = reading.after_call
        turn = reading.turns[-1] if reading.turns else _NO_TURN
        self._said, self._files, self._replied = list(turn.said), list(turn.files), list(turn.replied)
        self._results, self._spoke, self._answered = turn.results, turn.spoke, turn.answered
        self._canonical, self._in_form = reading.answered, len(turn.replied)
        self._user_keys = {(turn.said, turn.files): turn.user_key}
        self._answer_keys = {turn.replied: turn.answer_key}
        if alike is not None:
            self._user_keys |= {(turn.said, turn.files): turn.user_key for turn in alike.turns}
            self._answer_keys |= {turn.replied: turn.answer_key for turn in alike.turns}

    def read(self, messages: Sequence[Message]) -> Reading:
        """Read messages; return how far all are read then."""
        before, told, kept, size = self._before, [], [], self._before.size
        for message in messages:
            is_result = is_tool_result(message, after_call=self._after_call)
            told.append(told_by(message, is_result=is_result))
            self._take(message, is_result=is_result)
            kept.append(_without_bytes(message) if message.attachments else message)
            size += getsizeof(message.text) + _BESIDE_TEXT
            if message.tool_calls or message.attachments or message.tool_call_id or message.name:
                size += _size_beside_text(message)
        answered = self._answer()
        return Reading(
            messages=(*before.messages, *kept),
            turns=(*self._turns, self._turn()),
            keys_before=tuple(self._keys_before),
            told=before.told.and_then(told),
            answered=answered,
            last=self._last,
            results_since=tuple(self._results_since),
            after_call=self._after_call,
            size=size + getsizeof(answered) - getsizeof(before.answered),
        )

    def _take(self, message: Message, *, is_result: bool) -> None:
        if message.role == "assistant":
            self._replied.append(message.text)
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
            self._said.append(message.text)
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
        user_key = self._user_keys.get((said, files))
        answer_key = self._answer_keys.get(replied)
        return TurnRead(
            said=said,
            replied=replied,
            user_key=user_key or self._keys.user("".join(map(canonical_user, said)), files),
            answer_key=answer_key or self._keys.answer(self._answer()),
            results=self._results,
            end=self._index,
            spoke=self._spoke,
            answered=self._answered,
            files=files,
        )

    def _answer(self) -> str:
        """Return the canonical text of the turn's answers; each is brought into that form once."""
        if self._in_form < len(self._replied):
            self._canonical += "".join(map(canonical_assistant, self._replied[self._in_form :]))
            self._in_form = len(self._replied)
        return self._canonical


_NO_TURN = TurnRead(
    said=(), replied=(), user_key="", answer_key="", results=0, end=0, spoke=False, answered=False, files=()
)


def _size_beside_text(message: Message) -> int:
    """Return what the rest of a message takes, which most do not have; clients may make each of these long."""
    size = getsizeof(message.name) + getsizeof(message.tool_call_id)
    for call in message.tool_calls:
        size += getsizeof(call.id) + getsizeof(call.name) + getsizeof(call.arguments) + _BESIDE_TEXT
    for file in message.attachments:
        texts = (file.name, file.content_type, file.url, file.file_id)
        size += sum(map(getsizeof, texts)) + _BESIDE_TEXT
    return size


def _without_bytes(message: Message) -> Message:
    """Return a message whose files are known by their digests alone."""
    return replace(message, attachments=tuple(dataclasses.replace(file, data=b"") for file in message.attachments))

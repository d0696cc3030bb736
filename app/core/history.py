"""Read a client's history: its turns, the answers it could go on from, and the keys of the answer to come.

docs/sessions.md, Turns and keys. A turn is `(U, A)`: consecutive user texts, then all assistant text until the next
user text, over the whole tool loop.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from app.core.canonical import canonical_assistant, canonical_user, is_tool_result
from app.core.keys import Keys
from app.core.known_texts import KnownTexts
from app.core.messages import Message
from app.core.system_text import system_digest, system_text
from app.core.told import Telling, ToldItem, told_by


class TurnRead(Struct, frozen=True):
    """A turn: the texts of its user and of its assistant, as they came, and the names of both in canonical form.

    `files` are the digests of what the user attached. `end` counts the messages up to its last one. `spoke` says that
    an assistant spoke in it, `answered` that nothing followed that.
    """

    said: tuple[str, ...]
    replied: tuple[str, ...]
    user_key: str
    answer_key: str
    results: int
    end: int
    spoke: bool
    answered: bool
    files: tuple[str, ...] = ()

    @property
    def user(self) -> str:
        """The user's text in canonical form."""
        return "".join(map(canonical_user, self.said))

    @property
    def answer(self) -> str:
        """The answer in canonical form, over all messages of the turn."""
        return "".join(map(canonical_assistant, self.replied))

    @property
    def has_user(self) -> bool:
        """False where the client's window begins in the middle of the turn."""
        return bool(self.said)


class Anchor(Struct, frozen=True):
    """An answer that a request may go on from: in `turn`, with `index` messages up to it.

    `results` is the number of tool results told before that answer in its turn; None where no result follows it.
    """

    turn: int
    index: int
    results: int | None


class TurnRow(Struct, frozen=True):
    """A turn to remember, so that a client that trims its window is recognised by it."""

    key: str
    before_key: str
    user_key: str
    answer_key: str


class History(Struct, frozen=True):
    """A request's messages without the system's, as turns; the last turn is the one that is being answered.

    `anchors` are the possible readings of where the last answer is: more than one only if a run of tool results may
    hold steps without any text, which some clients leave out. The likeliest comes first. `told` is what the messages
    told beside their texts.
    """

    keys: Keys
    system: str
    system_digest: str
    spoken: tuple[Message, ...]
    turns: tuple[TurnRead, ...]
    anchors: tuple[Anchor, ...]
    told: Telling
    _keys_before: tuple[str, ...]  # each turn, and what would follow the last

    def placed(self, turns: int, key: str) -> "History":
        """Return this history with its first turns known by a key that it cannot compute: the client trimmed them."""
        keys = _chain(self.keys, key, self.turns[turns:])
        return replace(self, _keys_before=(*self._keys_before[:turns], *keys))

    def key_before(self, turn: int) -> str:
        """Return the key of the conversation before a turn."""
        return self._keys_before[turn]

    def key_of(self, anchor: Anchor, before: str) -> str:
        """Return the turn key, or the step key, of the node at an anchor, given the key before its turn."""
        turn = self.turns[anchor.turn]
        if anchor.results is None:
            return self.keys.turn(before, turn.user_key, turn.answer_key)
        return self.keys.step(before, turn.user_key, turn.answer_key, anchor.results)

    def calls_of_turn(self, call_ids: Collection[str]) -> dict[str, int]:
        """Return all calls since the turn began that shows one of these: their ids and the places of their messages."""
        made = {call.id: index for index, message in enumerate(self.spoken) for call in message.tool_calls}
        first = min((made[call_id] for call_id in call_ids if call_id in made), default=len(self.spoken) - 1)
        turn = self.turn_of(first)
        start = self.turns[turn - 1].end if turn else 0
        return {call_id: index for call_id, index in made.items() if index >= start}

    def turn_of(self, index: int) -> int:
        """Return the number of the turn that a message belongs to."""
        return _turn_of(self.turns, index)

    @property
    def last_answer(self) -> int:
        """The number of messages up to the last answer; 0 if there is none."""
        return self.anchors[-1].index if self.anchors else 0

    @property
    def before_key(self) -> str:
        """The key of the conversation before the turn that is being answered."""
        return self.key_before(len(self.turns) - 1)

    @property
    def asked_key(self) -> str:
        """The key of what is being answered."""
        return self.keys.asked(self.before_key, self.turns[-1].user_key)

    def keys_of(self, answer: str) -> tuple[TurnRow, str]:
        """Return the turn that ends with this answer, and the step key of the node that holds it."""
        turn = self.turns[-1]
        return turn_and_step(self.keys, self.before_key, turn.user_key, turn.answer, answer, turn.results)

    def turn_rows(self, start: int) -> tuple[TurnRow, ...]:
        """Return the turns from `start` up to the one that is being answered, without it."""
        return tuple(
            TurnRow(self.key_before(number + 1), self.key_before(number), turn.user_key, turn.answer_key)
            for number, turn in enumerate(self.turns[start:-1], start)
        )


def turn_and_step(
    keys: Keys, before: str, user_key: str, answered: str, answer: str, results: int
) -> tuple[TurnRow, str]:
    """Return the turn that ends with an answer, and the answer's step key.

    `answered` is the canonical text of the earlier answers in the same turn, `answer` the raw text of this one.
    """
    answer_key = keys.answer(answered + canonical_assistant(answer))
    row = TurnRow(keys.turn(before, user_key, answer_key), before, user_key, answer_key)
    return row, keys.step(before, user_key, answer_key, results)


def read_history(
    messages: tuple[Message, ...], owner: str, account: str, taught: str = "", *, known: KnownTexts | None = None
) -> History:
    """Read a request's messages; keys are scoped by owner and account.

    `taught` are instructions of our own, which belong to the system prompt. `known` spares what was read before.
    """
    system = "\n\n".join(text for text in (system_text(messages), taught) if text)
    keys = Keys.of(owner, account)
    reading = _Reading(keys, known or KnownTexts(0))
    spoken = tuple(message for message in messages if message.role != "system")
    for message in spoken:
        reading.read(message)
    reading.close()
    return History(
        keys=keys,
        system=system,
        system_digest=system_digest(system),
        spoken=spoken,
        turns=tuple(reading.turns),
        anchors=reading.anchors(),
        told=Telling(reading.told),
        _keys_before=tuple(_chain(keys, keys.root, reading.turns)),
    )


def _chain(keys: Keys, key: str, turns: Iterable[TurnRead]) -> list[str]:
    """Return the key before each turn and the one after the last, given the key before the first."""
    chain = [key]
    for turn in turns:
        chain.append(keys.turn(chain[-1], turn.user_key, turn.answer_key))
    return chain


def _turn_of(turns: Sequence[TurnRead], index: int) -> int:
    return bisect_right(turns, index, key=lambda turn: turn.end)


class _Reading:
    """Reads messages one after the other into turns."""

    def __init__(self, keys: Keys, known: KnownTexts) -> None:
        self.turns: list[TurnRead] = []
        self.told: list[ToldItem] = []
        self._keys = keys
        self._known = known
        self._index = 0
        self._user: list[str] = []
        self._files: list[str] = []
        self._answer: list[str] = []
        self._results = 0
        self._answered = False
        self._spoke = False
        self._after_call = False
        self._last: Anchor | None = None
        self._results_since: list[int] = []

    def read(self, message: Message) -> None:
        is_result = is_tool_result(message, after_call=self._after_call)
        self.told.append(told_by(message, is_result=is_result))
        if message.role == "assistant":
            self._answer.append(message.text)
            self._answered = self._spoke = True
            self._after_call = bool(message.tool_calls) or "<tool_use>" in message.text
            self._last = Anchor(len(self.turns), self._index + 1, self._results)
            self._results_since = []
        elif is_result:
            self._results_since.append(self._index)
            self._results += 1
            self._answered = False
        else:
            if self._spoke or self._results:
                self.close()
                self._user, self._files, self._answer, self._results = [], [], [], 0
                self._answered = self._spoke = False
            self._user.append(message.text)
            self._files += [file.digest for file in message.attachments]
            self._after_call = False
        self._index += 1

    def close(self) -> None:
        """End the turn that is being read."""
        said, replied, root = tuple(self._user), tuple(self._answer), self._keys.root
        self.turns.append(
            TurnRead(
                said=said,
                replied=replied,
                user_key=self._known.key(" ".join(("user", root, *self._files)), said, self._name_user),
                answer_key=self._known.key(f"answer {root}", replied, self._name_answer),
                results=self._results,
                end=self._index,
                spoke=self._spoke,
                answered=self._answered,
                files=tuple(self._files),
            )
        )

    def _name_user(self, said: Sequence[str]) -> str:
        return self._keys.user("".join(map(canonical_user, said)), self._files)

    def _name_answer(self, replied: Sequence[str]) -> str:
        return self._keys.answer("".join(map(canonical_assistant, replied)))

    def anchors(self) -> tuple[Anchor, ...]:
        """Return the readings of where the last answer is, the one with most answers first.

        A run of results may hold answers that were nothing but a call, which some clients leave out.
        """
        last, since = self._last, self._results_since
        if not since:
            return () if last is None else (replace(last, results=None),)
        turn = _turn_of(self.turns, since[-1])
        start = self.turns[turn - 1].end if turn else 0
        run = [index for index in since if index >= start]
        if last is not None and last.turn == turn:
            told = last.results or 0
            unsaid = [Anchor(turn, index, told + number) for number, index in enumerate(run) if number]
            return (*reversed(unsaid), last)
        return tuple(Anchor(turn, index, number) for number, index in reversed(list(enumerate(run))) if index)

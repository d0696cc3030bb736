"""A client's history: its turns, the answers it could go on from, and the keys of the answer to come.

docs/sessions.md, Turns and keys. A turn is `(U, A)`: consecutive user texts, then all assistant text until the next
user text, over the whole tool loop.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from app.core.canonical import canonical_assistant, canonical_user
from app.core.keys import Keys
from app.core.messages import Message
from app.core.system_text import is_in_parts, is_same_prompt, joined, parts_of
from app.core.told import ToldByPlace


class TurnRead(Struct, frozen=True, gc=False):
    """A turn: which messages are its user's and which its assistant's, and the names of both in canonical form.

    `files` are the digests of what the user attached. `end` counts the messages up to its last one. `spoke` says that
    an assistant spoke in it, `answered` that nothing followed that.
    """

    said: tuple[int, ...]
    replied: tuple[int, ...]
    user_key: str
    answer_key: str
    results: int
    end: int
    spoke: bool
    answered: bool
    files: tuple[str, ...] = ()

    @property
    def has_user(self) -> bool:
        """False where the client's window begins in the middle of the turn."""
        return bool(self.said)


class Anchor(Struct, frozen=True, gc=False):
    """An answer that a request may go on from: in `turn`, with `index` messages up to it.

    `results` is the number of tool results told before that answer in its turn; None where no result follows it.
    """

    turn: int
    index: int
    results: int | None


class TurnRow(Struct, frozen=True, gc=False):
    """A turn to remember, so that a client that trims its window is recognised by it."""

    key: str
    before_key: str
    user_key: str
    answer_key: str


class History(Struct, frozen=True, gc=False):
    """A request's messages without the system's, as turns; the last turn is the one that is being answered.

    `anchors` are the possible readings of where the last answer is: more than one only if a run of tool results may
    hold steps without any text, which some clients leave out. The likeliest comes first. `told` is what the messages
    told beside their texts, `answered` the canonical text of the answers in the last turn. `keys_before` name the
    conversation before each turn. `system` is the system prompt; where it is in two parts (system_text.py) it is what
    holds for one answer, `lasting` are the system messages that stay, each named by its digest; `lasting_chain` names
    them up to each.
    """

    keys: Keys
    system: str
    system_digest: str
    spoken: tuple[Message, ...]
    turns: tuple[TurnRead, ...]
    anchors: tuple[Anchor, ...]
    told: ToldByPlace
    answered: str
    keys_before: tuple[str, ...]
    lasting: tuple[str, ...] = ()
    lasting_digests: tuple[str, ...] = ()
    lasting_chain: tuple[str, ...] = ()

    @property
    def whole_system(self) -> str:
        """Both parts of the system prompt."""
        return joined((*self.lasting, self.system)) if self.lasting else self.system

    def revokes(self, known: str) -> bool:
        """Say whether a chat that goes by this digest was told what no longer holds beside the instructions of now.

        It was told system messages that the client does not show any more, or its prompt came in another form.
        """
        if not known or is_same_prompt(self.system_digest, known):
            return False
        if self.system_digest and is_in_parts(self.system_digest) != is_in_parts(known):
            return True
        told = parts_of(known)[0]
        return is_in_parts(known) and told not in ("", parts_of(self.system_digest)[0], *self.lasting_chain)

    def changed_system(self, known: str) -> str | None:
        """Return the instructions that a chat has to be told, None where it knows them by this digest."""
        if is_same_prompt(self.system_digest, known):
            return None
        is_told = is_in_parts(self.system_digest) and parts_of(self.system_digest)[1] == parts_of(known)[1]
        return None if is_told and not self.revokes(known) else self.system

    def new_lasting(self, known: str) -> tuple[str, ...]:
        """Return those of the system messages that stay which a chat that goes by this digest was not told."""
        if is_same_prompt(self.system_digest, known):
            return ()
        told = parts_of(known)[0]
        if self.revokes(known) or told not in self.lasting_chain:
            return self.lasting
        return self.lasting[self.lasting_chain.index(told) + 1 :]

    def user_of(self, turn: TurnRead) -> str:
        """Return the text of a turn's user in canonical form."""
        return user_text(self.spoken, turn.said)

    def answer_of(self, turn: TurnRead) -> str:
        """Return the answer of a turn in canonical form, over all its messages."""
        return answer_text(self.spoken, turn.replied)

    def placed(self, turns: int, key: str) -> "History":
        """Return this history with its first turns known by a key that it cannot compute: the client trimmed them."""
        if key == self.keys_before[turns]:
            return self
        keys = [key]
        for turn in self.turns[turns:-1]:
            keys.append(self.keys.turn(keys[-1], turn.user_key, turn.answer_key))
        return replace(self, keys_before=(*self.keys_before[:turns], *keys))

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
        return bisect_right(self.turns, index, key=lambda turn: turn.end)

    @property
    def last_answer(self) -> int:
        """The number of messages up to the last answer; 0 if there is none."""
        return self.anchors[-1].index if self.anchors else 0

    @property
    def before_answer(self) -> str:
        """The key of the conversation before the turn of the last answer; there must be one."""
        return self.keys_before[self.anchors[0].turn]

    @property
    def before_key(self) -> str:
        """The key of the conversation before the turn that is being answered."""
        return self.keys_before[-1]

    @property
    def asked_key(self) -> str:
        """The key of what is being answered."""
        return self.keys.asked(self.before_key, self.turns[-1].user_key)

    def keys_of(self, answer: str) -> tuple[TurnRow, str | None]:
        """Return the turn that ends with this answer, and the step key of the node that holds it."""
        turn = self.turns[-1]
        return turn_and_step(self.keys, self.before_key, turn.user_key, self.answered, answer, turn.results)

    def turn_rows(self, start: int) -> tuple[TurnRow, ...]:
        """Return the turns from `start` up to the one that is being answered, without it."""
        keys = self.keys_before
        return tuple(
            [
                TurnRow(keys[number + 1], keys[number], turn.user_key, turn.answer_key)
                for number, turn in enumerate(self.turns[start:-1], start)
            ]
        )


def user_text(spoken: Sequence[Message], places: Iterable[int]) -> str:
    """Return what a user says in some of the messages, in canonical form."""
    return "".join([canonical_user(spoken[place].text) for place in places])


def answer_text(spoken: Sequence[Message], places: Iterable[int]) -> str:
    """Return what an assistant says in some of the messages, in canonical form."""
    return "".join([canonical_assistant(spoken[place].text) for place in places])


def turn_and_step(
    keys: Keys, before: str, user_key: str, answered: str, answer: str, results: int
) -> tuple[TurnRow, str | None]:
    """Return the turn that ends with an answer, and the answer's step key if results of tools can follow it.

    `answered` is the canonical text of the earlier answers in the same turn, `answer` the raw text of this one.
    """
    answer_key = keys.answer(answered + canonical_assistant(answer))
    row = TurnRow(keys.turn(before, user_key, answer_key), before, user_key, answer_key)
    if "<" in answer or "{" in answer or "[" in answer:  # so is a call written that a client reads by itself
        return row, keys.step(before, user_key, answer_key, results)
    return row, None

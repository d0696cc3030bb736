"""Reads the histories of requests: clients send all of a conversation again at every turn, and only the new is read."""

from collections.abc import Iterator, Sequence
from sys import getsizeof

from app.core.history import History
from app.core.keys import Keys
from app.core.messages import Message
from app.core.reading import Reading
from app.core.recent import Recent
from app.core.system_text import joined, system_digest

_MOST_TRIES = 4  # answers that a history may go on with; more than one where a client shows calls one after the other
_PROMPTS = 4  # for each so many bytes of readings, one of system prompts may be kept
_BESIDE_PROMPT = 400  # bytes that a system prompt takes besides its text: its name and its place, from above
_UNREAD = Reading()
_Place = tuple[str, tuple[int, ...]]


class Histories:
    """Owns the readings that were used last, at most `most` bytes of them, and the names of system prompts.

    A request goes on from the messages of the one before it. That one's reading is found by its last two messages, and
    taken only if the hashes of all are equal; of two conversations that end alike the one read last is kept. A history
    that was trimmed or changed is read from its beginning; texts that it shares with the reading that it was taken for
    have their names from there.
    """

    def __init__(self, most: int) -> None:
        self._readings: Recent[_Place, Reading] = Recent(most)
        self._system_digests: Recent[str, str] = Recent(most // _PROMPTS)
        self._keys: dict[tuple[str, str], Keys] = {}

    def read(
        self, messages: tuple[Message, ...], owner: str, account: str, taught: str = "", *, keep: bool = True
    ) -> History:
        """Read a request's messages; keys are scoped by owner and account.

        `taught` are instructions of our own, which belong to the system prompt. `keep` False: no conversation goes on
        from this request.
        """
        keys = self._keys.get((owner, account))
        if keys is None:
            keys = self._keys[owner, account] = Keys.of(owner, account)
        systems = [message.text for message in messages if message.role == "system"]
        spoken = tuple([message for message in messages if message.role != "system"]) if systems else messages
        system = joined([*systems, taught]) if systems or taught else ""
        reading = self._read(keys, spoken, keep=keep)
        return History(
            keys=keys,
            system=system,
            system_digest=self._system_digest(system) if system else "",
            spoken=spoken,
            turns=reading.turns,
            anchors=reading.anchors(),
            told=reading.told,
            answered=reading.answered,
            keys_before=reading.keys_before,
        )

    def _read(self, keys: Keys, spoken: tuple[Message, ...], *, keep: bool) -> Reading:
        marks = tuple(map(hash, spoken))
        if len(spoken) < 2:  # what is read of a first message is no more than a search for it
            return _UNREAD.go_on(keys, spoken, marks)
        known = alike = None
        for end in _ends(spoken):
            found = self._readings.get(_place(keys, marks[:end]))
            if found is None:
                continue
            if found.begins(marks):
                known = found
                break
            alike = alike or found
        reading = (known or _UNREAD).go_on(keys, spoken, marks, alike)
        if keep:
            if (followed := known or alike) is not None:
                self._readings.drop(_place(keys, followed.marks))
            self._readings.put(_place(keys, marks), reading, reading.size)
        return reading

    def _system_digest(self, system: str) -> str:
        known = self._system_digests.get(system)
        if known is None:
            known = system_digest(system)
            self._system_digests.put(system, known, getsizeof(system) + _BESIDE_PROMPT)
        return known


def _ends(spoken: Sequence[Message]) -> Iterator[int]:
    """Return where the messages of an earlier request may have ended: before an answer, or here if it comes again."""
    tries = _MOST_TRIES
    for end in range(len(spoken) - 1, 0, -1):
        if spoken[end].role == "assistant":
            yield end
            tries -= 1
            if not tries:
                break
    yield len(spoken)


def _place(keys: Keys, marks: tuple[int, ...]) -> _Place:
    """Return what a reading is looked for by; other conversations may have it too."""
    return keys.root, marks[-2:]

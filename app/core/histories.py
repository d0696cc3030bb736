"""Reads the histories of requests: clients send all of a conversation again at every turn, and only the new is read."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from sys import getsizeof
from typing import NamedTuple

from app.core.history import History
from app.core.keys import Keys
from app.core.messages import Message
from app.core.reading import Reading
from app.core.recent import Recent
from app.core.system_text import chained, joined, parts_digest, system_digest
from app.core.tools.prompt_mode import teaches_tools

_MOST_TRIES = 4  # answers that a history may go on with; more than one where a client shows calls one after the other
_PROMPTS = 4  # for each so many bytes of readings, one of system prompts may be kept
_BESIDE_PROMPT = 400  # bytes that a system prompt takes besides its text: its name and its place, from above
_UNREAD, _UNREAD_AND_TAUGHT = Reading(), Reading(is_taught=True)
_Place = tuple[str, bool, tuple[int, ...]]


class _Prompt(NamedTuple):
    """What is known of a system prompt: its name, and whether it teaches tools."""

    digest: str
    teaches: bool


class _Lasting(NamedTuple):
    """What is known of system messages that stay: names of each, and of all up to each; whether any teaches tools."""

    texts: tuple[str, ...]
    digests: tuple[str, ...]
    chain: tuple[str, ...]
    teach: bool

    @property
    def digest(self) -> str:
        """The name of them all."""
        return self.chain[-1] if self.chain else ""


_NO_PROMPT = _Prompt("", teaches=False)
_NO_LASTING = _Lasting((), (), (), teach=False)


class Histories:
    """Owns the readings that were used last, at most `most` bytes of them, and the names of system prompts.

    A request goes on from the messages of the one before it. That one's reading is found by its last two messages, and
    taken only if the hashes of all are equal; of two conversations that end alike the one read last is kept. A history
    that was trimmed or changed is read from its beginning; texts that it shares with the reading that it was taken for
    have their names from there.
    """

    def __init__(self, most: int) -> None:
        self._readings: Recent[_Place, Reading] = Recent(most)
        self._prompts: Recent[str, _Prompt] = Recent(most // _PROMPTS)
        self._keys: dict[tuple[str, str], Keys] = {}

    def read(
        self,
        messages: tuple[Message, ...],
        owner: str,
        account: str,
        taught: str = "",
        *,
        instructions: str | None = None,
        keep: bool = True,
    ) -> History:
        """Read a request's messages; keys are scoped by owner and account.

        `taught` are instructions of our own, which belong to the system prompt; `instructions` are the client's for
        this answer alone, None where its wire format has none. `keep` False: no conversation goes on from this request.
        """
        keys = self._keys.get((owner, account))
        if keys is None:
            keys = self._keys[owner, account] = Keys.of(owner, account)
        systems = [message.text for message in messages if message.role == "system"]
        spoken = tuple([message for message in messages if message.role != "system"]) if systems else messages
        lasting = _NO_LASTING
        if instructions is not None:
            lasting, systems = self._lasting(systems), [instructions]
        system = joined([*systems, taught]) if systems or taught else ""
        prompt = self._prompt(system) if system else _NO_PROMPT
        is_taught = (prompt.teaches or lasting.teach) and not taught  # else we teach them, and read the calls
        reading = self._read(keys, spoken, _UNREAD_AND_TAUGHT if is_taught else _UNREAD, keep=keep)
        return History(
            keys=keys,
            system=system,
            system_digest=prompt.digest if instructions is None else parts_digest(lasting.digest, prompt.digest),
            spoken=spoken,
            turns=reading.turns,
            anchors=reading.anchors(),
            told=reading.told,
            answered=reading.answered,
            keys_before=reading.keys_before,
            lasting=lasting.texts,
            lasting_digests=lasting.digests,
            lasting_chain=lasting.chain,
        )

    def _read(self, keys: Keys, spoken: tuple[Message, ...], unread: Reading, *, keep: bool) -> Reading:
        marks, is_taught = tuple(map(hash, spoken)), unread.is_taught
        if len(spoken) < 2:  # what is read of a first message is no more than a search for it
            return unread.go_on(keys, spoken, marks)
        known = alike = None
        for end in _ends(spoken):
            found = self._readings.get(_place(keys, marks[:end], is_taught=is_taught))
            if found is None:
                continue
            if found.begins(marks):
                known = found
                break
            alike = alike or found
        reading = (known or unread).go_on(keys, spoken, marks, alike)
        if keep:
            if (followed := known or alike) is not None:
                self._readings.drop(_place(keys, followed.marks, is_taught=is_taught))
            self._readings.put(_place(keys, marks, is_taught=is_taught), reading, reading.size)
        return reading

    def _lasting(self, systems: Sequence[str]) -> _Lasting:
        texts = tuple([text for text in systems if text.strip()])
        if not texts:
            return _NO_LASTING
        prompts = [self._prompt(text) for text in texts]
        digests = tuple([prompt.digest for prompt in prompts])
        teach = any(prompt.teaches for prompt in prompts)
        return _Lasting(texts, digests, tuple(accumulate(digests, chained)), teach)

    def _prompt(self, system: str) -> _Prompt:
        known = self._prompts.get(system)
        if known is None:
            known = _Prompt(system_digest(system), teaches_tools(system))
            self._prompts.put(system, known, getsizeof(system) + _BESIDE_PROMPT)
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


def _place(keys: Keys, marks: tuple[int, ...], *, is_taught: bool) -> _Place:
    """Return what a reading is looked for by; other conversations may have it too."""
    return keys.root, is_taught, marks[-2:]

"""Read a client's history: where it can be continued from, what is new in it, and the keys of the answer to come.

docs/sessions.md, Turns and keys. A turn is `(U, A)`: consecutive user texts, then all assistant text until the next
user text, over the whole tool loop. A turn key names the end of a turn, a step key a place inside a tool loop.
"""

from dataclasses import dataclass, field

from app.core.canonical import canonical_assistant, canonical_user, digest, is_tool_result
from app.core.messages import Message
from app.core.system_text import system_digest, system_text

_VERSION = "1"


@dataclass(slots=True)
class _Turn:
    """The turn that is being read, in canonical form."""

    before: str
    user: str = ""
    assistant: str = ""
    results: int = 0
    answered: bool = False

    def turn_key(self, assistant: str) -> str:
        return digest("turn", _VERSION, self.before, self.user, assistant)

    def step_key(self, assistant: str, results: int) -> str:
        return digest("step", _VERSION, self.before, self.user, assistant, str(results))


@dataclass(frozen=True, slots=True)
class History:
    """What a request says about its place.

    `turn_key` or `step_key` is the key of the answer that the request goes on from: a step key when tool results
    follow it, a turn key when the user speaks next, neither when there is no answer yet. `earlier` and `new` are the
    messages up to and after that answer, system messages left out.
    """

    system: str
    system_digest: str
    earlier: tuple[Message, ...]
    new: tuple[Message, ...]
    turn_key: str | None
    step_key: str | None
    _open: _Turn = field(repr=False)

    @property
    def begins(self) -> bool:
        """Whether no assistant has spoken yet."""
        return self.turn_key is None and self.step_key is None

    def keys_of(self, answer: str) -> tuple[str, str]:
        """Return the turn key and the step key of the node that answers this request with that text."""
        text = self._open.assistant + canonical_assistant(answer)
        return self._open.turn_key(text), self._open.step_key(text, self._open.results)


def read_history(messages: tuple[Message, ...], owner: str, account: str) -> History:
    """Read a request's messages; keys are scoped by owner and account."""
    system = system_text(messages)
    spoken = tuple(message for message in messages if message.role != "system")
    anchor = _last_answer(spoken)
    turn = _Turn(digest("scope", _VERSION, owner, account))
    turn_key = step_key = None
    after_call = False
    for index, message in enumerate(spoken):
        if message.role == "assistant":
            turn.assistant += canonical_assistant(message.text)
            turn.answered = True
            after_call = bool(message.tool_calls) or "<tool_use>" in message.text
        elif is_tool_result(message, after_call=after_call):
            if index == anchor > 0:
                step_key = turn.step_key(turn.assistant, turn.results)
            turn.results += 1
        else:
            if turn.answered or turn.results:
                key = turn.turn_key(turn.assistant)
                turn_key = key if index == anchor else turn_key
                turn = _Turn(key)
            turn.user += canonical_user(message.text)
            after_call = False
    if anchor == len(spoken) and turn.answered:
        turn_key = turn.turn_key(turn.assistant)
    return History(system, system_digest(system), spoken[:anchor], spoken[anchor:], turn_key, step_key, turn)


def _last_answer(spoken: tuple[Message, ...]) -> int:
    """Return the index of the first message that upstream has not answered or said: right after the last answer.

    Some clients leave out an assistant message that held nothing but a tool call; where none is left at all, the
    results themselves say where it was.
    """
    for index in range(len(spoken), 0, -1):
        if spoken[index - 1].role == "assistant":
            return index
    return next((index for index, message in enumerate(spoken) if is_tool_result(message, after_call=False)), 0)

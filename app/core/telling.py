"""Say which messages of a client go into its chat, once its place there is known."""

from msgspec import Struct

from app.core.history import History
from app.core.ladder import Found
from app.core.messages import Message, ToolCall


class Telling(Struct, frozen=True, gc=False):
    """What is sent of a history: `untold` goes as a transcript, `said` is the client's new words.

    `earlier` is all that comes before these, told or not. `changed` are calls that the chat holds otherwise, `system`
    is what new system messages say that stay in force.
    """

    earlier: tuple[Message, ...]
    untold: tuple[Message, ...]
    said: tuple[Message, ...]
    changed: tuple[ToolCall, ...] = ()
    system: str = ""


def new_to_tell(history: History) -> Telling:
    """Say what a chat has to be told of messages that follow those of before, which it is told besides."""
    said_from = max((place for turn in history.turns for place in turn.replied), default=-1) + 1
    answered = history.spoken[:said_from]
    return Telling(answered, answered, history.spoken[said_from:], system=history.lasting)


def what_to_tell(history: History, found: Found | None) -> Telling:
    """Say what a chat has to be told: what it does not hold yet, or everything if there is none."""
    told = found.index if found is not None else 0
    # without a chat all is told, and a branch leaves answers behind that its chat does not hold: those go as text
    said_from = max(told, history.last_answer) if found is None or found.match == "branch" else told
    earlier = history.spoken[:said_from]
    return Telling(
        earlier=earlier,
        untold=earlier[told:],
        said=history.spoken[said_from:],
        changed=found.changed if found is not None else (),
        system=history.lasting if found is None or found.is_named else "",
    )

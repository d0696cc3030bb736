"""Say which messages of a client go into its chat, once its place there is known."""

from msgspec import Struct

from app.core.history import History
from app.core.ladder import Found
from app.core.messages import Message, ToolCall
from app.core.system_text import joined


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


def what_to_tell(history: History, found: Found | None) -> Telling:
    """Say what a chat has to be told: what it does not hold yet, or everything if there is none.

    Of messages that follow a named answer that is the same in any chat, for one that does not hold what came before is
    told that besides.
    """
    told = found.index if found is not None else 0
    # without a chat all is told, and a branch leaves answers behind that its chat does not hold: those go as text
    said_from = max(told, history.last_answer) if found is None or found.match == "branch" else told
    before = found.before if found is not None else ()
    return Telling(
        earlier=(*before, *history.spoken[:said_from]),
        untold=history.spoken[told:said_from],
        said=history.spoken[said_from:],
        changed=found.changed if found is not None else (),
        system=joined(
            history.lasting if found is None or found.named else history.new_lasting(found.place.system_digest)
        ),
    )

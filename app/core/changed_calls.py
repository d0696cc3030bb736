"""Calls that were changed in the client before they were run: a person may correct what a model is about to do.

The model knows them as it made them, so it is told (docs/tools.md, Results).
"""

from collections.abc import Mapping, Sequence

from app.core.history import History
from app.core.messages import ToolCall
from app.core.ports import Place, SessionStore
from app.core.told import written_calls
from app.core.tools.arguments import plain_arguments


async def calls_changed_since(
    store: SessionStore, place: Place, history: History, end: int, shown: Mapping[str, int]
) -> tuple[ToolCall, ...]:
    """Return the calls of a place that the client shows otherwise than it made them.

    `end` counts the client's messages up to the place, `shown` holds its calls by id with the messages that show them.
    What the client shows up to there has the digest of the place, unless something was changed or left out.
    """
    told = place.told
    if told is not None and told.calls == history.told.up_to(end).calls:
        return ()
    calls = [call for at in sorted({*shown.values()}) for call in history.spoken[at].tool_calls if call.id in shown]
    return changed_calls(calls, told.call_ids if told else (), await store.answer_text(place.node_id))


def changed_calls(shown: Sequence[ToolCall], made: Sequence[str], text: str | None) -> tuple[ToolCall, ...]:
    """Return those of some calls that are not as the answer says that made them.

    `made` are the ids of all its calls in their order, `text` is its raw text. Where that is not kept, any may be.
    """
    written = written_calls(text) if text else []
    first = len(written) - len(made)  # before them, calls may stand as examples
    said = dict(zip(made, written[first:], strict=True)) if made and first >= 0 else {}
    return tuple([call for call in shown if call.id not in said or _form(call.arguments) != _form(said[call.id][1])])


def note_of(changed: Sequence[ToolCall]) -> str:
    """Return what the model is told of changed calls, a line for each; "" for none."""
    lines = [
        f"(The call of {call.name} was run with {_one_line(call.arguments)} as its arguments.)" for call in changed
    ]
    return "\n".join(lines)


def _form(arguments: str) -> str:
    return plain_arguments(arguments or "{}")


def _one_line(arguments: str) -> str:
    return " ".join(arguments.splitlines()) or "{}"

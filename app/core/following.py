"""Go on from a stored answer that the client names, where it sends nothing of what led there.

docs/sessions.md, Named answers. The history is read of the new messages alone; that it follows the answer is known from
the keys that are stored with it, and so without any text.
"""

from collections.abc import Sequence
from functools import reduce

from msgspec.structs import replace

from app.core.canonical import canonical_assistant
from app.core.drafts import Past
from app.core.history import History
from app.core.ladder import Found
from app.core.messages import Message
from app.core.ports import NamedAnswer, PathNode, SessionStore
from app.core.retelling import retold
from app.core.system_text import chained, is_in_parts, parts_digest, parts_of
from app.core.told import Told, written_calls
from app.core.tools.results import in_order
from app.errors import ResponseUnfinished, TextsNotKept

_FIELD = "previous_response_id"


async def found_after(store: SessionStore, named: NamedAnswer, new: History, owner: str) -> Found:
    """Return the place at an answer for a history of nothing but new messages.

    Raises ResponseUnfinished where nothing can go on from it.
    """
    if named.state == "open":
        raise still_written()
    if not named.answer_key:
        told = "The previous response failed, and has no text that could be continued."
        raise ResponseUnfinished(told, param=_FIELD)
    is_same_turn = not new.turns[0].has_user
    answered = {message.tool_call_id for message in new.spoken if message.tool_call_id}
    turn = await store.path(named.place.node_id, whole=False) if is_same_turn or answered else ()
    names = _names_of_calls([(node.answer, node.calls) for node in turn])
    known = {*names, *[call.id for message in new.spoken for call in message.tool_calls]}
    if other := answered - known:  # of an earlier turn, or of the chat that this one replayed
        names = _names_of_calls(await store.made_calls(sorted(other), owner)) | names
    history, stays = _with_carried_over(_with_names(new, names), named.place.system_digest)
    if is_same_turn:
        history = _in_turn(history, named, _answered(turn, named))
    else:
        history = history.placed(0, history.keys.turn(named.place.before_key, named.user_key, named.answer_key))
    return Found(
        place=replace(named.place, system_digest=stays),
        match="branch" if any(message.role == "assistant" for message in new.spoken) else "exact",
        rung="named",
        history=history,
        index=0,
        rows=history.turn_rows(0),
        named=named,
    )


async def past_of(store: SessionStore, followed: Found) -> Past:
    """Return what led to a named answer, to be told to a chat that does not know it. Raises TextsNotKept."""
    place = followed.place
    written = retold(await store.path(place.node_id, whole=True))
    if written is None:
        raise TextsNotKept(
            "The chat of the previous response is gone or busy, and its texts are not kept here, so that it cannot be "
            "told to another chat.",
            param=_FIELD,
        )
    return Past(written, place.told or Told())


async def pictured(store: SessionStore, node_id: str) -> tuple[Message, ...]:
    """Return the answers up to a stored one, since the user showed a picture last: what is to be changed is in them."""
    path = [node for node in await store.path(node_id, whole=True) if not node.asked_again]
    start = max((number for number, node in enumerate(path) if node.shows_image), default=0)
    return tuple([Message("assistant", node.answer) for node in path[start:] if node.answer])


def still_written() -> ResponseUnfinished:
    """Return the error for an answer whose end is not recorded yet."""
    return ResponseUnfinished("The previous response is still being written.", param=_FIELD)


def _with_carried_over(history: History, known: str) -> tuple[History, str]:
    """Return a history with the digest of its system prompt, and that of the answer's place to compare it with.

    System messages of before stay in force without being sent again; new ones come besides.
    """
    (lasting, passed), (added, passing) = parts_of(known), parts_of(history.system_digest)
    if not added and not passing and not is_in_parts(known):
        return replace(history, system_digest=known), known
    lasting = reduce(chained, history.lasting_digests, lasting)
    return replace(history, system_digest=parts_digest(lasting, passing)), parts_digest(lasting, passed)


def _in_turn(history: History, named: NamedAnswer, answered: str) -> History:
    """Return a history whose first messages belong to the turn of the answer: results of its calls."""
    first, *others = history.turns
    turn = replace(
        first,
        user_key=named.user_key,
        answer_key=history.keys.answer(answered + history.answer_of(first)),
        results=named.results + first.results,
        spoke=True,
    )
    answered_last = history.answered if others else answered + history.answered
    unplaced = ("",) * len(history.keys_before)  # those that were read are of a first turn that is another
    history = replace(history, turns=(turn, *others), answered=answered_last, keys_before=unplaced)
    return history.placed(0, named.place.before_key)


def _answered(turn: Sequence[PathNode], named: NamedAnswer) -> str:
    """Return the canonical text of the answers of a turn.

    Where not all of it is kept, its key takes its place: whoever names answers needs no more, and nobody who sends a
    history is taken for them.
    """
    texts = [node.answer for node in turn if not node.asked_again]
    if not turn or not turn[0].opens_turn or None in texts:
        return named.answer_key
    return "".join([canonical_assistant(text or "") for text in texts])


def _names_of_calls(answers: Sequence[tuple[str | None, tuple[str, ...]]]) -> dict[str, str]:
    """Return the tools of a turn's calls by their ids, in order; without its text a call is known by its number."""
    names: dict[str, str] = {}
    for text, calls in answers:
        written = [name for name, _ in written_calls(text or "")]
        made = len(calls)
        tools = written[len(written) - made :] if len(written) >= made else [f"call {n}" for n in range(1, made + 1)]
        names |= dict(zip(calls, tools, strict=True))
    return names


def _with_names(history: History, names: dict[str, str]) -> History:
    """Return a history whose results are in the order of their calls, and say which tool they are of."""
    if not names:
        return history
    spoken = [
        replace(message, name=names[message.tool_call_id]) if message.tool_call_id in names else message
        for message in in_order(history.spoken, names)
    ]
    return replace(history, spoken=tuple(spoken))

"""Choose among stored answers of equal texts the one that a client means (docs/sessions.md, Equal texts)."""

from collections.abc import Sequence

from app.core.history import History
from app.core.ports import Place
from app.core.told import may_be
from app.core.window import Doubt, enough_said

OTHER_PROMPT = "the system prompt is another, and too little was said to know the conversation by"


def choose_place(places: Sequence[Place], history: History, turn: int, end: int) -> Place | Doubt:
    """Choose among stored answers of equal texts, the newest first, the one that the client means."""
    chosen = alike_places(places, history, turn, end)
    return chosen if isinstance(chosen, Doubt) else chosen[0]


def alike_places(places: Sequence[Place], history: History, turn: int, end: int) -> Sequence[Place] | Doubt:
    """Return those of some stored answers that the client can mean; their chats were told the same.

    `end` counts the client's messages up to them, in its turn of that number. Answers whose chats were told the same
    are as good as one; where they differ and the client's history does not say which it is, none is taken.
    """
    client = history.told.up_to(end)
    keeps_loops = history.told.keeps_loops(end)
    possible = [place for place in places if may_be(client, place.told, keeps_loops=keeps_loops)]
    if not possible:
        return Doubt("the stored conversation with these texts had other tool calls, results or pictures")
    same_prompt = _of_prompt(possible, history)
    # by ids of ours, which are in one conversation only; a place of before they were kept was compared with nothing
    is_named = (client.call_ids or client.answered_ids) and all(place.told for place in possible)
    if not same_prompt and not is_named and not enough_said(history, min(turn + 1, 2)):  # two are enough to copy
        return Doubt(OTHER_PROMPT)
    best = same_prompt or possible
    held = [_held(place) for place in best]
    shown = (client.key, client.pictures)
    if any(shown) and (told_so := [place for place, holds in zip(best, held, strict=True) if holds == shown]):
        return told_so
    if len({(holds, place.system_digest) for place, holds in zip(best, held, strict=True)}) > 1:
        return Doubt("several stored conversations have these texts, with other tool results, pictures or prompts")
    return best


def _of_prompt(places: Sequence[Place], history: History) -> Sequence[Place]:
    """Return the places whose chats know the client's prompt, or most of it, as system messages are added to it."""
    untold = {
        place.node_id: len(history.new_lasting(place.system_digest))
        for place in places
        if history.changed_system(place.system_digest) is None
    }
    fewest = min(untold.values(), default=0)
    return [place for place in places if untold.get(place.node_id) == fewest]


def _held(place: Place) -> tuple[str, frozenset[str]]:
    """Return what a place's chat holds beside the texts."""
    return (place.told.key, place.told.pictures) if place.told else ("", frozenset())

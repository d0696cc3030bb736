"""Draft what is sent and recorded for a request, once its place is known."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from app.core.answer_form import answer_note
from app.core.attaching import LIMITS, Attached
from app.core.attachments import FileContent
from app.core.canonical import sent_digest
from app.core.catalog import Choice
from app.core.changed_calls import note_of
from app.core.history import History, TurnRow
from app.core.ids import new_hex
from app.core.ladder import Found
from app.core.letter import Letter, fitted
from app.core.messages import ChatRequest, Message
from app.core.ports import Match, NewNode, NewSession, NodeFile, Place, Prompt
from app.core.prompts import prompt_for, thinking_for
from app.core.system_text import is_same_prompt
from app.core.telling import Telling
from app.core.title import title_of
from app.core.token_scale import Weight, continued_weight, opened_weight
from app.core.told import Told
from app.core.tools.scheme import SCHEME
from app.core.transcript import (
    FROM_HERE,
    SO_FAR,
    changed_instructions,
    in_place_of_words,
    instructions,
    new_text,
    system_message,
    transcript,
)
from app.errors import FileLimit

SIDE_CALL = "side call"
IS_DELETE = "IS_DELETE"


class Draft(Struct, frozen=True, gc=False):
    """A turn that is about to be sent. Without a `session` row the chat of `prompt` exists; else it is made first.

    `files` go along, once upstream has them, and the document of `letter`, if a part of it was moved there; `whole` is
    the text without that. `weight` is how much the chat holds and the message adds.
    `leaves_video`: a video is not waited for, the answer ends with its task.
    """

    owner: str
    history: History
    node: NewNode
    prompt: Prompt
    session: NewSession | None
    show_reasoning: bool
    letter: Letter
    whole: str
    files: tuple[FileContent, ...]
    weight: Weight
    leaves_video: bool = False


class Past(Struct, frozen=True, gc=False):
    """What came before messages that follow a named answer: written as in a transcript, and what was told beside it."""

    written: str
    told: Told


class _Words(Struct, frozen=True, gc=False):
    """What a message says: the client's new text, the letter around it, all of that as text, and what of it is sent."""

    said: str
    letter: Letter
    whole: str
    sent: str


def continuation(
    request: ChatRequest,
    choice: Choice,
    found: Found,
    telling: Telling,
    attached: Attached,
    fits: Callable[[str], bool],
) -> Draft:
    """Go on at a stored answer: only what is new is sent, and the system prompt if it changed since."""
    place, history = found.place, found.history
    known = place.system_digest
    changed = changed_instructions(history.changed_system(known), revoked=history.revokes(known))
    cut = history.spoken[found.index - 1].text if place.is_cut and found.index else ""
    words = _words(request, telling, attached, fits, system=changed, closing=FROM_HERE, cut=cut)
    node = _node(
        history,
        words,
        session_id=place.session_id,
        place=place,
        match=found.match,
        model=choice.id,
        told=history.told.since(found.index, place.told),
        rows=found.rows,
        files=_names(telling.said, attached),
    )
    thinking, show = thinking_for(request, choice, default=True)
    prompt = prompt_for(request, choice, place, words.sent, telling, attached, thinking=thinking)
    weight = continued_weight(words.whole, history.spoken[: found.index], place, is_pure=_is_pure(attached, choice))
    return Draft(request.owner, history, node, prompt, None, show, words.letter, words.whole, attached.files, weight)


def opening(
    request: ChatRequest,
    choice: Choice,
    history: History,
    telling: Telling,
    account: str,
    delete_because: str | None,
    attached: Attached,
    fits: Callable[[str], bool],
    past: Past | None = None,
) -> Draft:
    """Open a chat: with the user's text alone, or with a transcript of what came before it.

    `past` is what the client did not send of that. A side call is answered without thinking unless the client asked for
    it: titles are wanted at once.
    """
    before = past.written if past is not None else ""
    system = instructions(history.system)
    words = _words(request, telling, attached, fits, system=system, closing=SO_FAR, before=before)
    title = title_of(history.spoken, attached)
    session = NewSession(_new_id("session"), request.owner, account, "", choice.id, title, delete_because)
    node = _node(
        history,
        words,
        session_id=session.id,
        place=None,
        match="new",
        model=choice.id,
        told=history.told.up_to(len(history.spoken)) if past is None else history.told.since(0, past.told),
        rows=() if delete_because else history.turn_rows(0),
        files=_names(telling.said, attached),
    )
    thinking, show = thinking_for(request, choice, default=delete_because != SIDE_CALL)
    prompt = prompt_for(request, choice, None, words.sent, telling, attached, thinking=thinking)
    weight = opened_weight(words.whole, is_pure=_is_pure(attached, choice))
    leaves_video = request.purpose == "video"
    return Draft(
        request.owner,
        history,
        node,
        prompt,
        session,
        show,
        words.letter,
        words.whole,
        attached.files,
        weight,
        leaves_video,
    )


def _words(
    request: ChatRequest,
    telling: Telling,
    attached: Attached,
    fits: Callable[[str], bool],
    *,
    system: str,
    closing: str,
    before: str = "",
    cut: str = "",
) -> _Words:
    """Write what is sent; `closing` follows a transcript, which begins with `before`.

    `cut` is what the client has of the answer that it goes on from, where that was cut.

    Raises FileLimit where its document finds no room.
    """
    said = new_text(telling.said, telling.earlier)
    if telling.system:
        said = "\n\n".join(filter(None, (system_message(telling.system), said)))
    note = answer_note(request, SCHEME)
    letter = Letter(
        said=said or in_place_of_words(telling.said, cut),
        system=system,
        conversation=transcript(telling.untold, attached.shown, before),
        closing=closing if telling.untold or before else "",
        note="\n\n".join(filter(None, (note_of(telling.changed), note))) if telling.changed else note,
    )
    whole = letter.text
    letter, sent = fitted(letter, whole, fits)
    _check_room(attached, letter)
    return _Words(said, letter, whole, sent)


def _check_room(attached: Attached, letter: Letter) -> None:
    """Raise FileLimit where the document of a long text finds no room beside the client's own."""
    if not letter.document:
        return
    documents = sum(file.kind == "document" for file in attached.files)
    if documents >= LIMITS["document"].count:
        raise FileLimit(
            f"The text is so long that it goes as a document, and the message holds {documents} of those already.",
            param="messages",
        )


def _is_pure(attached: Attached, choice: Choice) -> bool:
    """Say whether upstream counts nothing but text that we know."""
    return not attached.files and choice.mode == "chat"


def _names(said: Sequence[Message], attached: Attached) -> tuple[NodeFile, ...]:
    files = [file for message in said for file in message.attachments]
    if not files:
        return ()
    return tuple(NodeFile(file.kind, attached.shown.get(file.digest, file.name), file.digest) for file in files)


def _node(
    history: History,
    words: _Words,
    *,
    session_id: str,
    place: Place | None,
    match: Match,
    model: str,
    told: Told,
    rows: tuple[TurnRow, ...],
    files: tuple[NodeFile, ...],
) -> NewNode:
    turn = history.turns[-1]
    return NewNode(
        id=_new_id("node"),
        session_id=session_id,
        parent_id=place.node_id if place else None,
        depth=place.depth + 1 if place else 1,
        match=match,
        model=model,
        system_digest=_digest_in_chat(history, place),
        user_text=words.said,
        sent_text=_beyond(words),
        before_key=history.before_key,
        user_key=turn.user_key,
        asked_key=history.asked_key,
        answered=history.answered,
        results=turn.results,
        opens_turn=not turn.spoke and not turn.results,
        sent_digest=sent_digest(words.sent),
        told=told,
        rows=rows,
        files=files,
    )


def _digest_in_chat(history: History, place: Place | None) -> str:
    """Return what the system prompt goes by from now on: one that stays the same stays in the form that was told."""
    if place is not None and is_same_prompt(place.system_digest, history.system_digest):
        return place.system_digest
    return history.system_digest


def _beyond(words: _Words) -> str | None:
    """Return what is kept of a message beside the client's own text, with a document's part in its place."""
    if words.sent == words.said:
        return None
    return words.whole if words.whole != words.said else words.sent


def _new_id(kind: str) -> str:
    return f"{kind}_{new_hex()}"

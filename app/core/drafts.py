"""Draft what is sent and recorded for a request, once its place is known."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from app.core.answer_form import answer_note
from app.core.attaching import LIMITS, Attached
from app.core.attachments import FileContent
from app.core.canonical import picture_links, sent_digest
from app.core.catalog import Choice
from app.core.history import History, TurnRow
from app.core.ids import new_hex
from app.core.ladder import Found
from app.core.letter import Letter, fitted
from app.core.messages import ChatRequest, Message
from app.core.ports import Match, NewNode, NewSession, NodeFile, Place, Prompt
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
    transcript,
)
from app.errors import FileLimit

_TITLE_CHARS = 80


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


class Telling(Struct, frozen=True, gc=False):
    """What is sent of a history: `untold` goes as a transcript, `said` is the client's new words."""

    untold: tuple[Message, ...]
    said: tuple[Message, ...]


def what_to_tell(history: History, found: Found | None) -> Telling:
    """Say what a chat has to be told: what it does not hold yet, or everything if there is none."""
    if found is None:
        told = history.last_answer
        return Telling(history.spoken[:told], history.spoken[told:])
    # a branch leaves answers behind that its chat does not hold; they are told as text
    said_from = max(found.index, history.last_answer) if found.match == "branch" else found.index
    return Telling(history.spoken[found.index : said_from], history.spoken[said_from:])


def continuation(
    request: ChatRequest, choice: Choice, found: Found, attached: Attached, fits: Callable[[str], bool]
) -> Draft:
    """Go on at a stored answer: only what is new is sent, and the system prompt if it changed since."""
    place, history = found.place, found.history
    tell = what_to_tell(history, found)
    changed = history.system if history.system_digest != place.system_digest else None
    said = new_text(tell.said, history.spoken[: len(history.spoken) - len(tell.said)])
    letter = Letter(
        said=said or in_place_of_words(tell.said),
        system=changed_instructions(changed),
        conversation=transcript(tell.untold, attached.shown),
        closing=FROM_HERE if tell.untold else "",
        note=answer_note(request, SCHEME),
    )
    whole = letter.text
    letter, text = fitted(letter, whole, fits)
    node = _node(
        history,
        session_id=place.session_id,
        place=place,
        match=found.match,
        model=choice.id,
        said=said,
        sent=text,
        told=history.told.since(found.index, place.told),
        rows=found.rows,
        files=_names(tell.said, attached),
    )
    thinking, show = _thinking(request, choice, default=True)
    prompt = Prompt(
        chat_id=place.chat_id,
        parent_id=place.response_id,
        text=text,
        model=choice.id,
        is_sibling=place.has_children,
        thinking=thinking,
        thinking_budget=request.thinking_budget,
        mode=choice.mode,
        pictures=_to_change(request, choice, history.spoken[: len(history.spoken) - len(tell.said)], attached),
        size=request.size,
    )
    weight = continued_weight(whole, history.spoken[: found.index], place, is_pure=_is_pure(attached, choice))
    _check_room(attached, letter)
    return Draft(request.owner, history, node, prompt, None, show, letter, whole, attached.files, weight)


def opening(
    request: ChatRequest,
    choice: Choice,
    history: History,
    account: str,
    delete_because: str | None,
    attached: Attached,
    fits: Callable[[str], bool],
) -> Draft:
    """Open a chat: with the user's text alone, or with a transcript of what came before it.

    A side call is answered without thinking unless the client asked for it: titles are wanted at once.
    """
    tell = what_to_tell(history, None)
    said = new_text(tell.said, tell.untold)
    letter = Letter(
        said=said or in_place_of_words(tell.said),
        system=instructions(history.system),
        conversation=transcript(tell.untold, attached.shown),
        closing=SO_FAR if tell.untold else "",
        note=answer_note(request, SCHEME),
    )
    whole = letter.text
    letter, text = fitted(letter, whole, fits)
    session = NewSession(
        id=_new_id("session"),
        owner=request.owner,
        account=account,
        chat_id="",
        model=choice.id,
        title=_title(history, attached),
        delete_because=delete_because,
    )
    node = _node(
        history,
        session_id=session.id,
        place=None,
        match="new",
        model=choice.id,
        said=said,
        sent=text,
        told=history.told.up_to(len(history.spoken)),
        rows=() if delete_because else history.turn_rows(0),
        files=_names(tell.said, attached),
    )
    thinking, show = _thinking(request, choice, default=delete_because != SIDE_CALL)
    prompt = Prompt(
        chat_id="",
        parent_id=None,
        text=text,
        model=choice.id,
        thinking=thinking,
        thinking_budget=request.thinking_budget,
        mode=choice.mode,
        pictures=_to_change(request, choice, tell.untold, attached),
        size=request.size,
    )
    weight = opened_weight(whole, is_pure=_is_pure(attached, choice))
    _check_room(attached, letter)
    return Draft(
        request.owner,
        history,
        node,
        prompt,
        session,
        show,
        letter,
        whole,
        attached.files,
        weight,
        request.purpose == "video",
    )


def _to_change(
    request: ChatRequest, choice: Choice, earlier: Sequence[Message], attached: Attached
) -> tuple[tuple[str, ...], ...]:
    """Return what a message under `-image` may be about if it brings no picture: those of answers, the newest first.

    Upstream wants them named again with the message (docs/upstream-protocol.md, Generation modes). Where the user
    showed one since, the chat tells.
    """
    if choice.mode != "image" or request.purpose != "conversation":
        return ()
    if any(file.kind == "image" for file in attached.files):
        return ()
    found: list[tuple[str, ...]] = []
    for message in reversed(earlier):
        if any(file.kind == "image" for file in message.attachments):
            break
        if message.role == "assistant" and (links := picture_links(message.text)):
            found.append(tuple(dict.fromkeys(links))[: LIMITS["image"].count])
    return tuple(found)


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
    *,
    session_id: str,
    place: Place | None,
    match: Match,
    model: str,
    said: str,
    sent: str,
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
        system_digest=history.system_digest,
        user_text=said,
        sent_text=None if sent == said else sent,
        before_key=history.before_key,
        user_key=turn.user_key,
        asked_key=history.asked_key,
        answered=history.answered,
        results=turn.results,
        opens_turn=not turn.spoke and not turn.results,
        sent_digest=sent_digest(sent),
        told=told,
        rows=rows,
        files=files,
    )


SIDE_CALL = "side call"
IS_DELETE = "IS_DELETE"


def _thinking(request: ChatRequest, choice: Choice, *, default: bool) -> tuple[bool, bool]:
    """Return whether the model is to think, and whether the client is to see it.

    The model's suffix says most, then the request. Some models cannot think, others cannot be kept from it.
    """
    wanted = default if request.thinking is None else request.thinking
    if choice.thinking is not None:
        wanted = choice.thinking
    if choice.info is None:
        return wanted, wanted
    return choice.info.can_think and (wanted or choice.info.must_think), wanted


def _title(history: History, attached: Attached) -> str:
    """Return the beginning of the first user text, on one line; without words, the names of the files."""
    first = next((message.text for message in history.spoken if message.role == "user"), "")
    first = first if first.strip() else ", ".join(attached.shown.values())
    line = " ".join(first.split(maxsplit=_TITLE_CHARS))  # what is not split then is behind the end
    return line if len(line) <= _TITLE_CHARS else line[: _TITLE_CHARS - 1] + "…"


def _new_id(kind: str) -> str:
    return f"{kind}_{new_hex()}"

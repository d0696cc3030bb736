"""Draft what is sent and recorded for a request, once its place is known."""

from dataclasses import dataclass

from app.core.answer import answer_note
from app.core.canonical import sent_digest
from app.core.catalog import Choice
from app.core.history import History, TurnRow
from app.core.ids import new_hex
from app.core.ladder import Found
from app.core.messages import ChatRequest
from app.core.ports import Match, NewNode, NewSession, Place, Prompt
from app.core.told import Told
from app.core.tools.scheme import SCHEME
from app.core.transcript import first_message, new_text, next_message, with_note

_TITLE_CHARS = 80


@dataclass(frozen=True, slots=True)
class Draft:
    """A turn that is about to be sent. Without a `session` row the chat of `prompt` exists; else it is made first."""

    owner: str
    history: History
    node: NewNode
    prompt: Prompt
    session: NewSession | None
    show_reasoning: bool


def continuation(request: ChatRequest, choice: Choice, found: Found) -> Draft:
    """Go on at a stored answer: only what is new is sent, and the system prompt if it changed since."""
    place, history = found.place, found.history
    # a branch leaves answers behind that its chat does not hold; they are told as text
    said_from = max(found.index, history.last_answer) if found.match == "branch" else found.index
    said = new_text(history.spoken[said_from:], history.spoken[:said_from])
    changed = history.system if history.system_digest != place.system_digest else None
    text = next_message(changed, history.spoken[found.index : said_from], said)
    text = with_note(text, answer_note(request, SCHEME))
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
        mode="search" if choice.search else "chat",
    )
    return Draft(request.owner, history, node, prompt, None, show)


def opening(request: ChatRequest, choice: Choice, history: History, account: str, delete_because: str | None) -> Draft:
    """Open a chat: with the user's text alone, or with a transcript of what came before it.

    A side call is answered without thinking unless the client asked for it: titles are wanted at once.
    """
    earlier, new = history.spoken[: history.last_answer], history.spoken[history.last_answer :]
    said = new_text(new, earlier)
    text = with_note(first_message(history.system, earlier, said), answer_note(request, SCHEME))
    session = NewSession(
        id=_new_id("session"),
        owner=request.owner,
        account=account,
        chat_id="",
        model=choice.id,
        title=_title(history),
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
    )
    thinking, show = _thinking(request, choice, default=delete_because != SIDE_CALL)
    prompt = Prompt(
        chat_id="",
        parent_id=None,
        text=text,
        model=choice.id,
        thinking=thinking,
        thinking_budget=request.thinking_budget,
        mode="search" if choice.search else "chat",
    )
    return Draft(request.owner, history, node, prompt, session, show)


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
        answered=turn.answer,
        results=turn.results,
        opens_turn=not turn.spoke and not turn.results,
        sent_digest=sent_digest(sent),
        told=told,
        rows=rows,
    )


SIDE_CALL = "side call"
IS_DELETE = "IS_DELETE"


def _thinking(request: ChatRequest, choice: Choice, *, default: bool) -> tuple[bool, bool]:
    """Return whether the model is to think, and whether the client is to see it.

    The model's suffix says most, then the request. Some models cannot think, others cannot be kept from it.
    """
    wanted = next((said for said in (choice.thinking, request.thinking) if said is not None), default)
    if choice.info is None:
        return wanted, wanted
    return choice.info.can_think and (wanted or choice.info.must_think), wanted


def _title(history: History) -> str:
    """Return the beginning of the first user text, on one line."""
    first = next((message.text for message in history.spoken if message.role == "user"), "")
    line = " ".join(first.split())
    return line if len(line) <= _TITLE_CHARS else line[: _TITLE_CHARS - 1] + "…"


def _new_id(kind: str) -> str:
    return f"{kind}_{new_hex()}"

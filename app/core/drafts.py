"""Draft what is sent and recorded for a request, once its place is known."""

from uuid import uuid4

from app.core.catalog import Choice
from app.core.history import History
from app.core.messages import ChatRequest
from app.core.ports import NewNode, NewSession, Place, Prompt
from app.core.transcript import first_message, new_text, next_message
from app.core.turn import Draft

_TITLE_CHARS = 80


def continuation(request: ChatRequest, choice: Choice, history: History, place: Place) -> Draft:
    """Go on at a stored answer: only what is new is sent, and the system prompt if it changed since."""
    said = new_text(history.new, history.earlier)
    changed = history.system if history.system_digest != place.system_digest else None
    text = next_message(changed, said)
    node = NewNode(
        id=_new_id("node"),
        session_id=place.session_id,
        parent_id=place.node_id,
        depth=place.depth + 1,
        match="exact",
        model=choice.id,
        system_digest=history.system_digest,
        user_text=said,
        sent_text=None if text == said else text,
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
        search=choice.search,
    )
    return Draft(request.owner, history, node, prompt, None, show)


def opening(request: ChatRequest, choice: Choice, history: History, account: str, delete_because: str | None) -> Draft:
    """Open a chat: with the user's text alone, or with a transcript of what came before it.

    A side call is answered without thinking unless the client asked for it: titles are wanted at once.
    """
    said = new_text(history.new, history.earlier)
    text = first_message(history.system, history.earlier, said)
    session = NewSession(
        id=_new_id("session"),
        owner=request.owner,
        account=account,
        chat_id="",
        model=choice.id,
        title=_title(history),
        delete_because=delete_because,
    )
    node = NewNode(
        id=_new_id("node"),
        session_id=session.id,
        parent_id=None,
        depth=1,
        match="new",
        model=choice.id,
        system_digest=history.system_digest,
        user_text=said,
        sent_text=None if text == said else text,
    )
    thinking, show = _thinking(request, choice, default=delete_because != SIDE_CALL)
    prompt = Prompt(
        chat_id="",
        parent_id=None,
        text=text,
        model=choice.id,
        thinking=thinking,
        thinking_budget=request.thinking_budget,
        search=choice.search,
    )
    return Draft(request.owner, history, node, prompt, session, show)


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
    first = next((message.text for message in (*history.earlier, *history.new) if message.role == "user"), "")
    line = " ".join(first.split())
    return line if len(line) <= _TITLE_CHARS else line[: _TITLE_CHARS - 1] + "…"


def _new_id(kind: str) -> str:
    return f"{kind}_{uuid4().hex}"

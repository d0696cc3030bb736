"""What a request asks of the form of its answer: how it is read, and what the model is told about it."""

from collections.abc import Callable

from app.core.answer import AnswerFormat, PicturesAnswer, PlainAnswer, PromptModeAnswer
from app.core.catalog import Choice
from app.core.messages import ChatRequest
from app.core.modes import ABILITIES
from app.core.tools.answers import JsonAnswer, ToolAnswer
from app.core.tools.prompt_mode import teaches_tools
from app.core.tools.scheme import Scheme
from app.errors import UnsupportedFeature


def answer_format(request: ChatRequest, system: str, scheme: Scheme, new_id: Callable[[], str]) -> AnswerFormat:
    """Return how the answer to a request under a system prompt is written."""
    answer: AnswerFormat
    if request.purpose == "pictures":
        return PicturesAnswer(request.count, request.messages[-1].text)
    if request.tool_use is not None and request.tool_use.mode != "none":
        answer = ToolAnswer(request.tool_use, scheme, new_id)
    elif request.tool_use is None and teaches_tools(system):
        answer = PromptModeAnswer()
    else:
        answer = PlainAnswer()
    return answer if request.json_format is None else JsonAnswer(request.json_format, answer)


def answer_instructions(request: ChatRequest, scheme: Scheme) -> str:
    """Return what the model is taught about tools; it stays the same while the tools do."""
    return scheme.teach(request.tool_use.tools) if request.tool_use is not None else ""


def answer_note(request: ChatRequest, scheme: Scheme) -> str:
    """Return what this one message asks of the answer's form, "" for nothing."""
    if request.tool_use is None and request.json_format is None and request.purpose == "conversation":
        return ""
    notes = [
        scheme.ask(request.tool_use) if request.tool_use is not None else "",
        request.json_format.teach() if request.json_format is not None else "",
        f"Make {request.count} images." if request.purpose == "pictures" and request.count > 1 else "",
    ]
    return "\n\n".join(note for note in notes if note)


def refuse_unfit(request: ChatRequest, choice: Choice) -> None:
    """Raise UnsupportedFeature for a form of answer that the mode does not have."""
    if choice.mode in {"chat", "search"}:
        return
    has_tools = request.tool_use is not None and request.tool_use.mode != "none"
    if not has_tools and request.json_format is None:
        return
    lacks = "no tools" if has_tools else "no form of JSON"  # in words, as each wire format has its own fields
    raise UnsupportedFeature(
        f"An answer that is to {ABILITIES[choice.mode]} has {lacks}; ask for none, or take the model without that "
        "suffix.",
        param="tools" if has_tools else "response_format",
    )

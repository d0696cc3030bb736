"""Whether the model is to think, by all the ways in which clients say it."""

import msgspec

from app.core.messages import Message
from app.errors import InvalidRequest
from app.wire.thinking import thinking_switch

_EFFORTS = {"none": False, "minimal": False, "low": True, "medium": True, "high": True, "xhigh": True, "max": True}


class TemplateArguments(msgspec.Struct, gc=False):
    """What the models' own chat templates take."""

    enable_thinking: bool | None = None
    thinking_budget: int | None = None


def thinking_of(
    messages: tuple[Message, ...],
    *,
    enabled: bool | None,
    budget: int | None,
    template: TemplateArguments | None,
    effort: str | None,
    effort_field: str,
) -> tuple[bool | None, int | None]:
    """Return whether to think and with how many tokens; the more explicit parameter wins.

    Raises InvalidRequest, which names the field of the effort as `effort_field`.
    """
    if budget is None and template is not None:
        budget = template.thinking_budget
    if budget is not None and budget < 0:
        raise InvalidRequest("'thinking_budget' must be 0 or more tokens.", param="thinking_budget")
    if effort is not None and effort not in _EFFORTS:
        raise InvalidRequest(f"'{effort_field}' must be one of {', '.join(_EFFORTS)}.", param=effort_field)
    thinking = enabled
    if thinking is None and template is not None:
        thinking = template.enable_thinking
    if thinking is None and budget == 0:
        thinking = False
    if thinking is None:
        thinking = _EFFORTS[effort] if effort is not None else thinking_switch(messages)
    return thinking, budget or None

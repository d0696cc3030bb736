"""How many tokens a conversation holds, by an estimate that upstream's own counts correct (docs/limits.md)."""

from collections.abc import Sequence

from msgspec import Struct

from app.core.budget import estimate_tokens
from app.core.events import Usage
from app.core.messages import Message
from app.core.ports import ModelInfo, Place
from app.errors import ChatFull, ContextTooLong

_LEAST, _MOST = 0.5, 2.0  # an estimate is not corrected further than that
_SHARE = 0.3  # of a new count in the correction
_ENOUGH = 2000  # estimated tokens that a count must be of
_ENOUGH_AT_FIRST = 10_000  # the site adds some hundred of its own to a chat


class Weight(Struct, frozen=True, gc=False):
    """What a message adds to its chat, and what the chat holds; `counted` in upstream's tokens, the others estimated.

    `new` is the message, `answer` the answer before it. `counted` is what upstream counted before that answer, None
    where it did not; `earlier` stands for it then. `is_pure`: the message is nothing but text that we know.
    """

    new: int
    answer: int = 0
    counted: int | None = 0
    earlier: int = 0
    is_pure: bool = True


def opened_weight(text: str, *, is_pure: bool) -> Weight:
    """Weigh the first message of a chat."""
    return Weight(estimate_tokens(text), is_pure=is_pure)


def continued_weight(text: str, told: Sequence[Message], place: Place, *, is_pure: bool) -> Weight:
    """Weigh a message that follows a stored answer; `told` is what the client shows up to that answer."""
    is_counted = place.input_tokens is not None
    return Weight(
        new=estimate_tokens(text),
        answer=estimate_tokens(told[-1].text) if told else 0,
        counted=place.input_tokens,
        earlier=0 if is_counted else sum(estimate_tokens(message.text) for message in told[:-1]),
        is_pure=is_pure,
    )


class TokenScale:
    """Owns the corrections: one factor a model, learned while the server runs, kept in memory only."""

    def __init__(self) -> None:
        self._factors: dict[str, float] = {}

    def factor(self, model: str) -> float:
        """Return what estimates for a model are multiplied with."""
        return self._factors.get(model, 1.0)

    def learn(self, model: str, weight: Weight, usage: Usage | None) -> None:
        """Take upstream's count of all input: the growth since its last one is that answer and the message."""
        estimated = weight.new + weight.answer
        enough = _ENOUGH if weight.counted else _ENOUGH_AT_FIRST
        if usage is None or weight.counted is None or not weight.is_pure or estimated < enough:
            return
        grown = usage.input_tokens - weight.counted
        if grown > 0:
            measured = min(max(grown / estimated, _LEAST), _MOST)
            self._factors[model] = self.factor(model) * (1 - _SHARE) + measured * _SHARE

    def check(self, model: ModelInfo | None, weight: Weight) -> None:
        """Raise ContextTooLong with the numbers if the model's context cannot hold a chat and a message.

        It is ChatFull where the context could hold the message alone.
        """
        if model is None or model.context_tokens is None:
            return
        factor = self.factor(model.id)
        held = round((weight.counted or 0) + (weight.answer + weight.earlier) * factor)
        new = round(weight.new * factor)
        if held + new > model.context_tokens:
            before = f" after about {held:,} in the conversation before it" if held else ""
            kind = ChatFull if new <= model.context_tokens else ContextTooLong
            raise kind(
                f"This message holds about {new:,} tokens{before}; the context of {model.id} takes "
                f"{model.context_tokens:,}.",
                param="messages",
            )

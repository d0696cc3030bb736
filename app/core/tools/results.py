"""Results of tools on their way to the model: in the order of their calls, and no longer than the site takes."""

from collections.abc import Sequence

from msgspec.structs import replace

from app.core.messages import Message


def in_order(messages: Sequence[Message], earlier: Sequence[Message]) -> list[Message]:
    """Return messages with each run of tool results in the order of the calls that they answer."""
    places = {call.id: number for number, call in enumerate(call for message in earlier for call in message.tool_calls)}
    out: list[Message] = []
    run: list[Message] = []
    for message in messages:
        if message.role == "tool":
            run.append(message)
            continue
        out += [*_sorted(run, places), message]
        run = []
    return out + _sorted(run, places)


def _sorted(results: list[Message], places: dict[str, int]) -> list[Message]:
    return sorted(results, key=lambda result: places.get(result.tool_call_id or "", len(places)))


def shortened(messages: tuple[Message, ...], budget: int) -> tuple[Message, ...]:
    """Return messages with every tool result cut in the middle to `budget` bytes; 0 leaves them as they are."""
    if not budget or not any(message.role == "tool" and len(message.text) * 4 > budget for message in messages):
        return messages
    return tuple(
        replace(message, text=_cut(message.text, budget)) if message.role == "tool" else message for message in messages
    )


def _cut(text: str, budget: int) -> str:
    raw = text.encode("utf-8", "replace")
    if len(raw) <= budget:
        return text
    head = raw[: budget * 2 // 3].decode("utf-8", "ignore")
    tail = raw[len(raw) - budget // 3 :].decode("utf-8", "ignore")
    left_out = len(text) - len(head) - len(tail)
    return f"{head}\n\n[... {left_out:,} characters of this result were left out here ...]\n\n{tail}"

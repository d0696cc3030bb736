"""Results of tools on their way to the model: in the order of their calls, and no longer than the site takes."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from app.core.messages import Message, ToolCall


def answered_calls(results: Sequence[Message], earlier: Sequence[Message]) -> dict[str, ToolCall]:
    """Return the calls that results answer, by their ids, in the order of the messages that made them.

    Calls of the older kind have no id, nor have their results: of those the last one counts.
    """
    wanted = {message.tool_call_id or "" for message in results if message.role == "tool"}
    if not wanted:
        return {}
    found: list[ToolCall] = []
    for message in reversed(earlier):
        if not wanted:
            break
        for call in reversed(message.tool_calls):
            if call.id in wanted:
                wanted.remove(call.id)
                found.append(call)
    return {call.id: call for call in reversed(found)}


def in_order(messages: Sequence[Message], calls: Iterable[str]) -> list[Message]:
    """Return messages with each run of tool results in the order of the calls that they answer, given their ids."""
    places = {call_id: number for number, call_id in enumerate(calls)}
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
    if not budget or not [each for each in messages if each.role == "tool" and len(each.text) * 4 > budget]:
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

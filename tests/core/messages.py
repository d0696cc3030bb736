"""The messages of a conversation, in short."""

from app.core.messages import Message, ToolCall


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str, *calls: ToolCall) -> Message:
    return Message("assistant", text, calls)


def result(text: str, call_id: str = "call_1") -> Message:
    return Message("tool", text, tool_call_id=call_id)

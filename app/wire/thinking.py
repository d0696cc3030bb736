"""What a user's own words say of thinking, whichever wire format they came in."""

from app.core.messages import Message


def thinking_switch(messages: tuple[Message, ...]) -> bool | None:
    """Return what the user's last message says of thinking in its last word, as the model's own templates read it."""
    for message in reversed(messages):
        if message.role == "user":
            end = message.text[-16:].rstrip()
            return not end.endswith("/no_think") if end.endswith(("/think", "/no_think")) else None
    return None

"""Requests that only look like a first message are told by their known shapes; everything else is a conversation."""

import pytest

from app.core.messages import ChatRequest, Message
from app.core.side_calls import side_call, what_is_asked

NAMING = '[{"role":"user","mainText":"hi"},{"role":"assistant","mainText":"Hello"}]'

TALK = (("system", "Be kind."), ("user", "hi"), ("assistant", "Hello"))


def request(*messages: tuple[str, str], max_tokens: int | None = None) -> ChatRequest:
    said = tuple(
        Message("system" if role == "system" else "assistant" if role == "assistant" else "user", text)
        for role, text in messages
    )
    return ChatRequest(owner="owner", model="m", messages=said, max_tokens=max_tokens)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("topic name", request(("system", "Name the topic."), ("user", NAMING))),
        ("health check", request(("system", "test"), ("user", "hi"))),
        ("translation", request(("system", "Translate: Guten Tag"), ("user", "follow system instruction"))),
        ("Open WebUI", request(("user", "### Task:\nGenerate a title\n<chat_history>"))),
        (
            "NextChat: title",
            request(
                *TALK,
                ("user", "Please generate a four to five word title summarizing our conversation without any lead-in."),
            ),
        ),
        ("NextChat: title", request(*TALK, ("user", "使用四到五个字直接返回这句话的简要主题，不要解释"))),
        ("NextChat: summary", request(*TALK, ("system", "Summarize the discussion briefly in 200 words or less."))),
        ("NextChat: summary", request(*TALK, ("system", "简要总结一下对话内容，用作后续的上下文提示 prompt"))),
        (
            "LobeChat",
            request(
                ("system", "You are a professional conversation summarizer. Generate a concise title."),
                ("user", "user: hi\nassistant: Hello"),
            ),
        ),
        ("at most 50 tokens", request(("user", "Title for: hello"), max_tokens=16)),
    ],
)
def test_a_known_shape_is_a_side_call(name: str, call: ChatRequest) -> None:
    found = side_call(call)
    assert found is not None
    assert name in found


@pytest.mark.parametrize(
    "conversation",
    [
        request(("user", "hi")),
        request(("system", "You are kind."), ("user", "hi")),
        request(("user", "What does ### Task: mean?")),
        request(("user", "[1, 2]")),
        request(("user", "[not json")),
        request(("user", "follow system instruction")),
        request(("user", "hi"), ("assistant", "Hello"), ("user", "### Task: x"), max_tokens=10),
        request(("user", "hi"), ("user", NAMING)),
        request(("user", "hi"), max_tokens=51),
        request(*TALK, ("user", "What does 'Please generate a four to five word title' mean?")),
        request(*TALK, ("system", "Summarize the discussion briefly in 200 words."), ("user", "go on")),
        request(("system", "Summarize the discussion briefly in 200 words."), ("user", "hi")),
    ],
)
def test_everything_else_is_a_conversation(conversation: ChatRequest) -> None:
    assert side_call(conversation) is None


def test_what_a_system_message_at_the_end_asks_is_said_by_the_user() -> None:
    asked = request(*TALK, ("system", "Summarize the discussion briefly in 200 words."))
    *earlier, last = what_is_asked(asked.messages)
    assert tuple(earlier) == asked.messages[:-1]
    assert (last.role, last.text) == ("user", asked.messages[-1].text)
    plain = request(*TALK, ("user", "go on")).messages
    assert what_is_asked(plain) == plain

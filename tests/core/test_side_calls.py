"""Requests that only look like a first message are told by their known shapes; everything else is a conversation."""

import pytest

from app.core.messages import ChatRequest, Message
from app.core.side_calls import FIRST_SHAPES, LAST_SHAPES, LastShape, side_call, what_is_asked

NAMING = '[{"role":"user","mainText":"hi"},{"role":"assistant","mainText":"Hello"}]'

TALK = (("system", "Be kind."), ("user", "hi"), ("assistant", "Hello"))


def request(*messages: tuple[str, str], max_tokens: int | None = None, instructions: str | None = None) -> ChatRequest:
    said = tuple(
        Message("system" if role == "system" else "assistant" if role == "assistant" else "user", text)
        for role, text in messages
    )
    return ChatRequest(owner="owner", model="m", messages=said, max_tokens=max_tokens, instructions=instructions)


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


LOBECHAT = "LobeChat: title or summary"
SYSTEMS = [
    "You are a professional conversation summarizer. Generate a concise title.",
    "You are an assistant skilled at conversations. You need to summarize the user's conversation into a title.",
    "You are an assistant who is good at conversation. You need to summarize the user's conversation into a title.",
    "You're an assistant who's good at extracting key takeaways from conversations and summarizing them.",
    "你是一名擅长会话的助理，你需要将用户的会话总结为 10 个字以内的标题",
]
CLAUDE = "You are a Claude agent.\n\nGenerate a concise, sentence-case title (3-7 words) that captures the main topic."
ALONE = [
    ("Cherry Studio: topic name", "Name the topic.", NAMING),
    ("Cherry Studio: health check", "test", "hi"),
    ("Cherry Studio: translation", "Translate into English: Guten Tag", "follow system instruction"),
    ("Open WebUI: title, tags, follow-ups, queries", "", "### Task:\nGenerate 1-3 broad tags."),
    ("Claude Code: title", CLAUDE, "<session>\nFix the login page\n</session>\n\nWrite the title in its language."),
    *((LOBECHAT, system, "user: hi\nassistant: Hello") for system in SYSTEMS),
]
LAST = [
    (
        "NextChat: title",
        "user",
        "Please generate a four to five word title summarizing our conversation without any lead-in, punctuation.",
    ),
    ("NextChat: title", "user", "使用四到五个字直接返回这句话的简要主题，不要解释、不要标点"),
    ("NextChat: summary", "system", "Summarize the discussion briefly in 200 words or less to use as a prompt."),
    ("NextChat: summary", "system", "Summarize our discussion briefly in 200 words or less to use as a prompt."),
    ("NextChat: summary", "system", "简要总结一下对话内容，用作后续的上下文提示 prompt，控制在 200 字以内"),
    ("NextChat: summary", "system", "简要总结一下你和用户的对话，用作后续的上下文提示 prompt，控制在 200 字以内"),
]


@pytest.mark.parametrize(("name", "system", "user"), ALONE)
def test_a_request_that_stands_alone_is_told_by_what_a_client_really_sends(name: str, system: str, user: str) -> None:
    said = [("system", system)] if system else []
    assert side_call(request(*said, ("user", user))) == name
    assert side_call(request(*said, ("user", f"\n {user} \n"))) == name
    assert side_call(request(("user", user), instructions=system)) == name
    assert side_call(request(*said, ("user", "earlier"), ("assistant", "yes"), ("user", user))) is None


@pytest.mark.parametrize(("name", "role", "text"), LAST)
def test_a_request_about_a_conversation_is_told_by_what_a_client_really_sends(name: str, role: str, text: str) -> None:
    other = "user" if role == "system" else "assistant"
    assert side_call(request(*TALK, (role, text))) == name
    assert side_call(request(*TALK, (role, f"\n {text} \n"))) == name
    assert side_call(request(*TALK, (other, text))) is None


def test_every_shape_in_the_table_is_tried_with_a_text_of_its_own() -> None:
    assert [shape.name for shape in FIRST_SHAPES] == list(dict.fromkeys(name for name, _, _ in ALONE))
    assert [shape.name for shape in LAST_SHAPES] == list(dict.fromkeys(name for name, _, _ in LAST))
    for shape in LAST_SHAPES:
        texts = [text for name, role, text in LAST if (name, role) == (shape.name, shape.role)]
        assert [[text.startswith(start) for text in texts].count(True) for start in shape.beginnings] == [1] * len(
            texts
        )


@pytest.mark.parametrize(("shape", "start"), [(shape, start) for shape in LAST_SHAPES for start in shape.beginnings])
def test_whatever_follows_a_known_beginning_is_a_side_call(shape: LastShape, start: str) -> None:
    assert side_call(request(*TALK, (shape.role, f"{start} and more"))) == shape.name
    assert side_call(request(*TALK, (shape.role, f"He said: {start}"))) is None


@pytest.mark.parametrize(
    "conversation",
    [
        request(("user", "hi")),
        request(("system", "You are kind."), ("user", "hi")),
        request(("user", "What does ### Task: mean?")),
        request(("user", "<session> What is this tag?")),
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

"""What a conversation with files is known by, and that one without files is known as it always was."""

import pytest

from app.core.attachments import Attachment
from app.core.canonical import digest
from app.core.file_types import bytes_digest
from app.core.keys import Keys
from app.core.messages import Message
from app.core.window import TailTurn, agrees
from tests.core.fakes import read_history


def file(name: str) -> Attachment:
    data = name.encode()
    return Attachment("image", f"{name}.png", "image/png", bytes_digest(data), data)


def asked(text: str, *names: str) -> Message:
    return Message("user", text, attachments=tuple(map(file, names)))


def user_key(*messages: Message) -> str:
    return read_history(messages, "anna", "a1").turns[-1].user_key


def test_a_text_without_files_has_the_key_that_stored_databases_hold() -> None:
    root = Keys.of("anna", "a1").root
    assert root == "a152cba1004a1fc7fd9ed2ad62fc3e93"
    assert user_key(asked("hello")) == digest("user", root, "hello") == "51f3dc8a38292c3bf101764dbfda2e63"


def test_every_change_of_the_files_is_another_key() -> None:
    keys = {
        user_key(*messages)
        for messages in (
            [asked("look")],
            [asked("look", "cat")],
            [asked("look", "dog")],
            [asked("look", "cat", "dog")],
            [asked("look", "dog", "cat")],
            [asked("", "cat")],
            [asked("look" + bytes_digest(b"cat"))],
        )
    }
    assert len(keys) == 7


def test_files_count_for_their_turn_however_its_messages_are_cut() -> None:
    assert user_key(asked("look ", "cat"), asked("here")) == user_key(asked("look"), asked("here", "cat"))
    with_answer = (asked("look", "cat"), Message("assistant", "A cat."), asked("and?"))
    turns = read_history(with_answer, "anna", "a1").turns
    assert [turn.files for turn in turns] == [(bytes_digest(b"cat"),), ()]


def test_pictures_of_a_tool_s_result_tell_equal_conversations_apart() -> None:
    def told(name: str) -> str:
        result = asked("Here is the result of mcp tool use `look`:", name)
        call = Message("assistant", "<tool_use><name>look</name><arguments>{}</arguments></tool_use>")
        messages = (asked("go"), call, result)
        history = read_history(messages, "anna", "a1")
        assert history.turns[-1].files == ()
        return history.told.up_to(3).key

    assert told("cat") != told("dog")


@pytest.mark.parametrize(
    ("text", "shown", "stored", "agreed"),
    [
        ("look", (), ("cat",), False),
        ("look", ("cat",), ("cat", "dog"), False),
        ("look", ("dog",), ("cat",), None),
        ("look", ("cat",), (), None),
        ("", ("cat",), ("cat", "dog"), None),
        ("elsewhere", (), ("cat",), None),
    ],
)
def test_a_window_may_lack_files_but_not_have_others(
    text: str, shown: tuple[str, ...], stored: tuple[str, ...], agreed: bool | None
) -> None:
    history = read_history((asked(text, *shown),), "anna", "a1")
    digests = frozenset(bytes_digest(name.encode()) for name in stored)
    assert agrees(history, history.turns[-1], TailTurn("another", "please look here", digests)) is agreed

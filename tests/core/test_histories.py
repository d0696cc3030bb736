"""A history is read the same whatever was read before it, and of one that goes on only the new is read."""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from sys import getsizeof

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from app.core.attachments import Attachment
from app.core.canonical import canonical_assistant, canonical_user
from app.core.file_types import bytes_digest
from app.core.histories import Histories
from app.core.keys import Keys
from app.core.messages import Message, ToolCall
from app.core.reading import Reading
from app.core.system_text import system_digest
from app.core.told import told_by
from app.core.tools.call_ids import new_call_id
from tests.core.fakes import read_history
from tests.core.messages import assistant, result, user
from tests.counting import Calls

ENOUGH = 1 << 20
PICTURE = Attachment("image", "a.png", "image/png", bytes_digest(b"a"), b"a")
PROMPTS = ("Be kind.", "Be kind.", "Be brief.", "Be kind.")
CALL = ToolCall("call_1", "look", "{}")
WRITTEN = "Words. <tool_use>\n<name>look</name>\n<arguments>{}</arguments>\n</tool_use>"
messages = st.one_of(
    st.builds(
        Message,
        st.just("system"),
        st.sampled_from(["Be kind.", "It is 2026-11-23 08:00.", " ", "Write <tool_use></tool_use>."]),
    ),
    st.builds(
        Message,
        st.just("user"),
        st.sampled_from(["a", "b", " a", "a /think", "\ud83d", '[{"type":"text"}]', "<tool_use_result>1"]),
        attachments=st.sampled_from([(), (), (PICTURE,)]),
    ),
    st.builds(
        Message,
        st.just("assistant"),
        st.sampled_from(["a", "b", "", "<think>x</think>a", WRITTEN, "![p](https://a.b/c?d)"]),
        st.sampled_from([(), (), (CALL,), (CALL, ToolCall("call_2", "look", "[]"))]),
    ),
    st.builds(
        Message, st.just("tool"), st.sampled_from(["1", "2"]), tool_call_id=st.sampled_from(["call_1", "call_2"])
    ),
)
some = st.lists(messages, min_size=1, max_size=4).map(tuple)
Said = tuple[Message, ...]


@st.composite
def requests(draw: st.DrawFn) -> list[tuple[Said, str, str, bool]]:
    """Some conversations that go on, branch, are sent again, edited and trimmed, in any order."""
    sent: list[Said] = [draw(some)]
    for _ in range(draw(st.integers(1, 8))):
        said = draw(st.sampled_from(sent))
        at = draw(st.integers(0, len(said) - 1))
        how = draw(st.sampled_from(["on", "on", "on", "again", "edit", "trim", "delete", "new"]))
        if how == "on":
            said = said + draw(some)
        elif how == "edit":
            said = (*said[:at], draw(messages), *said[at + 1 :])
        elif how == "trim":
            said = said[at:]
        elif how == "delete":
            said = (said[:at] + said[at + 1 :]) or said
        elif how == "new":
            said = draw(some)
        sent.append(said)
    owners, accounts = st.sampled_from(["anna", "anna", "ben"]), st.sampled_from(["a1", "a1", "a2"])
    return [(said, draw(owners), draw(accounts), draw(st.sampled_from([True, True, False]))) for said in sent]


@pytest.mark.no_cover  # for its volume
@given(requests(), st.sampled_from([ENOUGH, ENOUGH, 4000, 0]))
def test_a_history_reads_the_same_whatever_was_read_before(asked: list[tuple[Said, str, str, bool]], most: int) -> None:
    histories = Histories(most)
    for said, owner, account, keep in asked:
        history = histories.read(said, owner, account, keep=keep)
        assert history == read_history(said, owner, account)
        placed = history.placed(0, "f" * 32)
        assert placed == read_history(said, owner, account).placed(0, "f" * 32)


class Work:
    """Counts what reading a history takes."""

    def __init__(self, most: int = ENOUGH) -> None:
        self.histories = Histories(most)

    def of(self, *said: Message, owner: str = "anna", keep: bool = True) -> Counter[str]:
        calls = Calls(canonical_user, canonical_assistant, told_by)
        with calls.here():
            history = self.histories.read(said, owner, "a1", keep=keep)
        assert history == read_history(said, owner, "a1")
        return calls.take()


def talk(turns: int, *, start: int = 0) -> Said:
    """A conversation of so many answered turns and one more question."""
    numbers = range(start, start + turns)
    answered = [each for number in numbers for each in (user(f"Why {number}?"), assistant(f"Since {number}."))]
    return (*answered, user(f"Why {start + turns}?"))


NEXT = Counter(told_by=2, canonical_user=1, canonical_assistant=1)
"""What a turn takes: the answer to the last one and the new question."""


def test_what_a_conversation_says_is_read_once() -> None:
    work = Work()
    work.of(*talk(1))
    assert [work.of(*talk(turns)) for turns in range(2, 30)] == [NEXT] * 28


def test_a_history_that_was_read_is_not_read_again_when_the_answer_is_made_anew() -> None:
    work = Work()
    work.of(*talk(5))
    assert work.of(*talk(5)) == Counter()
    assert work.of(*talk(6)) == NEXT


def test_a_side_call_reads_what_is_new_in_it_and_takes_nothing_from_its_conversation() -> None:
    work = Work()
    work.of(*talk(5))
    named = work.of(*talk(5), assistant("Since 5."), user("Name this conversation."), keep=False)
    assert named == NEXT
    assert work.of(*talk(6)) == NEXT


def test_each_step_of_a_tool_loop_is_read_once_however_its_calls_are_shown() -> None:
    for step in (
        (assistant("Look.", CALL), result("22")),
        (assistant("Look.", CALL, ToolCall("call_2", "look", "[]")), result("22"), result("23", "call_2")),
        (assistant("", CALL), result("22"), assistant("", ToolCall("call_2", "look", "[]")), result("23", "call_2")),
    ):
        work, said = Work(), (*talk(3), *step)
        work.of(*said)
        for _ in range(10):
            said += step
            assert work.of(*said)["told_by"] == len(step)
            assert work.of(*said)["canonical_assistant"] == 0


def test_a_window_that_moves_on_names_no_text_twice() -> None:
    work = Work()
    work.of(*talk(10))
    for start in range(1, 20):
        assert work.of(*talk(10, start=start)) == Counter(told_by=21, canonical_user=1, canonical_assistant=1)


def test_an_edit_reads_what_was_changed_and_a_changed_head_is_no_reason_to_name_the_rest_anew() -> None:
    work, said = Work(), talk(10)
    work.of(*said)
    edited = (user("Why not?"), *said[1:], assistant("Since 10."), user("Why 11?"))
    assert work.of(*edited) == Counter(told_by=23, canonical_user=2, canonical_assistant=1)
    assert work.of(*edited, assistant("Since 11."), user("Why 12?")) == NEXT


@pytest.mark.parametrize("changed", [0, 3, 9, 18])
def test_a_history_that_differs_anywhere_is_another_one(changed: int) -> None:
    work, said = Work(), talk(10)
    work.of(*said)
    for other in (user("Something else."), assistant("Something else."), assistant(said[changed].text, CALL)):
        edited = (*said[:changed], other, *said[changed + 1 :], assistant("Since 10."), user("Why 11?"))
        assert work.of(*edited)["told_by"] == len(edited)
        work.of(*said)


def test_another_owner_reads_for_himself() -> None:
    work = Work()
    work.of(*talk(5))
    assert work.of(*talk(6), owner="ben") == Work().of(*talk(6))


def test_no_more_is_kept_than_may_be() -> None:
    work = Work(20_000)
    long = [(user(f"{number}" + "x" * 5000), assistant("Yes."), user("Why?")) for number in range(9)]
    for said in long:
        work.of(*said)
    further = (assistant("So."), user("On?"))
    assert work.of(*long[8], *further)["told_by"] == 2
    assert work.of(*long[0], *further)["told_by"] == 5


LONG = "x" * 100_000


def held(value: object, seen: set[int]) -> int:
    """The bytes that a value takes with all that it refers to, each part once."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    parts: Iterable[object] = ()
    if isinstance(value, Struct):
        parts = [getattr(value, name) for name in value.__struct_fields__]
    elif isinstance(value, tuple | frozenset):
        parts = value
    return getsizeof(value) + sum(held(part, seen) for part in parts)


long_messages = st.builds(
    lambda message, times: replace(message, text=message.text * times), messages, st.sampled_from([1, 1, 50])
)


@given(st.lists(long_messages, max_size=12), st.integers(0, 12))
def test_a_reading_takes_no_more_than_its_size(said: list[Message], first: int) -> None:
    keys, spoken = Keys.of("anna", "a1"), [message for message in said if message.role != "system"]
    marks = tuple(map(hash, spoken))
    before = Reading().go_on(keys, spoken[:first], marks[:first])
    reading = before.go_on(keys, spoken, marks)
    assert held(reading, {id(keys.root)}) <= reading.size + 1000
    assert reading == Reading().go_on(keys, spoken, marks)


def test_ids_pictures_and_files_count() -> None:
    keys = Keys.of("anna", "a1")

    def size(message: Message) -> int:
        return Reading().go_on(keys, [message], (hash(message),)).size

    shown = " ".join(f"![p](https://a.b/{number})" for number in range(500))
    files = tuple(dataclasses.replace(PICTURE, digest=f"{number:032x}") for number in range(500))
    for message in (
        assistant("", *(ToolCall(new_call_id(), "look", "{}") for _ in range(500))),
        assistant(shown),
        Message("user", "Look.", attachments=files),
    ):
        reading = Reading().go_on(keys, [message], (hash(message),))
        assert size(message) >= held(reading, set()) - 1000 > 20_000


def test_no_text_is_kept_but_the_answer_that_may_go_on() -> None:
    keys, said = Keys.of("anna", "a1"), [user(LONG + "?"), assistant(LONG), user(LONG), assistant(LONG)]
    marks = tuple(map(hash, said))
    sizes = [Reading().go_on(keys, said[:end], marks[:end]).size for end in range(1, 5)]
    assert [size // len(LONG) for size in sizes] == [0, 1, 0, 1]


def test_of_two_conversations_that_end_alike_the_one_read_last_is_kept() -> None:
    work, end = Work(), (assistant("Yes."), user("Why?"))
    one, other = (user("One."), *end), (user("Other."), *end)
    for said in (one, other):
        work.of(*said)
    assert work.of(*other, assistant("So."), user("On?"))["told_by"] == 2
    assert work.of(*one, assistant("So."), user("On?"))["told_by"] == 5


def test_the_bytes_of_files_are_not_kept() -> None:
    large = Attachment("image", "a.png", "image/png", bytes_digest(b"large"), b"large" * 1000)
    said = (Message("user", "Look.", attachments=(large,)), assistant("I see."), user("What?"))
    work = Work(5000)
    work.of(*said)
    assert work.of(*said, assistant("A cat."), user("And now?"))["told_by"] == 2


def test_a_system_prompt_that_comes_again_is_named_once() -> None:
    histories, calls = Histories(ENOUGH), Calls(system_digest)
    with calls.here():
        read = [histories.read((Message("system", prompt), user("hi")), "anna", "a1") for prompt in PROMPTS]
        assert histories.read((user("hi"),), "anna", "a1").system_digest == ""
    assert calls.take().total() == 2
    assert [history.system_digest for history in read] == [system_digest(prompt) for prompt in PROMPTS]


def test_system_prompts_are_kept_by_the_bytes_that_they_take() -> None:
    wide = "\u4e00" * 6000
    for prompts, named in (([wide, wide], 2), (["x" * 6000] * 2, 1), (list("abcdefghijklmnopqrstuvwxyz") * 2, 52)):
        histories, calls = Histories(4 * 10_000), Calls(system_digest)
        with calls.here():
            for prompt in prompts:
                histories.read((Message("system", prompt), user("hi")), "anna", "a1")
        assert calls.take().total() == named

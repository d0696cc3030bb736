"""What was told beside the texts tells conversations of equal texts apart, and nothing else does."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.core.canonical import canonical_assistant, digest, squeeze
from app.core.history import History
from app.core.messages import Message, ToolCall
from app.core.told import Told, may_be, told_by, words_and_calls
from app.core.tools.call_ids import is_own_call_id, new_call_id
from app.core.tools.scheme import SCHEME
from tests.core.fakes import read_history

OURS, OTHERS = new_call_id(), new_call_id()


def call(call_id: str, arguments: str = '{"city": "Paris"}') -> ToolCall:
    return ToolCall(call_id, "weather", arguments)


def asks(*calls: ToolCall, text: str = "") -> Message:
    return Message("assistant", text, tool_calls=calls)


def result(text: str, call_id: str = OURS) -> Message:
    return Message("tool", text, tool_call_id=call_id)


def read(*messages: Message) -> History:
    return read_history(messages, "owner", "account")


def told(*messages: Message) -> Told:
    return read(*messages).told.up_to(len(messages))


QUESTION = Message("user", "How warm is it?")
messages = st.lists(
    st.sampled_from([QUESTION, asks(call(OURS)), asks(text="Words."), result("20 degrees"), result("5 degrees")]),
    min_size=1,
    max_size=8,
).map(lambda said: [QUESTION, *said])


@given(messages, st.data())
def test_it_is_the_same_told_in_one_go_or_turn_by_turn(said: list[Message], data: st.DataObject) -> None:
    """Parts end where requests do: before an answer."""
    ends = [index for index, message in enumerate(said) if message.role == "assistant"]
    at = data.draw(st.sampled_from([*ends, len(said)]))
    history = read(*said)
    assert history.told.since(at, history.told.up_to(at)) == history.told.up_to(len(said))


def plainly_told(said: list[Message]) -> tuple[Told, bool]:
    """Fold a whole history at once, by the definition that the digests in the databases are made by."""
    key = calls = results = ""
    call_ids: tuple[str, ...] = ()
    answered: set[str] = set()
    run: list[str] = []
    shown = keeps_loops = False

    def closed() -> str:
        return digest("results", key, *sorted(run)) if run else key

    for message in said:
        if message.role == "tool":
            run.append(digest("result", squeeze(message.text)))
            results = f"{(int(results or '0', 16) + int(run[-1], 16)) % (1 << 128):032x}"
            answered = (answered | {message.tool_call_id or ""}) & {*call_ids}
            shown = True
            continue
        key, run = closed(), []
        if message.role == "user":
            calls = results = ""
            keeps_loops = keeps_loops or shown
        for made in message.tool_calls:
            named = digest("call", made.name, made.arguments)
            key, calls = digest("calls", key, named), digest("calls", calls, named)
            call_ids, shown = (made.id,), True
    return Told(closed(), calls, results, call_ids, answered_ids=tuple(sorted(answered))), keeps_loops


@given(messages, st.data())
def test_wherever_it_is_asked_for_first_it_is_what_the_messages_up_to_there_tell(
    said: list[Message], data: st.DataObject
) -> None:
    history = read(*said)
    for end in data.draw(st.permutations(range(len(said) + 1))):
        assert (history.told.up_to(end), history.told.keeps_loops(end)) == plainly_told(said[:end])


def test_its_digests_are_those_in_the_databases() -> None:
    loop = (
        QUESTION,
        asks(call(OURS)),
        result("5 degrees"),
        result("20 degrees"),
        asks(call(OURS, "{}"), text="Words."),
    )
    assert told(*loop, result("noon"), asks(text="It is warm."), QUESTION, asks(call(OURS)), result("night")) == Told(
        "6e8151f833315ffa37c2583f09c100e5",
        "e6918a7f72016b73af721c56d70ff04f",
        "d5c8ccfd615fa00e8809c648cc56bbe9",
        (OURS,),
        answered_ids=(OURS,),
    )


def test_results_may_come_in_any_order_but_not_in_another_place() -> None:
    calls = asks(call(OURS), call(OTHERS))
    assert told(QUESTION, calls, result("a"), result("b")) == told(QUESTION, calls, result("b"), result("a"))
    assert told(QUESTION, asks(call(OURS)), result("a"), asks(call(OTHERS)), result("b")) != told(
        QUESTION, asks(call(OURS)), result("b"), asks(call(OTHERS)), result("a")
    )


def test_an_answer_as_it_was_written_tells_the_same_as_its_calls_sent_back() -> None:
    written = "I look.\n\n" + SCHEME.write_call("weather", '{"city":"Paris"}')
    stored = Told().after_answer(written, [OURS])
    assert stored == told(QUESTION, asks(call(OURS), text="I look."))
    assert stored != told(QUESTION, asks(call(OURS, '{"city": "Rome"}')))


CALL = re.compile(r"<(tool_use|tool_call)>(?=\s*[<{])(.*?)</\1>", re.DOTALL)
TAUGHT = re.compile(r"\s*<name>(.*?)</name>\s*<arguments>(.*?)</arguments>", re.DOTALL)
tags = st.sampled_from(
    [
        *("<tool_use>", "<name>", "</name>", "<arguments>", "</arguments>", "</tool_use>", " \n", "{}", "a"),
        *("<tool_call>", "</tool_call>"),
    ]
)


@given(st.lists(tags, max_size=20).map("".join))
def test_written_calls_are_those_that_one_expression_finds_and_that_the_text_is_not_known_by(text: str) -> None:
    bodies = [(body, TAUGHT.match(body)) for _, body in CALL.findall(text)]
    made = [ToolCall("", taught[1], taught[2]) if taught else ToolCall("", "", body) for body, taught in bodies]
    assert told_by(asks(text=text), is_result=False).digest == told_by(asks(*made), is_result=False).digest
    assert canonical_assistant(text) == squeeze(CALL.sub("", text))


def test_a_call_that_a_client_reads_by_itself_is_the_same_however_its_json_is_written() -> None:
    one, other, rome = (
        told(QUESTION, asks(text=f"<tool_call>{body}</tool_call>"))
        for body in ('{"name": "look", "arguments": {}}', '\n{"arguments":{},"name":"look"}\n', '{"name": "rome"}')
    )
    assert one == other != rome


def test_calls_that_nothing_ends_take_no_longer_than_others() -> None:
    began = time.process_time()
    for text in ("<tool_use><name>" * 50_000, "<tool_use><name>a</name><arguments>" * 2_000):
        assert told(QUESTION, asks(text=text)) == Told()
    assert time.process_time() - began < 5, "an expression that looks on from each opening takes minutes"


def test_the_running_turn_is_told_apart_from_those_before_it() -> None:
    before = (QUESTION, asks(call(OURS)), result("20 degrees"), asks(text="It is warm."))
    loop = (QUESTION, asks(call(OURS)), result("5 degrees"))
    assert (told(*before, *loop).calls, told(*before, *loop).results) == (told(*loop).calls, told(*loop).results)
    assert told(*before, *loop).key != told(*loop).key
    assert (told(*before, QUESTION).calls, told(*before, QUESTION).results) == ("", "")


def test_texts_alone_tell_nothing() -> None:
    assert told(QUESTION, asks(text="Words."), QUESTION) == Told()


def with_ids(*made: str, answered: tuple[str, ...] = ()) -> Told:
    return Told("a", "a", "a", made, answered_ids=tuple(sorted(answered)))


EARLIER = new_call_id()


@pytest.mark.parametrize(
    ("client", "stored", "same"),
    [
        (with_ids(OURS), with_ids(OURS), True),
        (with_ids(OTHERS), with_ids(OTHERS, OURS), True),
        (with_ids(OURS), with_ids(OTHERS), False),
        (with_ids(OURS), with_ids(), False),
        (with_ids(OURS), with_ids(OURS, OTHERS, answered=(OTHERS,)), False),
        (with_ids(OURS), with_ids(OURS, answered=(EARLIER,)), True),
        (with_ids(OURS, answered=(OURS,)), with_ids(OURS, OTHERS, answered=(OURS,)), True),
        (with_ids(OTHERS, answered=(OTHERS,)), with_ids(OURS, OTHERS, answered=(OTHERS,)), True),
        (with_ids(OURS, answered=(OURS,)), with_ids(OURS, OTHERS, answered=(OURS, OTHERS)), False),
        (with_ids(OURS, OTHERS, answered=(OURS,)), with_ids(OURS, OTHERS, answered=(OTHERS,)), False),
        (with_ids(EARLIER, answered=(EARLIER,)), with_ids(OURS, answered=(EARLIER,)), True),
        (with_ids(EARLIER, answered=(EARLIER,)), with_ids(answered=(EARLIER,)), True),
        (with_ids(EARLIER, answered=(EARLIER,)), with_ids(OURS, answered=(OURS,)), False),
        (with_ids(OTHERS, answered=(EARLIER,)), with_ids(OURS, answered=(EARLIER,)), False),
    ],
)
def test_ids_of_ours_decide_by_what_was_answered_last_and_what_waits(client: Told, stored: Told, *, same: bool) -> None:
    assert may_be(client, replace(stored, key="b", calls="b", results="b"), keeps_loops=True) is same


def test_results_of_one_answer_that_come_in_parts_are_answered_together() -> None:
    calls = asks(call(OURS), call(OTHERS))
    later = asks(text="One is here, I wait for the other.")
    first = told(QUESTION, calls, result("a"), later)
    assert first.answered_ids == (OURS,)
    assert told(QUESTION, calls, result("a"), later, result("b", OTHERS)).answered_ids == tuple(sorted((OURS, OTHERS)))


def test_a_result_of_a_call_without_an_id_of_ours_leaves_no_answered_ids() -> None:
    loop = (QUESTION, asks(call(OURS)), result("a"), QUESTION, asks(call("theirs")), result("b", "theirs"))
    assert told(*loop) == replace(told(*loop), call_ids=(), answered_ids=())


def test_without_them_the_running_turn_does_as_far_as_the_client_shows_it() -> None:
    place = Told("all", "calls", "results", (OURS,))
    for calls, results, same in (
        ("calls", "results", True),
        ("", "", True),
        ("", "results", True),
        ("", "others", False),
        ("others", "results", False),
    ):
        assert may_be(Told("other", calls, results), place, keeps_loops=False) is same
    assert may_be(Told("other"), None, keeps_loops=False)


def test_a_client_that_keeps_its_loops_has_to_show_the_same_in_all() -> None:
    place = Told("all", "", "", (OURS,))
    assert may_be(Told("all"), place, keeps_loops=True)
    assert not may_be(Told("other"), place, keeps_loops=True)


def test_our_ids_are_known_by_their_form() -> None:
    assert is_own_call_id(new_call_id())
    assert not any(map(is_own_call_id, ("call_x", "", "call_" + "Z" * 32, new_call_id() + "0")))


def test_words_and_calls_of_an_answer_are_told_apart() -> None:
    example, made = SCHEME.write_call("f", '{"a": 1}'), SCHEME.write_call("g", '{"b": "</x>"}')
    text = f"Like {example} it.\n\n{made}\n\n{example}"
    assert words_and_calls(text, 2) == (f"Like {example} it.", [("g", '{"b": "<\\/x>"}'), ("f", '{"a": 1}')])
    assert words_and_calls(text, 0) == (text, [])
    assert words_and_calls("No calls.", 0) == ("No calls.", [])

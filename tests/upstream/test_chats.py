"""Chats as the site lists and stores them: both eras, and what nobody expects."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.ports import ChatMessage, ChatRecord, ChatSummary
from app.errors import UpstreamProtocolError
from app.upstream.qwen.chats import read_list, read_record
from tests.upstream.scripted import CHAT

AT = 1790000000


def user(node_id: str = "u1", parent: str | None = None, text: object = "Is 91 prime?", **more: Any) -> dict[str, Any]:
    node = {"id": node_id, "role": "user", "content": text, "models": ["m"], "parentId": parent, "files": []}
    return {**node, "timestamp": AT, "error": None, **more}


def part(content: object, phase: object = "answer", status: object = "finished", **more: Any) -> dict[str, Any]:
    return {"content": content, "phase": phase, "status": status, "role": "assistant", "extra": None, **more}


def summary(*thoughts: str, key: str = "extra") -> dict[str, Any]:
    extra = {"summary_title": {"content": ["t"] * len(thoughts)}, "summary_thought": {"content": list(thoughts)}}
    return {**part("", "thinking_summary"), key: extra}


def answer(node_id: str = "a1", parent: str | None = "u1", *parts: Any, **more: Any) -> dict[str, Any]:
    node = {"id": node_id, "role": "assistant", "content": "", "model": "m", "parentId": parent, "error": None}
    return {**node, "content_list": list(parts), "is_stop": False, "done": True, "timestamp": AT + 1, **more}


def detail(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A chat of 2026: a map with every branch beside the list of the current one."""
    history = {"currentId": "a1", "currentResponseIds": ["a1"], "pagination": {}}
    chat = {"models": ["m"], "messages": [], "history": {**history, "messages": {node["id"]: node for node in nodes}}}
    dates = {"created_at": AT, "updated_at": AT + 5}
    return {"id": CHAT, "title": "Primes", "chat_type": "t2t", "currentId": "a1", **dates, "chat": chat, **more}


def unnoted(kind: str) -> None:
    raise AssertionError(f"noted {kind}")


class Read:
    """A chat that was read, with what was noted on the way."""

    def __init__(self, data: object) -> None:
        self.notes: list[str] = []
        self.record: ChatRecord = read_record(data, CHAT, self.notes.append)

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.record.messages]

    @property
    def last(self) -> ChatMessage:
        return self.record.messages[-1]


def test_reads_a_chat_of_2026_whole() -> None:
    read = Read(detail(user(), answer("a1", "u1", summary("Small primes.", "7 x 13."), part("No: "), part("7 x 13."))))
    asked = datetime.fromtimestamp(AT, UTC)
    answered = datetime.fromtimestamp(AT + 1, UTC)
    assert read.record == ChatRecord(
        id=CHAT,
        title="Primes",
        model="m",
        updated_at=datetime.fromtimestamp(AT + 5, UTC),
        messages=(
            ChatMessage("u1", None, "user", "Is 91 prime?", "", "m", asked, True, False, None),
            ChatMessage(
                "a1",
                "u1",
                "assistant",
                "No: 7 x 13.",
                "Small primes.\n\n7 x 13.",
                "m",
                answered,
                True,
                False,
                None,
            ),
        ),
    )
    assert read.notes == []


@pytest.mark.parametrize(
    ("more", "task"),
    [
        ({"extra": {"wanx": {"task_id": "t1"}, "endTime": 1.5}}, "t1"),
        ({"content_list": [part("", extra={"wanx": {"task_id": "t1"}})]}, "t1"),
        ({"extra": {"wanx": None}}, ""),
        ({"extra": {"wanx": {"task_id": 7}}}, ""),
    ],
)
def test_an_answer_that_is_a_video_names_its_task(more: dict[str, Any], task: str) -> None:
    assert Read(detail(user(extra={"task_id": "other"}), answer(**more))).last.video_task == task


def test_reads_a_chat_of_2025_with_raw_thinking() -> None:
    node = answer("a1", "u1", part("Try 7. ", "think"), part("No."), reasoning_content=None, modelName="M", modelIdx=0)
    assert (Read(detail(user(), node)).last.reasoning, Read(detail(user(), node)).last.text) == ("Try 7. ", "No.")


def test_without_a_map_the_list_is_read() -> None:
    data = detail()
    data["chat"] = {"models": [], "messages": [user(), answer("a1", "u1", part("No."))]}
    read = Read(data)
    assert (read.ids, read.record.model) == (["u1", "a1"], "m")


def test_the_map_has_branches_that_the_list_lacks() -> None:
    data = detail(user(), answer(), user("u2", timestamp=AT + 2), answer("a2", "u2", timestamp=AT + 3))
    data["chat"]["messages"] = [user(), answer()]
    assert Read(data).ids == ["u1", "a1", "u2", "a2"]


def test_a_node_without_an_id_has_that_of_the_map() -> None:
    data = detail()
    data["chat"]["history"]["messages"] = {"u1": {"role": "user", "content": "hi"}}
    assert Read(data).record.messages == (ChatMessage("u1", None, "user", "hi", "", None, None, True, False, None),)


def test_the_older_come_first_and_parents_before_children() -> None:
    late, early = user("u3", "a1", timestamp=AT + 9), user("u2", "a1", timestamp=AT + 3)
    assert Read(detail(late, answer(), early, user())).ids == ["u1", "a1", "u2", "u3"]


def test_a_child_that_claims_to_be_older_still_follows_its_parent() -> None:
    assert Read(detail(answer(timestamp=AT - 50), user())).ids == ["u1", "a1"]


def test_without_times_the_site_s_order_holds_but_parents_come_first() -> None:
    nodes = [user("u2", "a1"), answer(), user(), user("u3", "a1", timestamp=None)]
    assert Read(detail(*nodes)).ids == ["u1", "a1", "u2", "u3"]


def test_a_message_whose_parent_is_not_shown_does_not_become_a_beginning() -> None:
    read = Read(detail(answer("a7", "u7"), user("u8", "a7", timestamp=AT + 2)))
    assert [(message.id, message.parent_id) for message in read.record.messages] == [("a7", "u7"), ("u8", "a7")]


def test_messages_in_a_circle_are_left_out_with_what_follows_them() -> None:
    circle = [user("u2", "a2"), answer("a2", "u2"), user("u3", "a2"), user("u4", "u4")]
    read = Read(detail(*circle, user(), answer()))
    assert read.ids == ["u1", "a1"]
    assert set(read.notes) == {"messages that follow one another in a circle"}


def test_of_two_messages_with_one_id_the_first_is_kept() -> None:
    data = detail()
    data["chat"]["messages"] = [user(), user(text="again")]
    assert [message.text for message in Read(data).record.messages] == ["Is 91 prime?"]


def test_other_roles_and_nameless_nodes_are_noted_and_left_out() -> None:
    data = detail()
    data["chat"]["messages"] = [user(), {"id": "s", "role": "system", "content": "x"}, {"role": "user"}, None, 7]
    read = Read(data)
    assert read.ids == ["u1"]
    assert set(read.notes) == {"a message of the role 'system'", "a message without an id"}


def test_a_chat_that_comes_in_pages_is_noted() -> None:
    data = detail(user())
    data["chat"]["history"]["pagination"] = {"has_more_older": True, "has_more_newer": False}
    assert Read(data).notes == ["a chat of which only a page is shown"]
    data["chat"]["history"]["pagination"] = {"has_more_older": False, "has_more_newer": True}
    assert Read(data).notes == ["a chat of which only a page is shown"]
    data["chat"]["history"]["pagination"] = {"has_more_older": False, "has_more_newer": False}
    assert Read(data).notes == []


@pytest.mark.parametrize("chat", [{}, {"history": None, "messages": None}, {"history": {"messages": []}}])
def test_an_empty_chat_has_no_messages(chat: object) -> None:
    assert Read({"id": CHAT, "chat": chat}).record == ChatRecord(CHAT, "", None, None, ())


@pytest.mark.parametrize("data", [None, [], "text", {}, {"chat": None}, {"id": CHAT, "chat": []}])
def test_an_answer_without_a_chat_is_an_error(data: object) -> None:
    with pytest.raises(UpstreamProtocolError, match="holds no chat"):
        Read(data)


@pytest.mark.parametrize("given_id", ["c9999999-0000-4000-8000-000000000009", 7])
def test_another_chat_than_the_one_asked_for_is_an_error(given_id: object) -> None:
    with pytest.raises(UpstreamProtocolError, match="another chat"):
        Read(detail(id=given_id))


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ({"content_list": [part("a"), part("b")]}, "ab"),
        ({"content_list": [part("a", None), part("b", "")]}, "ab"),
        ({"content_list": [], "content": "old"}, "old"),
        ({"content_list": None, "content": "old"}, "old"),
        ({"content_list": [part("")], "content": "top"}, "top"),
        ({"content_list": [part("a")], "content": "a, said twice"}, "a"),
        ({"content_list": [part(None), "x", None, 7]}, ""),
        ({"content_list": [part([{"type": "text", "text": "a"}, "b"])]}, "ab"),
        ({"content_list": [part("never", "web_search"), part("a")]}, "a"),
        ({"content_list": [part("never", ["odd"]), part("a")]}, "a"),
        (
            {"content_list": [part("I will."), part("no", "PdfMdGen"), part("# R", "deep_research_answer")]},
            "I will.\n\n# R",
        ),
        ({"content_list": [part("never", None, name="web_search"), part("a")]}, "a"),
        (
            {"content_list": [part("kept", None, function_call={}), part("never", None, function_call={"name": "f"})]},
            "kept",
        ),
    ],
)
def test_reads_an_answer_s_visible_text(node: dict[str, Any], text: str) -> None:
    assert Read(detail(user(), answer(**node))).last.text == text


@pytest.mark.parametrize(
    ("parts", "more", "reasoning"),
    [
        ([summary("A", "B"), part("x")], {}, "A\n\nB"),
        ([summary("A", key="extras"), part("x")], {}, "A"),
        ([summary("A"), part("", "web_search"), summary("B")], {}, "A\n\nB"),
        ([{**part("", "thinking_summary"), "extra": {"summary_thought": {"content": "A"}}}], {}, "A"),
        ([part("kept as content", "thinking_summary")], {}, "kept as content"),
        ([part("one", "think"), part("two", "think")], {}, "one\n\ntwo"),
        ([part("x")], {"reasoning_content": "old"}, "old"),
        ([summary("A")], {"reasoning_content": "old"}, "A"),
        ([summary()], {"reasoning_content": 7}, ""),
    ],
)
def test_reads_an_answer_s_thinking(parts: list[Any], more: dict[str, Any], reasoning: str) -> None:
    assert Read(detail(user(), answer("a1", "u1", *parts, **more))).last.reasoning == reasoning


@pytest.mark.parametrize(
    ("node", "finished", "stopped"),
    [
        ({"done": True}, True, False),
        ({"done": False, "content_list": [part("so far", status="typing")]}, False, False),
        ({"done": False, "is_stop": True}, True, True),
        ({"done": True, "is_stop": True, "content_list": [part("so far", status="typing")]}, True, True),
        ({"done": False, "error": "broke"}, True, False),
        ({"done": None, "content_list": [part("a")]}, True, False),
        ({"done": None, "content_list": [part("a", status=None)]}, True, False),
        ({"done": None, "content_list": [part("a"), part("b", status="typing")]}, False, False),
        ({"done": None, "content_list": [part("hm", "think")]}, False, False),
        ({"done": None, "content_list": None, "content": "old"}, True, False),
        ({"done": None, "content_list": None, "content": ""}, False, False),
    ],
)
def test_reads_whether_an_answer_is_finished_and_whether_it_was_stopped(
    node: dict[str, Any], finished: bool, stopped: bool
) -> None:
    last = Read(detail(user(), answer(**node))).last
    assert (last.finished, last.stopped) == (finished, stopped)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, None),
        ("", None),
        ({}, None),
        ("It broke", "It broke"),
        ({"code": "internal_error", "details": "Allocated quota"}, "Allocated quota"),
        ({"code": "internal_error"}, "internal_error"),
        ({"content": 1}, "The site names no reason."),
        (["a", "b"], "a; b"),
        ("see https://example.org/x?key=y now", "see (link) now"),
    ],
)
def test_reads_an_answer_s_error(error: object, said: str | None) -> None:
    assert Read(detail(user(), answer(error=error))).last.error == said


def test_a_phase_that_is_not_text_is_noted() -> None:
    assert Read(detail(answer("a1", None, part("", "fetch_page")))).notes == ["the phase 'fetch_page'"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (AT, AT),
        (AT + 0.5, AT + 0.5),
        (AT * 1000, AT),
        (0, None),
        (-1, None),
        (True, None),
        ("2026-09-21", None),
        (10**30, None),
        (float("nan"), None),
        (None, None),
    ],
)
def test_reads_moments_in_seconds_and_milliseconds(value: Any, seconds: float | None) -> None:
    moment = None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    assert Read(detail(user(timestamp=value))).last.at == moment
    assert read_list([{"id": CHAT, "updated_at": value}], unnoted) == [ChatSummary(CHAT, "", moment)]


def test_reads_the_list_in_its_order() -> None:
    rows = [{"id": "b", "title": "B", "updated_at": AT + 1, "pinned": False}, {"id": "a", "title": None}]
    assert read_list(rows, unnoted) == [
        ChatSummary("b", "B", datetime.fromtimestamp(AT + 1, UTC)),
        ChatSummary("a", "", None),
    ]
    assert read_list([], unnoted) == []


def test_rows_without_an_id_are_noted_and_left_out() -> None:
    notes: list[str] = []
    assert [row.id for row in read_list([{"title": "x"}, None, {"id": 7}, {"id": ""}, {"id": "a"}], notes.append)] == [
        "a"
    ]
    assert set(notes) == {"a row without an id in the list of chats"}


@pytest.mark.parametrize("data", [None, {}, {"chats": []}, "text"])
def test_a_list_of_another_shape_is_an_error(data: object) -> None:
    with pytest.raises(UpstreamProtocolError, match="is no list"):
        read_list(data, unnoted)


KEYS = st.sampled_from(
    [
        "id",
        "role",
        "content",
        "parentId",
        "content_list",
        "phase",
        "status",
        "extra",
        "summary_thought",
        "files",
        "done",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "user", "assistant", "a1", "think"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)
IDS = st.sampled_from(["a", "b", "c", "d", None])


@given(VALUES, VALUES, VALUES)
def test_no_shape_of_a_chat_breaks_the_reader(messages: Any, listed: Any, more: Any) -> None:
    read = Read({"chat": {"history": {"messages": messages, "pagination": more}, "messages": listed, "models": more}})
    assert len(set(read.ids)) == len(read.ids)


@given(st.lists(st.tuples(IDS, IDS, st.sampled_from([None, AT, AT + 1, AT + 2])), max_size=8))
def test_every_tree_is_read_with_parents_first(links: list[tuple[str | None, str | None, int | None]]) -> None:
    data = detail()
    data["chat"]["messages"] = [user(node, parent, timestamp=at) for node, parent, at in links if node]
    ids = Read(data).ids
    for message in Read(data).record.messages:
        if message.parent_id in ids:
            assert ids.index(message.parent_id) < ids.index(message.id)


def test_a_stored_answer_of_images_is_whole() -> None:
    drawn = part("https://cdn.qwenlm.ai/1.png?key=k", "image_gen", status="finished")
    read = Read(detail(user(), answer("a1", "u1", drawn, done=None)))
    message = read.record.messages[1]
    assert (message.text, message.finished, message.pictures, read.notes) == ("", True, (drawn["content"],), [])
    assert (
        not Read(detail(user(), answer("a1", "u1", part("", "image_gen", "typing"), done=None)))
        .record.messages[1]
        .finished
    )

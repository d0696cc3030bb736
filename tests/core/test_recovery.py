"""Answers that a stop cut are given to the messages that they answer, each to one, and to nobody else's."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest
from msgspec.structs import replace

from app.clock import SystemClock
from app.core.canonical import sent_digest
from app.core.ports import ChatMessage, ChatRecord, NodeEnd, OpenNode, SessionStore, Upstream
from app.core.recovery import Recovery, RecoveryPace
from app.core.surroundings import Patience, Surroundings
from app.core.told import Told
from app.errors import ChatGone, StoreBusy


def open_node(name: str, text: str) -> OpenNode:
    return OpenNode(
        node_id=name,
        session_id="session",
        chat_id="chat",
        owner="owner",
        account="account",
        parent_response_id="parent",
        sent_digest=sent_digest(text),
        before_key="before",
        user_key="user",
        answered=None,
        results=0,
        opens_turn=True,
        told=Told(),
        known_responses=frozenset(),
    )


class Site:
    """A chat with these questions below one parent, each answered."""

    def __init__(self, *asked: str) -> None:
        self.messages = []
        for number, text in enumerate(asked):
            self.messages.append(said("user", f"q{number}", "parent", text))
            self.messages.append(said("assistant", f"a{number}", f"q{number}", f"answer {number}"))

    async def account_now(self) -> str:
        return "account"

    async def read_chat(self, chat_id: str) -> ChatRecord:
        return ChatRecord(chat_id, "", None, None, tuple(self.messages))


class Kept:
    """Remembers what became of each node; it is busy for the first `busy` writes."""

    def __init__(self, busy: int = 0) -> None:
        self.busy = busy
        self.ends: dict[str, NodeEnd] = {}

    def finish_turn(self, end: NodeEnd, at: Any) -> "asyncio.Future[None]":
        done = asyncio.get_running_loop().create_future()
        if self.busy:
            self.busy -= 1
            done.set_exception(StoreBusy("A shell holds the write lock."))
        else:
            self.ends[end.node_id] = end
            done.set_result(None)
        return done


def said(role: Any, name: str, parent: str, text: str) -> ChatMessage:
    return ChatMessage(
        id=name,
        parent_id=parent,
        role=role,
        text=text,
        reasoning="",
        model=None,
        at=None,
        finished=True,
        stopped=False,
        error=None,
    )


def test_a_chat_that_another_account_s_token_did_not_find_is_not_given_up() -> None:
    """The owner took another token while the chat was read."""

    class Replaced(Site):
        name = "account"

        async def account_now(self) -> str:
            return self.name

        async def read_chat(self, chat_id: str) -> ChatRecord:
            self.name = "another account"
            raise ChatGone("The site has no such chat.")

    class Remembering(Kept):
        async def forget(self, session_id: str, reason: str, at: Any) -> None:
            raise AssertionError("its session was given up")

    kept = Remembering()
    asyncio.run(recovery(Replaced(), kept, open_node("n1", "ours")).run())
    assert kept.ends["n1"].error == "its chat belongs to another account"


def recovery(site: Site, kept: Kept, *nodes: OpenNode) -> Recovery:
    pace = RecoveryPace(look=0, retry=0.001)
    around = Surroundings(
        upstream=cast(Upstream, site),
        store=cast(SessionStore, kept),
        background=cast(Any, None),
        clock=SystemClock(),
        meter=cast(Any, None),
        patience=Patience(),
        deletion_delay=timedelta(),
        on_chat_released=lambda: None,
        on_chat_named=lambda chat_id, title: None,
    )
    return Recovery(around, nodes, pace, "kept")


def recovered(site: Site, *nodes: OpenNode, busy: int = 0) -> dict[str, str | None]:
    kept = Kept(busy)
    asyncio.run(recovery(site, kept, *nodes).run())
    return {name: end.response_id for name, end in kept.ends.items()}


def test_a_message_of_the_browser_is_not_taken_for_ours() -> None:
    assert recovered(Site("ours", "typed in the browser"), open_node("n1", "ours")) == {"n1": "a0"}
    assert recovered(Site("typed in the browser"), open_node("n1", "ours")) == {"n1": None}


def test_an_answer_of_another_account_is_not_touched() -> None:
    """The owner took another token: the site would show this account nothing, or somebody else's chat."""

    class Untouchable(Site):
        async def read_chat(self, chat_id: str) -> ChatRecord:
            raise AssertionError("it was read with another account's token")

    kept = Kept()
    node = replace(open_node("n1", "ours"), account="another")
    asyncio.run(recovery(Untouchable("ours"), kept, node).run())
    end = kept.ends["n1"]
    assert (end.state, end.response_id, end.error) == ("failed", None, "its chat belongs to another account")


def test_an_answer_that_is_nothing_but_pictures_is_read_back_with_them() -> None:
    site, kept = Site("Draw an owl"), Kept(0)
    site.messages[1] = replace(site.messages[1], text="", pictures=("https://cdn/1.png?key=k", "https://cdn/2.png"))
    asyncio.run(recovery(site, kept, open_node("n1", "Draw an owl")).run())
    end = kept.ends["n1"]
    assert (end.state, end.answer_text) == (
        "complete",
        "![image](https://cdn/1.png?key=k)\n\n![image](https://cdn/2.png)",
    )


@pytest.mark.parametrize(
    ("stored", "task", "written"),
    [
        ("https://cdn/1.mp4?key=k", "t1", "[video](https://cdn/1.mp4?key=k)"),
        ("See https://cdn/1.mp4", "t1", "See https://cdn/1.mp4"),
        ("https://example.org/", "", "https://example.org/"),
    ],
)
def test_a_video_is_read_back_as_the_link_that_a_client_is_sent(stored: str, task: str, written: str) -> None:
    site, kept = Site("Film an owl"), Kept(0)
    site.messages[1] = replace(site.messages[1], text=stored, video_task=task)
    asyncio.run(recovery(site, kept, open_node("n1", "Film an owl")).run())
    assert (kept.ends["n1"].state, kept.ends["n1"].answer_text) == ("complete", written)


def test_two_messages_of_equal_text_get_an_answer_each() -> None:
    found = recovered(Site("again", "again"), open_node("second", "again"), open_node("first", "again"))
    assert found == {"second": "a1", "first": "a0"}


def test_a_store_that_is_busy_is_tried_again() -> None:
    assert recovered(Site("ours"), open_node("n1", "ours"), busy=2) == {"n1": "a0"}


async def test_nobody_waits_for_a_recovery_that_cannot_write() -> None:
    work = recovery(Site("ours"), Kept(busy=1_000_000), open_node("n1", "ours"))
    task = asyncio.create_task(work.run())
    await work.settled(5)
    task.cancel()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)


class Retried(Site):
    """The answer is still being written when it is read first; then the client has said the same again."""

    def __init__(self) -> None:
        super().__init__("ours")
        self.messages[1] = replace(self.messages[1], finished=False)
        self.stopped: list[str | None] = []

    async def stop(self, chat_id: str, response_id: str | None) -> None:
        self.stopped.append(response_id)
        self.messages[1] = replace(self.messages[1], finished=True, stopped=True)
        self.messages += [said("user", "q9", "parent", "ours"), said("assistant", "a9", "q9", "another answer")]


def test_a_retry_of_the_client_is_not_taken_for_the_answer_that_was_cut() -> None:
    site = Retried()
    assert recovered(site, open_node("n1", "ours")) == {"n1": "a0"}
    assert site.stopped == ["a0"]


async def test_a_chat_is_busy_until_its_answer_is_read_back() -> None:
    work = recovery(Site("ours"), Kept(), open_node("n1", "ours"))
    assert work.is_reading("chat")
    await work.run()
    assert not work.is_reading("chat")

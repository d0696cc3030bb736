"""Searching and the site's other tools: calls, results, marks, and the form of 2025."""

import json
import re
from itertools import pairwise
from typing import Any

import pytest

from app.emulator.hosted import TOOLS, Tool, topic, wants_search
from tests.emulator.page import FAST, SUMMARY, Site, emulated

SEARCHING = {**FAST, "auto_search": True}
DOC = {"url": "https://a.example/", "title": "A", "snippet": "s", "hostname": "a.example", "hostlogo": "", "date": ""}


async def test_the_mode_searches_whatever_is_asked(site: Site) -> None:
    turn = await site.say(await site.new_chat(chat_type="search"), "The weather in Rome?", chat_type="search")
    *calls, result = turn.phase("web_search")
    arguments = [call["function_call"]["arguments"] for call in calls]
    assert all(later.startswith(earlier) for earlier, later in pairwise(arguments))
    assert json.loads(arguments[-1]) == {"queries": ["The weather in Rome"]}
    docs = result["extra"]["tool_result"]["docs"]
    assert set(docs[0]) == {"url", "title", "snippet", "hostname", "hostlogo", "date"}
    assert result["extra"]["web_search_info"] == docs
    marks = [int(mark) for mark in re.findall(r"\[\[(\d+)\]\]", turn.text)]
    assert marks == [1, 2, 3]
    assert len(docs) == 3
    assert docs[0]["title"] in turn.text
    phases = [delta["phase"] for delta in turn.deltas]
    assert phases == sorted(phases, key=["web_search", "answer"].index)


@pytest.mark.parametrize(
    ("text", "config", "searches"),
    [
        ("Search the web for dogs", SEARCHING, True),
        ("请搜索狗", SEARCHING, True),
        ("Search the web for dogs", FAST, False),
        ("What is a dog?", SEARCHING, False),
    ],
)
async def test_with_auto_search_the_text_decides(site: Site, text: str, config: dict[str, Any], searches: bool) -> None:
    turn = await site.say(await site.new_chat(), text, config=config)
    assert bool(turn.phase("web_search")) is searches
    assert ("[[1]]" in turn.text) is searches
    assert turn.is_finished


async def test_an_account_that_switched_searching_off_does_not_search(site: Site) -> None:
    await site.ask("POST", "/api/v2/users/user/settings/update", {"tools_enabled": {"web_search": False}})
    turn = await site.say(await site.new_chat(), "Search for dogs", config=SEARCHING)
    assert not turn.phase("web_search")


async def test_documents_and_text_are_planned(site: Site) -> None:
    tool = Tool("web_search", arguments={"queries": ["q"]}, docs=[DOC], used_id=38)
    site.emulator.script.answer("It is so [[37]].", tools=[tool])
    turn = await site.say(await site.new_chat(), "hi")
    assert turn.text == "It is so [[37]]."
    result = turn.phase("web_search")[-1]
    assert (result["extra"]["tool_result"]["docs"], result["extra"]["tool_result"]["used_id"]) == ([DOC], 38)
    assert json.loads(turn.phase("web_search")[-2]["function_call"]["arguments"]) == {"queries": ["q"]}


async def test_numbers_run_on_over_two_searches(site: Site) -> None:
    site.emulator.script.answer("so", tools=["web_search", "web_search"])
    turn = await site.say(await site.new_chat(), "hi", config=SUMMARY)
    results = [delta for delta in turn.phase("web_search") if delta["role"] == "function"]
    assert [result["extra"]["tool_result"]["used_id"] for result in results] == [4, 7]
    assert [result["function_id"] for result in results] == ["round_0_1", "round_1_1"]
    ends = [delta for delta in turn.phase("thinking_summary") if delta["status"] == "finished"]
    assert len(ends) == 3


async def test_in_2025_the_documents_came_alone() -> None:
    async with emulated(era="2025") as site:
        turn = await site.say(await site.new_chat(chat_type="search"), "dogs", chat_type="search")
        [delta] = turn.phase("web_search")
        assert (delta["name"], delta["content"]) == ("web_search", "")
        assert delta["extra"]["web_search_info"][0]["hostname"] == "example.org"
        assert "function_call" not in delta
        assert "[[1]]" in turn.text


@pytest.mark.parametrize("tool", TOOLS)
async def test_every_tool_calls_answers_and_is_stored(site: Site, tool: Any) -> None:
    chat = await site.new_chat()
    site.emulator.script.answer("so", fault=tool)
    turn = await site.say(chat, "hi")
    *calls, result = turn.phase(tool)
    assert len(calls) == 3
    assert isinstance(json.loads(calls[-1]["function_call"]["arguments"]), dict)
    assert {call["function_id"] for call in calls} == {result["function_id"]}
    assert (result["role"], result["status"], result["name"]) == ("function", "finished", tool)
    assert turn.text == "so"
    stored = (await site.tree(chat))["chat"]["history"]["messages"][turn.node]["content_list"]
    assert [item["phase"] for item in stored] == [tool, "answer"]
    assert stored[0] == result


async def test_a_tool_says_what_was_planned(site: Site) -> None:
    site.emulator.script.answer("42", tools=[Tool("code_interpreter", {"code": "6*7"}, output="42\n")])
    turn = await site.say(await site.new_chat(), "6*7")
    *_, call, result = turn.phase("code_interpreter")
    assert json.loads(call["function_call"]["arguments"]) == {"code": "6*7"}
    assert result["extra"]["tool_result"] == {"tool_observation": "42\n"}


async def test_a_picture_search_names_pictures(site: Site) -> None:
    site.emulator.script.answer("so", tools=["image_search"])
    result = (await site.say(await site.new_chat(), "hi")).phase("image_search")[-1]
    assert set(result["extra"]["search_result"][0]) == {"title", "image_url", "url"}
    assert result["extra"]["display_position"] == "think"


@pytest.mark.parametrize(
    ("text", "wanted", "about"),
    [
        ("Search for dogs!", True, "dogs"),
        ("please search the web for  big dogs.", True, "big dogs"),
        ("Look up Rome", True, "Rome"),
        ("上网查狗", True, "狗"),
        ("research for me", False, "research for me"),
        ("look at this", False, "look at this"),
    ],
)
def test_a_wish_to_search_is_read_from_the_text(text: str, wanted: bool, about: str) -> None:
    assert wants_search(text) is wanted
    assert topic(text) == about

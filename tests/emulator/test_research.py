"""Deep research, as far as the names of its phases go."""

from typing import Any

import pytest

from tests.emulator.page import Site, Stream, answer_of

LONG = "Compare the history of the railways of Switzerland and of Austria since 1850."


async def research(site: Site, text: str, **changes: Any) -> Stream:
    chat = changes.pop("chat", None) or await site.new_chat(chat_type="deep_research")
    return await site.say(chat, text, **{"chat_type": "deep_research", **changes})


async def test_a_long_question_is_thought_about_reported_and_answered(site: Site) -> None:
    turn = await research(site, LONG)
    phases = list(dict.fromkeys(delta["phase"] for delta in turn.deltas))
    assert phases == ["DeepThinking", "ReportGeneration", "deep_research_answer"]
    for phase in phases:
        assert turn.phase(phase)[-1]["status"] == "finished"
    assert turn.deltas[-1]["phase"] == "deep_research_answer"
    said = "".join(delta["content"] for delta in turn.phase("deep_research_answer"))
    assert said.startswith(f"# A report on {LONG}")
    assert any("response.info" in event for event in turn.events)
    items = (await site.tree(turn.created["chat_id"]))["chat"]["history"]["messages"][turn.node]["content_list"]
    assert [item["phase"] for item in items] == phases
    assert items[-1]["content"] == said


async def test_a_short_question_is_asked_back_and_then_answered(site: Site) -> None:
    chat = await site.new_chat(chat_type="deep_research")
    asked = await research(site, "Railways", chat=chat)
    assert asked.text.startswith("What should the research look at")
    assert {delta["phase"] for delta in asked.deltas} == {"answer"}
    report = await research(site, "The history", chat=chat, parent=asked.node)
    assert report.phase("deep_research_answer")


@pytest.mark.parametrize(
    ("asks", "phase"), [(True, "answer"), (False, "deep_research_answer"), (None, "deep_research_answer")]
)
async def test_the_script_says_whether_it_asks_back(site: Site, asks: bool | None, phase: str) -> None:
    site.emulator.script.answer("Planned.", asks=asks)
    turn = await research(site, "x")
    assert "".join(delta["content"] for delta in turn.phase(phase)) == "Planned."
    assert bool(turn.phase("DeepThinking")) is (asks is not True)


async def test_the_report_may_come_as_a_plain_answer(site: Site) -> None:
    site.emulator.script.fault("report_as_answer")
    turn = await research(site, LONG)
    assert turn.phase("DeepThinking")
    assert not turn.phase("deep_research_answer")
    assert turn.text.startswith("# A report")


async def test_a_report_that_is_cut_is_whole_in_the_chat(site: Site) -> None:
    site.emulator.script.answer("One two three four.", asks=False, fault="cut")
    turn = await research(site, LONG)
    said = "".join(delta["content"] for delta in turn.phase("deep_research_answer"))
    assert said != "One two three four."
    items = (await site.tree(turn.created["chat_id"]))["chat"]["history"]["messages"][turn.node]["content_list"]
    assert items[-1]["content"] == "One two three four."
    assert answer_of({"content": "", "content_list": items}) == ""


async def test_a_stream_may_end_before_its_first_event_and_the_chat_has_the_report(site: Site) -> None:
    site.emulator.script.fault("cut_at_once")
    assert (await research(site, LONG)).raw == b""
    [chat] = site.emulator.chats.values()
    assert chat.nodes[str(chat.current_id)].text.startswith("# A report")

"""What the site finds and how an answer cites it, all the way: client, server, adapter and the site's emulator."""

import asyncio
import json
import re
from pathlib import Path

import aiohttp
import pytest

from app.emulator import Emulator
from app.emulator.hosted import Tool
from tests.e2e.habits import call_text
from tests.e2e.harness import MODEL, Client, Messages, Reply, Server, emulating, eventually, serving
from tests.e2e.processes import ROOT, server_process
from tests.e2e.test_crashes import said, stream
from tests.e2e.test_tools import WEATHER

SEARCH = f"{MODEL}-search"
PAGE = ROOT / "docs" / "files-and-media.md"
PAGES = [{"url": f"https://example.org/{name}", "title": name} for name in ("one", "two", "three")]


def cited(reply: Reply) -> list[tuple[str, str]]:
    """Return the pages that an answer cites, and the text that does."""
    notes = [each["url_citation"] for each in reply.body["choices"][0]["message"].get("annotations", ())]
    return [(note["title"], reply.text[note["start_index"] : note["end_index"]]) for note in notes]


async def test_a_web_search_is_cited_and_the_conversation_goes_on(server: Server) -> None:
    talk = server.conversation()
    found = await talk.say("Search the web for tides", web_search_options={})
    assert found.status == 200, found.body
    cited = found.body["choices"][0]["message"]["annotations"]
    assert all(each["url_citation"]["url"].startswith("http") for each in cited)
    marks = [found.text[each["url_citation"]["start_index"] : each["url_citation"]["end_index"]] for each in cited]
    assert marks
    assert all(re.fullmatch(r"\[\[\d+\]\]", mark) for mark in marks)
    assert (await talk.say("Thank you.")).match == "exact"


async def test_the_marks_of_an_answer_run_on_over_its_searches(server: Server) -> None:
    pages = [{"url": f"https://example.org/{name}", "title": name} for name in ("one", "two", "three")]
    tools = [Tool("web_search", docs=pages[:2]), Tool("web_search", docs=pages[2:])]
    server.emulator.script.answer("First [[1]], last [[3]].", tools=tools)
    reply = await server.client.chat([{"role": "user", "content": "Which pages?"}], model="qwen3.7-plus-search")
    cited = [note["url_citation"] for note in reply.body["choices"][0]["message"]["annotations"]]
    assert [(each["url"], reply.text[each["start_index"] : each["end_index"]]) for each in cited] == [
        ("https://example.org/one", "[[1]]"),
        ("https://example.org/three", "[[3]]"),
    ]


async def test_deep_research_asks_back_and_reports(server: Server) -> None:
    talk = server.conversation(model="qwen3.7-plus-research")
    asked = await talk.say("Write about tides.")
    assert asked.status == 200, asked.body
    report = await talk.say("The last ten years.")
    assert (report.match, report.session) == ("exact", asked.session)
    assert report.reasoning
    assert report.text.startswith("# A report on The last ten years.")


async def test_the_research_that_the_page_has_pasted_brings_its_phases_and_its_report(server: Server) -> None:
    pasted = re.findall(r"-d '(\{\"model\": \"[^\"]+-research\".+\})'", PAGE.read_text("utf-8"))
    asked, report = [await server.client.chat(**json.loads(body)) for body in pasted]
    assert json.loads(pasted[1])["messages"][1]["content"] == asked.text
    assert (report.match, report.session) == ("exact", asked.session)
    assert "I plan what to look for" in report.reasoning
    assert report.text.startswith("# A report on ")


async def test_research_uses_the_site_s_tools_and_its_report_cites_what_they_found(server: Server) -> None:
    tools = [Tool("web_search", {"queries": ["tides"]}, docs=PAGES), Tool("code_interpreter")]
    server.emulator.script.answer("Tides rise [[2]].", tools=tools, asks=False)
    reply = await server.client.chat([{"role": "user", "content": "Tides?"}], model=f"{MODEL}-research")
    assert cited(reply) == [("two", "[[2]]")]
    assert "Searching the web: tides" in reply.reasoning
    assert "Running code" in reply.reasoning


@pytest.mark.parametrize("fault", ["cut", "reset", "cut_at_once"])
async def test_a_broken_stream_loses_no_source(server: Server, fault: str) -> None:
    server.emulator.script.answer("So it is [[2]], says [[1]].", tools=[Tool("web_search", docs=PAGES)], fault=fault)
    reply = await server.client.chat([{"role": "user", "content": "Is it so?"}], model=SEARCH)
    assert reply.text == "So it is [[2]], says [[1]]."
    assert cited(reply) == [("two", "[[2]]"), ("one", "[[1]]")]


async def test_a_model_that_was_asked_again_cites_what_it_found_then(server: Server) -> None:
    script = server.emulator.script
    script.answer("As [[1]] says.\n" + call_text(arguments="{}"), tools=[Tool("web_search", docs=PAGES[:1])])
    script.answer("No call: [[1]] knows it.", tools=[Tool("web_search", docs=PAGES[1:])])
    reply = await server.client.chat([{"role": "user", "content": "Is it warm?"}], model=SEARCH, tools=[WEATHER])
    assert reply.text == "As [[1]] says.\n\nNo call: [[1]] knows it."
    assert cited(reply) == [("one", "[[1]]"), ("two", "[[1]]")]


async def test_an_answer_that_is_taken_since_the_next_one_failed_cites_what_was_found_for_it(server: Server) -> None:
    script = server.emulator.script
    script.answer("As [[1]] says.", tools=[Tool("web_search", docs=PAGES[:1])])
    script.answer("It is [[1]]", tools=[Tool("web_search", docs=PAGES[1:])], fault="error_in_stream")
    asked: Messages = [{"role": "user", "content": "Is it warm?"}]
    reply = await server.client.chat(asked, model=SEARCH, tools=[WEATHER], tool_choice="required")
    assert (reply.text, cited(reply)) == ("As [[1]] says.", [("one", "[[1]]")])


async def test_an_answer_of_calls_alone_or_cut_short_does_not_claim_all_that_was_found(server: Server) -> None:
    server.emulator.script.answer(call_text(), tools=[Tool("web_search", docs=PAGES)])
    asked: Messages = [{"role": "user", "content": "How warm is it?"}]
    assert cited(await server.client.chat(asked, model=SEARCH, tools=[WEATHER])) == []
    server.emulator.script.answer("It is warm. It is cold.", tools=[Tool("web_search", docs=PAGES)])
    reply = await server.client.chat(asked, model=SEARCH, stop=["It is cold"])
    assert (reply.text, cited(reply)) == ("It is warm. ", [])


async def test_json_is_what_the_model_wrote_also_where_it_looks_like_a_mark(tmp_path: Path, emulator: Emulator) -> None:
    async with serving(tmp_path, emulator, CITATIONS="links") as server:
        emulator.script.answer('{"rows":[[1]]}', tools=[Tool("web_search", docs=PAGES)])
        form = {"type": "json_object"}
        reply = await server.client.chat([{"role": "user", "content": "Rows?"}], model=SEARCH, response_format=form)
    assert reply.text == '{"rows":[[1]]}'
    assert [title for title, _ in cited(reply)] == ["one", "two", "three"]


async def test_the_calls_of_a_client_that_reads_them_itself_have_no_links(tmp_path: Path, emulator: Emulator) -> None:
    call = call_text(arguments='{"matrix": [[1]]}')
    async with serving(tmp_path, emulator, CITATIONS="links") as server:
        emulator.script.answer(f"See [[1]].\n{call}", tools=[Tool("web_search", docs=PAGES)])
        system = {"role": "system", "content": f"Call tools like this: {call_text()}"}
        reply = await server.client.chat([system, {"role": "user", "content": "Look."}], model=SEARCH)
    assert reply.text == f"See [1](https://example.org/one).\n{call}"


async def test_an_answer_with_links_that_a_kill_cut_is_found_again(tmp_path: Path) -> None:
    pieces = ["It is so [[1]].", " More", " comes [[2]]", "."]
    async with emulating() as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token(), "CITATIONS": "links"}
        history: Messages = [{"role": "user", "content": "Search the web for tides"}]
        tools = [Tool("web_search", docs=PAGES)]
        hold = emulator.script.hold("", pieces=pieces, before=2, name="searching", tools=tools)
        got: list[str] = []
        async with server_process(tmp_path, **settings) as killed:
            reading = asyncio.create_task(stream(session, killed.url, history, got, model=SEARCH))
            await eventually(lambda: "".join(got).endswith(" More"))
            killed.process.kill()
            await reading
        hold.release()
        history += [said("".join(got)), {"role": "user", "content": "Go on."}]
        async with server_process(tmp_path, **settings) as server:
            reply = await Client(session, server.url).chat(history)
        assert "[1](https://example.org/one)" in "".join(got)
        assert (reply.match, len(emulator.chats)) == ("exact", 1)

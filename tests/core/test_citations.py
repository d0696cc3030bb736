"""Marks of a web search are found in whatever pieces they come, and may become links."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.citations import CitationReader, Marks
from app.core.events import Source

ONE, TWO = Source(1, "https://a.example/one", "One"), Source(23, "https://b.example/two_(2)", "Two")
parts = ["[", "]", "[[", "]]", "[[1]]", "[[23]]", "[[4]]", "1", "a ", "\n", "é", "!", "(", "`", "```", "<tool_use>"]
texts = st.lists(st.sampled_from(parts)).map("".join)


def read(text: str, cuts: list[int], marks: Marks) -> tuple[CitationReader, str]:
    reader = CitationReader(marks)
    reader.found((ONE, TWO))
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    said = [reader.feed(text[start:end]) for start, end in pairwise(edges)]
    return reader, "".join([*said, reader.rest()])


def cited(reader: CitationReader, *, whole: bool = True) -> list[tuple[str, int, int]]:
    found = reader.citations(whole=whole)
    return [(each.title, each.start, each.end) for each in found.cited] if found else []


@given(texts, st.lists(st.integers(0, 60), max_size=8), st.sampled_from(["kept", "links", "ignored"]))
def test_however_a_text_is_cut_it_reads_the_same(text: str, cuts: list[int], marks: Marks) -> None:
    reader, said = read(text, cuts, marks)
    whole, said_at_once = read(text, [], marks)
    assert (said, cited(reader)) == (said_at_once, cited(whole))
    assert marks == "links" or said == text
    for title, start, end in cited(reader):
        number = {"One": "1", "Two": "23"}[title]
        link = rf"\[{number}\]\(https://\S*?\)|\[\[{number}\]\]"
        assert re.fullmatch(link, said[start:end]) or start == end == len(said)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("So [[1]].", "So [1](https://a.example/one)."),
        ("[[23]][[1]]", "[23](https://b.example/two_%282%29)[1](https://a.example/one)"),
        ("Wow![[1]]", "Wow! [1](https://a.example/one)"),
        ("`a` [[1]] `b`", "`a` [1](https://a.example/one) `b`"),
        ("an open ` here\n[[1]]", "an open ` here\n[1](https://a.example/one)"),
        ("```\nx\n```\n[[1]]", "```\nx\n```\n[1](https://a.example/one)"),
    ],
)
def test_marks_become_links(text: str, written: str) -> None:
    for size in range(1, len(text) + 1):
        reader, said = read(text, list(range(0, len(text), size)), "links")
        assert said == written
        assert "".join(re.findall(r"\[\d+\]\(\S+?\)", said)) == "".join(said[at:end] for _, at, end in cited(reader))


@pytest.mark.parametrize(
    "text",
    [
        "`a[[1]]`",
        "```python\na[[1]]\n```",
        "~~~\n[[1]]\n```\n[[1]]\n~~~",
        'Let me see.\n<tool_use>\n{"at": [[1]]}\n</tool_use>',
        '<tool_use>\n{"of": "<tool_use>", "at": [[1]]}\n</tool_use>',
    ],
)
def test_code_and_calls_have_no_marks(text: str) -> None:
    for size in range(1, len(text) + 1):
        reader, said = read(text, list(range(0, len(text), size)), "links")
        assert said == text
        assert cited(reader, whole=False) == []


def test_a_link_of_the_model_s_own_stays_and_is_cited() -> None:
    reader, said = read("See [[1]](https://c.example).", [9], "links")
    assert said == "See [[1]](https://c.example)."
    assert cited(reader) == [("One", 4, 9)]


def test_json_may_hold_marks_that_are_none() -> None:
    reader, said = read('{"rows": [[1]]}', [], "ignored")
    assert said == '{"rows": [[1]]}'
    assert cited(reader) == [("One", 15, 15), ("Two", 15, 15)]


def test_a_source_that_comes_after_its_mark_is_cited_all_the_same() -> None:
    reader = CitationReader("links")
    assert reader.feed("See [[1]].") == "See [[1]]."
    reader.found([ONE])
    assert cited(reader) == [("One", 4, 9)]


def test_an_answer_that_cites_nothing_known_names_all_that_was_found_at_its_end() -> None:
    for text in ("It is so.", "So: [[99]]."):
        reader, _ = read(text, [], "kept")
        assert cited(reader) == [("One", len(text), len(text)), ("Two", len(text), len(text))]
        assert cited(reader, whole=False) == []


def test_a_second_answer_cites_what_was_found_for_it() -> None:
    reader = CitationReader("links")
    reader.found([ONE])
    said = reader.feed("First [[1]]") + reader.rest()
    reader.again()
    reader.found([Source(1, "https://c.example", "Three")])
    said += reader.feed(", then [[1]].") + reader.rest()
    assert said == "First [1](https://a.example/one), then [1](https://c.example)."
    assert [(title, said[start:end]) for title, start, end in cited(reader)] == [
        ("One", "[1](https://a.example/one)"),
        ("Three", "[1](https://c.example)"),
    ]


def test_an_address_cannot_end_its_link() -> None:
    reader = CitationReader("links")
    reader.found([Source(1, "https://a.example/a b\u3000c<(>)", "One")])
    assert reader.feed("[[1]].") == "[1](https://a.example/a%20b%E3%80%80c%3C%28%3E%29)."


def test_many_marks_take_their_time_only_once() -> None:
    begun = time.process_time()
    for text in ("[[1]] " * 20_000, "`" * 100_000 + "x", "[" * 100_000):
        read(text, [], "links")
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("text", ["[[4]]", "[[12345]]", "[[a]]"])
def test_what_no_search_found_is_no_citation(text: str) -> None:
    reader = CitationReader("links")
    reader.found([ONE])
    assert reader.feed(text) + reader.rest() == text
    assert cited(reader, whole=False) == []

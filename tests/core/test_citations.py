"""Marks of a web search are found in whatever pieces they come, and may become links."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.citations import CitationReader
from app.core.events import Source

SOURCES = (Source(1, "https://a.example/one", "One"), Source(23, "https://b.example/two_(2)", "Two"))
texts = st.lists(st.sampled_from(["[", "]", "[[", "]]", "[[1]]", "[[23]]", "[[4]]", "1", "a ", "\n", "é"])).map("".join)


def read(text: str, cuts: list[int], *, as_links: bool) -> tuple[CitationReader, str]:
    reader = CitationReader(as_links=as_links)
    reader.found(SOURCES)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    said = [reader.feed(text[start:end]) for start, end in pairwise(edges)]
    return reader, "".join([*said, reader.rest()])


def in_links(text: str) -> str:
    text = text.replace("[[1]]", "[1](https://a.example/one)")
    return text.replace("[[23]]", "[23](https://b.example/two_%282%29)")


@given(texts, st.lists(st.integers(0, 40), max_size=8), st.booleans())
def test_however_a_text_is_cut_it_reads_the_same(text: str, cuts: list[int], as_links: bool) -> None:
    reader, said = read(text, cuts, as_links=as_links)
    assert said == (in_links(text) if as_links else text)
    marks = re.findall(r"\[\[(1|23)\]\]", text)
    if cited := reader.citations():
        assert all(source.end <= len(said) for source in cited.cited)
    if marks:
        assert cited is not None
        written = [f"[[{mark}]]" for mark in marks]
        assert [said[source.start : source.end] for source in cited.cited] == (
            [in_links(mark) for mark in written] if as_links else written
        )


def test_a_source_that_comes_after_its_mark_is_cited_all_the_same() -> None:
    reader = CitationReader(as_links=True)
    assert reader.feed("See [[1]].") == "See [[1]]."
    reader.found(SOURCES)
    cited = reader.citations()
    assert cited is not None
    assert [(source.url, source.start, source.end) for source in cited.cited] == [("https://a.example/one", 4, 9)]


def test_an_answer_without_marks_cites_all_that_was_found_at_its_end() -> None:
    reader, _ = read("It is so.", [], as_links=False)
    cited = reader.citations()
    assert cited is not None
    assert [(source.title, source.start, source.end) for source in cited.cited] == [("One", 9, 9), ("Two", 9, 9)]


@pytest.mark.parametrize("text", ["[[4]]", "[[12345]]", "[[a]]"])
def test_what_no_search_found_is_no_citation(text: str) -> None:
    reader = CitationReader(as_links=True)
    assert reader.feed(text) + reader.rest() == text
    assert reader.citations() is None

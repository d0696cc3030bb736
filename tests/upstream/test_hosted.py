"""The site's own tools, images, research and videos, in the shapes of docs/upstream-protocol.md."""

from typing import Any

import pytest

from app.core.events import Finished, Picture, ReasoningDelta, Source, Sources, Started, TextDelta, VideoTask
from app.errors import UpstreamBusy, UpstreamCut, UpstreamProtocolError
from tests.upstream.hearing import hear
from tests.upstream.scripted import FINISH, PLAIN, call, created, delta, found, refusal, result, summary

CDN = "https://cdn.qwenlm.ai/output/user-1/t2i/a1/"


def drawn(number: int, **extra: Any) -> dict[str, Any]:
    counts = {"input_tokens": 0, "output_tokens": 0, "characters": 0, "width": 2688, "image_count": 1, "height": 1536}
    extra = {"output_image_hw": [[1536, 2688]], **extra}
    return delta(f"{CDN}{number}.png?key=k", "image_gen", extra=extra, usage=counts)


def test_a_search_is_one_line_among_the_thoughts_and_its_pages_are_sources() -> None:
    heard = hear(
        created(response_index="0"),
        summary("I look it up."),
        delta("", "thinking_summary", "finished"),
        call("round_0_1", "web_search", ""),
        call("round_0_1", "web_search", '{"queries": ["python rel'),
        call("round_0_1", "web_search", '{"queries": ["python release", "python\\n 3.14"]}'),
        call("round_0_1", "web_search", '{"queries": ["python release", "python\\n 3.14"]}'),
        {"response.info": {"action": "keep_alive"}},
        found("round_0_1", 3, "https://a.example/", "https://b.example/"),
        summary("It is 3.14."),
        delta("", "thinking_summary", "finished"),
        delta("3.14 [[2]]."),
        FINISH,
    )
    assert heard.events == [
        Started("a1", "u1"),
        ReasoningDelta("I look it up."),
        ReasoningDelta("\n\nSearching the web: python release; python 3.14"),
        Sources(
            (
                Source(1, "https://a.example/", "About https://a.example/"),
                Source(2, "https://b.example/", "About https://b.example/"),
            )
        ),
        ReasoningDelta("\n\nIt is 3.14."),
        TextDelta("3.14 [[2]]."),
        Finished(),
    ]


def test_the_numbers_of_sources_run_on_over_searches_as_the_marks_do() -> None:
    pages = [f"https://{number}.example/" for number in range(40)]
    heard = hear(
        created(),
        found("round_0_1", 21, *pages[:20]),
        result("round_0_2", "web_extractor", tool_result={"web_extract_info": [{"url": pages[0]}]}),
        found("round_1_1", 37, *pages[20:36]),
        found("round_2_1", 41, *pages[36:]),
        *PLAIN[1:],
    )
    assert [(source.number, source.url) for source in heard.sources] == list(enumerate(pages, 1))


@pytest.mark.parametrize("used", [(None, None), (0, 2), (2, 4), ("3", "5"), (True, False), (-7, 10**30)])
def test_without_a_usable_count_the_numbers_simply_run_on(used: tuple[object, object]) -> None:
    first, second = used
    heard = hear(created(), found("1", first, "https://a/", "https://b/"), found("2", second, "https://c/"), *PLAIN[1:])
    assert [source.number for source in heard.sources][:2] == [1, 2]
    if second != 10**30:
        assert [source.number for source in heard.sources] == [1, 2, 3]


def test_a_page_without_an_address_keeps_its_number_and_a_page_found_twice_has_two() -> None:
    heard = hear(created(), found("1", 5, "https://a/", "javascript:alert(1)", 7, "https://a/"), *PLAIN[1:])
    assert [(source.number, source.url) for source in heard.sources] == [(1, "https://a/"), (4, "https://a/")]
    assert heard.notes == ["a source without an address, or one too many"] * 2


def test_a_page_without_a_title_is_named_by_its_address() -> None:
    docs = [{"url": "https://a/", "title": None}, {"url": "https://b/", "title": " Two \n lines "}, "odd"]
    heard = hear(created(), result("1", "web_search", tool_result={"docs": docs}), *PLAIN[1:])
    assert [source.title for source in heard.sources] == ["https://a/", "Two lines"]


def test_the_search_of_2025_is_read_and_what_it_repeats_counts_once() -> None:
    def old(*names: str) -> dict[str, Any]:
        pages = [{"url": f"https://{name}.example/", "title": name, "hostname": name} for name in names]
        return delta("", None, name="web_search", extra={"web_search_info": pages})

    heard = hear(created(), old("a", "b"), old("a", "b"), old("a", "b", "c"), *PLAIN[1:])
    assert [(source.number, source.title) for source in heard.sources] == [(1, "a"), (2, "b"), (3, "c")]
    assert heard.reasoning == "Searching the web."
    assert (heard.text, heard.whole) == ("No: 91 = 7 x 13.", True)


def test_a_call_or_a_result_that_is_repeated_is_told_once() -> None:
    search, pages = (
        call("round_0_1", "web_search", '{"queries": ["tides"]}'),
        found("round_0_1", 2, "https://a.example/"),
    )
    heard = hear(created(), search, pages, search, pages, *PLAIN[1:])
    assert heard.reasoning == "Searching the web: tides"
    assert [source.number for source in heard.sources] == [1]


@pytest.mark.parametrize(
    ("tool", "arguments", "line"),
    [
        ("web_search", '{"query": "qwen"}', "Searching the web: qwen"),
        ("web_search", '{"queries": ["a", 7, "", "b"]}', "Searching the web: a; b"),
        ("web_search", '{"queries": {"odd": 1}}', "Searching the web."),
        ("web_search", {"query": "as an object"}, "Searching the web: as an object"),
        ("web_extractor", '{"urls": ["https://a.example/x"], "goal": "g"}', "Reading pages: https://a.example/x"),
        ("image_search", '{"bbox":[0,0,1000,1000],"img_idx":0}', "Searching for images."),
        ("code_interpreter", '{"code": "print(1)"}', "Running code."),
        ("image_gen_tool", '{"prompt": "A cat"}', "Making an image: A cat"),
        ("image_edit_tool", "{}", "Editing an image."),
        ("web_search", '{"query": "%s"}' % ("long " * 100), "Searching the web: " + "long " * 47 + "long…"),
    ],
)
def test_a_call_says_what_the_tool_does(tool: str, arguments: object, line: str) -> None:
    assert hear(created(), call("round_0_1", tool, arguments), *PLAIN[1:]).reasoning == line


@pytest.mark.parametrize("arguments", ["", "{", '{"a":}', "[]", None, 7, "[" * 5000 + "}"])
def test_a_call_whose_arguments_never_become_whole_is_told_at_its_result(arguments: object) -> None:
    heard = hear(created(), call("1", "web_search", arguments), found("1", None, "https://a/"), *PLAIN[1:])
    assert heard.reasoning == "Searching the web."
    assert [source.url for source in heard.sources] == ["https://a/"]


def test_two_calls_at_once_are_two_lines() -> None:
    heard = hear(
        created(),
        call("round_0_1", "web_search", '{"query": "a"}'),
        call("round_0_2", "web_search", '{"query": "b"}'),
        found("round_0_2", 2, "https://b/"),
        found("round_0_1", 3, "https://a/"),
        *PLAIN[1:],
    )
    assert heard.reasoning == "Searching the web: a\n\nSearching the web: b"


@pytest.mark.parametrize(
    "extra",
    [
        {"tool_result": {}},
        {"tool_result": "odd"},
        {"tool_result": {"docs": {"url": "https://a/"}}},
        {"search_result": [{"title": "t", "image_url": "https://a/1.png", "url": "https://a/"}]},
        {"error": "boom"},
    ],
)
def test_a_result_of_another_shape_is_no_source(extra: dict[str, object]) -> None:
    for tool in ("web_search", "image_search", "code_interpreter"):
        heard = hear(created(), result("1", tool, **extra), *PLAIN[1:])
        assert (heard.sources, heard.pictures, heard.text, heard.whole) == ([], [], "No: 91 = 7 x 13.", True)


@pytest.mark.parametrize("tool", ["image_gen_tool", "image_edit_tool"])
def test_an_image_of_a_tool_is_one_picture_at_the_address_that_the_page_shows(tool: str) -> None:
    original, shown = [{"image": f"{CDN}original.png"}], [{"image": f"{CDN}1.png"}]
    heard = hear(
        created(),
        call("round_0_1", tool, '{"prompt": "a red square"}'),
        result("round_0_1", tool, tool_result=original, image_list=shown, display_position="answer"),
        delta("Here it is."),
        FINISH,
    )
    assert heard.pictures == [Picture(f"{CDN}1.png")]
    assert (heard.text, heard.whole) == ("Here it is.", True)


@pytest.mark.parametrize("shown", [None, [], "odd", [{"image": ""}], [7]])
def test_an_image_that_the_page_is_shown_at_no_address_is_its_original(shown: object) -> None:
    original = [{"image": f"{CDN}original.png"}]
    heard = hear(created(), result("1", "image_gen_tool", tool_result=original, image_list=shown), *PLAIN[1:])
    assert heard.pictures == [Picture(f"{CDN}original.png")]


def test_images_that_were_asked_for_are_the_answer_and_their_finish_ends_it() -> None:
    keep_alive = {"response.info": {"action": "keep_alive"}}
    finish = delta("", "image_gen", "finished")
    heard = hear(created(), keep_alive, drawn(1), drawn(2), drawn(2), finish, delta("late"), mode="image")
    assert heard.pictures == [Picture(f"{CDN}{number}.png?key=k", 2688, 1536) for number in (1, 2)]
    assert (heard.text, heard.whole) == ("", True)
    assert heard.usage is None, "pictures are not counted in tokens"


@pytest.mark.parametrize("sizes", [None, "odd", [], [[1536]], [["a", "b"]], [[0, 5]], [7], [[True, True]]])
def test_an_image_without_a_usable_size_is_a_picture(sizes: object) -> None:
    heard = hear(created(), drawn(1, output_image_hw=sizes), delta("", "image_gen", "finished"), mode="image")
    assert heard.pictures == [Picture(f"{CDN}1.png?key=k")]


def test_what_is_no_address_is_no_picture_and_never_text() -> None:
    odd = [delta("file:///etc/passwd", "image_gen"), delta(["x"], "image_gen"), delta("Sorry", "image_gen")]
    heard = hear(created(), *odd, delta("", "image_gen", "finished"), mode="image")
    assert (heard.pictures, heard.text, heard.whole) == ([], "", True)


def test_an_image_that_failed_is_an_error() -> None:
    error = delta("", "image_gen", "error", extra={"error": {"code": "Server_Busy"}})
    assert isinstance(hear(created(), error, mode="image").failure, UpstreamBusy)


def test_an_image_answer_may_be_words_or_a_tool_s_image_too() -> None:
    assert hear(*PLAIN, mode="image").text == "No: 91 = 7 x 13."
    tool = [call("1", "image_gen_tool", "{}"), result("1", "image_gen_tool", image_list=[{"image": f"{CDN}1.png"}])]
    alone, cut = hear(created(), *tool, mode="image"), hear(created(), *tool, delta("Here"), mode="image")
    assert (alone.pictures, alone.whole) == ([Picture(f"{CDN}1.png")], True)
    assert isinstance(cut.failure, UpstreamCut)


def test_the_work_of_research_is_thinking_and_its_report_the_answer() -> None:
    heard = hear(
        created(),
        delta("I will look into it.", "answer"),
        delta("", "answer", "finished"),
        delta("Three ", "DeepThinking"),
        delta("questions.", "DeepThinking"),
        delta("", "DeepThinking", "finished"),
        call("1", "web_search", '{"query": "why"}'),
        delta("Writing.", "ReportGeneration", "finished"),
        delta("# Report", "deep_research_answer"),
        delta(" [[1]]", "deep_research_answer"),
        delta("", "deep_research_answer", "finished"),
        delta("", "PdfMdGen", "finished"),
        mode="research",
    )
    assert heard.reasoning == "Three questions.\n\nSearching the web: why\n\nWriting."
    assert heard.text == "I will look into it.\n\n# Report [[1]]"
    assert heard.whole


def test_research_that_stops_in_mid_work_is_cut() -> None:
    heard = hear(created(), delta("I will."), FINISH, delta("Hm", "DeepThinking"), mode="research")
    assert isinstance(heard.failure, UpstreamCut)


@pytest.mark.parametrize(
    "frame",
    [
        {"success": True, "data": {"messages": [{"role": "assistant", "extra": {"wanx": {"task_id": "t1"}}}]}},
        delta("", "t2v", extra={"wanx": {"task_id": "t1"}}),
        delta("", "video_gen", "finished", extra=[{"task_id": 7}, {"task_id": "t1"}]),
        delta("", None, "finished", extra={"wanx": {"task_id": "t1"}}),
    ],
)
def test_a_stream_in_place_of_a_video_s_answer_tells_the_task(frame: object) -> None:
    heard = hear(created(), delta("", "t2v"), frame, delta("late"), mode="video")
    assert heard.events == [Started("a1", "u1"), VideoTask("t1"), Finished()]


def test_a_video_s_stream_without_an_id_or_with_a_refusal_is_an_error() -> None:
    assert isinstance(hear({"data": {"task_id": "t1"}}, mode="video").failure, UpstreamProtocolError)
    assert isinstance(hear(created(), refusal("Server_Busy"), mode="video").failure, UpstreamBusy)
    named = {"data": {"response_id": "a9", "task_id": "t1"}}
    assert hear(named, mode="video").events == [Started("a9", None), VideoTask("t1"), Finished()]

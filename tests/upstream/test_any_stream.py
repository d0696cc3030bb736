"""Whatever the site streams, and however the network cuts it: properties of the reader."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from app.core.events import UsageReport
from app.core.ports import Mode
from tests.characters import CHARACTERS
from tests.upstream.hearing import Heard, hear, joined
from tests.upstream.scripted import FINISH, call, created, delta, events, found, summary, usage

MODES = st.sampled_from(get_args(Mode))
FRAMES = st.sampled_from(
    [
        created(response_index="0"),
        created("b2", response_index="1"),
        summary("Denk ich", "nach"),
        call("round_0_1", "web_search", '{"queries":["你好"]}'),
        found("round_0_1", 3, "https://a.example/", "https://b.example/"),
        delta("Ich plane.", "DeepThinking"),
        delta("Ein Bericht.", "deep_research_answer"),
        delta("https://cdn.qwenlm.ai/1.png?key=k", "image_gen", extra={"output_image_hw": [[1536, 2688]]}),
        delta("", "image_gen", "finished"),
        {"success": True, "data": {"messages": [{"role": "assistant", "extra": {"wanx": {"task_id": "t1"}}}]}},
        delta("", "thinking_summary", "finished"),
        delta("émoji 🎉 und 你好"),
        delta("a"),
        delta("aa", usage=usage()),
        delta("other", response_id="b2"),
        delta("", None),
        {"response.info": {"action": "keep_alive"}},
        {"error": "overloaded"},
        FINISH,
        "text",
    ]
)


def merged(heard: Heard) -> tuple[object, ...]:
    kinds = [type(event) for event in joined([one for one in heard.events if not isinstance(one, UsageReport)])]
    return (
        heard.sources,
        heard.pictures,
        heard.text,
        heard.reasoning,
        heard.usage,
        kinds,
        str(heard.failure),
        type(heard.failure),
    )


@given(st.lists(FRAMES), st.booleans(), st.lists(st.integers(1, 9), min_size=1), MODES)
def test_any_chunking_of_the_same_bytes_gives_the_same_events(
    frames: list[object], crlf: bool, sizes: list[int], mode: Mode
) -> None:
    data = events(frames)
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    assert merged(Heard(data, sizes, mode)) == merged(Heard(data, mode=mode))


@given(
    st.lists(
        st.one_of(
            FRAMES,
            st.recursive(
                st.none() | st.booleans() | st.integers(0, 9) | st.text(CHARACTERS, max_size=3),
                lambda inner: (
                    st.lists(inner, max_size=2)
                    | st.dictionaries(
                        st.sampled_from(
                            [
                                "choices",
                                "delta",
                                "content",
                                "phase",
                                "status",
                                "response_id",
                                "usage",
                                "extra",
                                "error",
                                "response.created",
                                "data",
                                "ret",
                                "code",
                                "success",
                                "function_call",
                                "arguments",
                                "tool_result",
                                "docs",
                                "url",
                                "messages",
                                "task_id",
                            ]
                        ),
                        inner,
                        max_size=3,
                    )
                ),
                max_leaves=8,
            ),
        )
    ),
    MODES,
)
def test_no_json_whatsoever_breaks_the_reader(frames: list[object], mode: Mode) -> None:
    heard = hear(*frames, mode=mode)
    assert heard.reader.finished != (heard.failure is not None)

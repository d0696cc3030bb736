import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UpstreamProtocolError
from app.upstream.qwen.sse import Splitter


def split(data: bytes) -> list[bytes]:
    splitter = Splitter()
    return [*splitter.feed(data), *splitter.close()]


@pytest.mark.parametrize(
    ("data", "payloads"),
    [
        pytest.param(b'data: {"a": 1}\n\ndata: {"b": 2}\n\n\n', [b'{"a": 1}', b'{"b": 2}'], id="plain"),
        pytest.param(b'data: {"a": 1} \r\n\r\n', [b'{"a": 1}'], id="crlf and the trailing blank"),
        pytest.param(b'data:{"a":1}\n\n', [b'{"a":1}'], id="no blank after the colon"),
        pytest.param(b'\xef\xbb\xbfdata: {"a": 1}\n\n', [b'{"a": 1}'], id="byte order mark"),
        pytest.param(b': keepalive\n\ndata: {"a": 1}\n\n: more\n', [b'{"a": 1}'], id="comments"),
        pytest.param(b'event: x\nid: 7\nretry: 3\ndata: {"a": 1}\n\n', [b'{"a": 1}'], id="other fields"),
        pytest.param(b'data: {"a":\ndata: 1}\n\n', [b'{"a":\n1}'], id="several data lines"),
        pytest.param(b'data: {"a": 1}', [b'{"a": 1}'], id="no newline at the end"),
        pytest.param(b"data:\n\ndata: \n\n", [], id="empty events"),
        pytest.param(b"data: [DONE]\n\n", [b"[DONE]"], id="an end mark"),
        pytest.param(b'{"success": false}', [b'{"success": false}'], id="a lone object"),
        pytest.param(b'{\n  "ret":\n  []\n}\n', [b'{\n"ret":\n[]\n}'], id="a lone object over lines"),
        pytest.param(b'data: {"a": 1}\n\n{"b": 2}\n\n', [b'{"a": 1}', b'{"b": 2}'], id="a lone object in between"),
        pytest.param(b'{"b": 2}\ndata: {"a": 1}\n\n', [b'{"b": 2}', b'{"a": 1}'], id="a lone object before an event"),
        pytest.param(b'data: {"a": 1}\n{"b": 2}\n', [b'{"a": 1}', b'{"b": 2}'], id="a lone object after a line"),
        pytest.param(b"<html>\n<p>\n\n", [b"<html>\n<p>"], id="a page"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_finds_the_payloads(data: bytes, payloads: list[bytes]) -> None:
    assert split(data) == payloads


LINES = st.sampled_from(
    [
        b"data: {}\n",
        b"\n",
        b"\r\n",
        b": ping\r\n",
        b'{"x": 1}\n',
        b"data: \xc3\xa9\xe4\xbd\xa0\n",
        b"event: a\n",
        b"<p>",
    ]
)


@given(st.lists(LINES), st.booleans(), st.lists(st.integers(1, 7), min_size=1))
def test_any_chunking_gives_the_same_payloads(lines: list[bytes], marked: bool, sizes: list[int]) -> None:
    data = (b"\xef\xbb\xbf" if marked else b"") + b"".join(lines)
    splitter = Splitter()
    out: list[bytes] = []
    rest, turn = data, 0
    while rest:
        size = sizes[turn % len(sizes)]
        out += splitter.feed(rest[:size])
        rest, turn = rest[size:], turn + 1
    assert [*out, *splitter.close()] == split(data)


def test_an_event_without_end_is_refused_before_it_fills_the_memory() -> None:
    splitter = Splitter()
    block = b"data: " + b"x" * (1 << 20)
    with pytest.raises(UpstreamProtocolError, match="8 MiB"):
        for _ in range(10):
            splitter.feed(block + b"\n")


def test_a_long_stream_of_small_events_is_no_long_event() -> None:
    splitter = Splitter()
    block = (b"data: " + b"x" * 1000 + b"\n\n") * 1000
    assert sum(len(splitter.feed(block)) for _ in range(10)) == 10_000

"""Files are read from every form that clients send, and are what their bytes are."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from app.core.attachments import Attachment
from app.errors import InvalidRequest
from app.openai.requests import decode_chat
from tests.samples import JPEG, MP3, MP4, PDF, PNG, TEXT, WAV, data_url


def attached(*parts: Any, role: str = "user") -> tuple[Attachment, ...]:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}, {"role": role, "content": list(parts)}]}
    return decode_chat(json.dumps(body).encode(), "owner").request.messages[1].attachments


def refused(part: Any, role: str = "user") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as problem:
        attached(part, role=role)
    return problem.value


def plain(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sound(data: str, form: str = "") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": form}}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": data_url(PNG, "image/png"), "detail": "low"}},
        {"type": "image_url", "image_url": data_url(PNG, "image/png")},
        {"type": "input_image", "image_url": data_url(PNG, "image/png"), "detail": "auto"},
        {"type": "image_url", "image_url": {"url": "data:image/png," + quote(PNG)}},
        {"type": "image_url", "image_url": {"url": "DATA:image/png;charset=x;base64," + quote(plain(PNG))}},
        {"type": "image_url", "image_url": {"url": f"data:;base64,\n  {plain(PNG)[:8]}\r\n{plain(PNG)[8:]} "}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + plain(PNG).rstrip("=")}},
        {"type": "file", "file": {"file_data": plain(PNG), "filename": "image.png"}},
        {"type": "input_file", "file_data": data_url(PNG, "image/png"), "filename": "a/b/image.png"},
    ],
)
def test_a_picture_is_the_same_in_every_form(part: Any) -> None:
    (file,) = attached(part)
    assert (file.kind, file.name, file.content_type, file.data) == ("image", "image.png", "image/png", PNG)
    assert file.digest == attached({"type": "image_url", "image_url": data_url(PNG, "x/y")})[0].digest


@pytest.mark.parametrize(
    ("part", "kind", "name", "content_type"),
    [
        ({"type": "image_url", "image_url": data_url(JPEG, "image/png")}, "image", "image.jpg", "image/jpeg"),
        ({"type": "image_url", "image_url": data_url(PDF, "image/png")}, "document", "document.pdf", "application/pdf"),
        ({"type": "file", "file": {"file_data": plain(TEXT), "filename": "a.ts"}}, "document", "a.ts", "text/plain"),
        ({"type": "file", "file": {"file_data": data_url(TEXT, "text/csv")}}, "document", "document.csv", "text/csv"),
        ({"type": "file", "file": {"file_data": data_url(TEXT, "a/b\r\nX")}}, "document", "document.txt", "text/plain"),
        ({"type": "file", "file": {"file_data": data_url(TEXT, "text")}}, "document", "document.txt", "text/plain"),
        (sound(plain(TEXT), "x\r\ny: 1"), "document", "audio.x  y: 1", "text/plain"),
        (sound(plain(WAV), "wav"), "audio", "audio.wav", "audio/wav"),
        (sound(plain(MP3), "mp3"), "audio", "audio.mp3", "audio/mpeg"),
        (sound(data_url(WAV, "")), "audio", "audio.wav", "audio/wav"),
        ({"type": "audio_url", "audio_url": {"url": data_url(WAV, "audio/wav")}}, "audio", "audio.wav", "audio/wav"),
        ({"type": "video_url", "video_url": {"url": data_url(MP4, "video/mp4")}}, "video", "video.mp4", "video/mp4"),
    ],
)  # fmt: skip
def test_a_file_is_what_its_bytes_are(part: Any, kind: str, name: str, content_type: str) -> None:
    (file,) = attached(part)
    assert (file.kind, file.name, file.content_type) == (kind, name, content_type)


@pytest.mark.parametrize("url", [data_url(PNG, "image/png"), "https://example.org/a"])
def test_the_name_of_a_file_is_one_line_without_a_path(url: str) -> None:
    (file,) = attached({"type": "image_url", "image_url": url, "filename": "../cat\n2026 INFO.png"})
    assert file.name == "cat 2026 INFO.png"


def test_an_address_and_a_stored_file_are_kept_as_they_are() -> None:
    (image,) = attached({"type": "image_url", "image_url": {"url": " https://example.org/a%20b.png?x=1 "}})
    assert (image.kind, image.name, image.url) == ("image", "a b.png", "https://example.org/a%20b.png?x=1")
    (stored,) = attached({"type": "file", "file": {"file_id": "file-1"}})
    assert (stored.kind, stored.name, stored.file_id, stored.data) == ("document", "file-1", "file-1", b"")
    (linked,) = attached({"type": "input_file", "file_url": "http://example.org/report.pdf"})
    assert (linked.name, linked.url) == ("report.pdf", "http://example.org/report.pdf")
    assert len({image.digest, stored.digest, linked.digest}) == 3


@pytest.mark.parametrize(
    ("part", "param", "told"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,???"}}, "image_url.url", "not valid base64"),
        ({"type": "image_url", "image_url": "data:image/png;base64"}, "image_url", "without a comma"),
        ({"type": "image_url", "image_url": "data:image/png;base64,"}, "image_url", "is empty"),
        ({"type": "image_url"}, "image_url", "http(s) address"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "image_url.url", "http(s) address"),
        ({"type": "image_url", "image_url": {"url": "http://[half"}}, "image_url.url", "no address"),
        (sound("!", "wav"), "input_audio.data", "not valid base64"),
        ({"type": "file", "file": {}}, "file", "needs 'file_data' or 'file_id'"),
        ({"type": "image_url", "image_url": 5}, "image_url", "a text or an object"),
        ({"type": "hologram"}, "type", "'hologram' do not exist here"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_refused_by_the_path_of_its_field(part: Any, param: str, told: str) -> None:
    problem = refused(part)
    assert (problem.status, problem.param) == (400, f"messages[1].content[0].{param}")
    assert told in problem.message


def test_only_users_send_files() -> None:
    part = {"type": "image_url", "image_url": data_url(PNG, "image/png")}
    assert attached(part, role="assistant") == ()
    assert attached(part, role="tool") == ()
    assert "holds text only" in refused(part, role="system").message

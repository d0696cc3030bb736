"""Bodies, headers, cookies and the model list: what is built and read without any I/O."""

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app import __version__
from app.config_values import Secret
from app.core.ports import Mode, ModelInfo, Prompt, UploadedFile
from app.errors import UpstreamProtocolError
from app.upstream.qwen.bodies import completion_body, create_body
from app.upstream.qwen.credentials import Given, choose, read_token
from app.upstream.qwen.headers import Cookies, Letterhead
from app.upstream.qwen.models import read_models, read_thinking_budgets, switched_on
from tests.upstream.conftest import NOW, StillClock, make_token
from tests.upstream.scripted import CHAT


def body_of(prompt: Prompt, budget: int | None = None) -> Any:
    body = completion_body(prompt, seconds=1790000001, message_id="f1", answer_id="x1", thinking_budget=budget)
    return msgspec.json.decode(msgspec.json.encode(body))


def test_the_first_message_of_a_chat_has_the_page_s_shape() -> None:
    assert body_of(Prompt(CHAT, None, "Is 91 prime?", "qwen3.7-plus")) == {
        "stream": True,
        "version": "2.1",
        "incremental_output": True,
        "chatId": CHAT,
        "parentId": "",
        "chat_id": CHAT,
        "chat_mode": "normal",
        "model": "qwen3.7-plus",
        "parent_id": None,
        "messages": [
            {
                "id": None,
                "fid": "f1",
                "parentId": None,
                "childrenIds": ["x1"],
                "role": "user",
                "content": "Is 91 prime?",
                "user_action": "chat",
                "files": [],
                "timestamp": 1790000001,
                "models": ["qwen3.7-plus"],
                "model": "",
                "chat_type": "t2t",
                "feature_config": {
                    "thinking_enabled": True,
                    "output_schema": "phase",
                    "research_mode": "normal",
                    "auto_thinking": False,
                    "thinking_mode": "Thinking",
                    "thinking_format": "summary",
                    "auto_search": False,
                },
                "extra": {"meta": {"subChatType": "t2t"}},
                "sub_chat_type": "t2t",
                "parent_id": None,
            }
        ],
        "timestamp": 1790000001,
    }


def test_a_later_message_names_its_parent_in_all_four_places_and_a_sibling_is_an_edit() -> None:
    body = body_of(Prompt(CHAT, "a1", "And 97?", "m", is_sibling=True))
    message = body["messages"][0]
    assert [body["parentId"], body["parent_id"], message["parentId"], message["parent_id"]] == ["a1"] * 4
    assert message["user_action"] == "edit"


def test_fast_asks_for_no_thinking_and_search_is_the_prompt_s_choice() -> None:
    prompt = Prompt(CHAT, None, "x", "m", thinking=False, thinking_budget=100, mode="search")
    assert body_of(prompt, 50)["messages"][0]["feature_config"] == {
        "thinking_enabled": False,
        "output_schema": "phase",
        "research_mode": "normal",
        "auto_thinking": False,
        "thinking_mode": "Fast",
        "auto_search": True,
    }


@pytest.mark.parametrize(("own", "account", "sent"), [(None, None, None), (9, 5, 9), (None, 5, 5)])
def test_a_thinking_budget_is_the_prompt_s_or_the_account_s(
    own: int | None, account: int | None, sent: int | None
) -> None:
    config = body_of(Prompt(CHAT, None, "x", "m", thinking_budget=own), account)["messages"][0]["feature_config"]
    assert config.get("thinking_budget") == sent


def test_a_picture_is_asked_for_with_its_size_and_without_a_mode_of_thinking() -> None:
    body = body_of(Prompt(CHAT, "a1", "A cat.", "m", mode="image", size="16:9"), 50)
    message = body["messages"][0]
    assert (body["stream"], body["size"]) == (True, "16:9")
    assert (message["chat_type"], message["sub_chat_type"]) == ("t2i", "t2i")
    assert message["extra"] == {"meta": {"subChatType": "t2i"}}
    assert message["feature_config"] == {
        "thinking_enabled": False,
        "output_schema": "phase",
        "research_mode": "normal",
        "auto_thinking": False,
        "auto_search": False,
    }
    assert "size" not in message
    assert body_of(Prompt(CHAT, None, "A cat.", "m", mode="image"))["size"] == "1:1"


def test_a_video_is_asked_for_without_a_stream_and_with_its_size_in_three_places() -> None:
    body = body_of(Prompt(CHAT, None, "A cat runs.", "m", mode="video", size="9:16"))
    message = body["messages"][0]
    assert body["stream"] is False
    assert (body["size"], message["size"], message["extra"]["meta"]["size"]) == ("9:16", "9:16", "9:16")
    assert (message["chat_type"], message["extra"]["meta"]["subChatType"]) == ("t2v", "t2v")


def test_research_may_think_and_search_and_search_is_a_chat() -> None:
    research, search = (
        body_of(Prompt(CHAT, None, "Why?", "m", mode=mode))["messages"][0] for mode in ("research", "search")
    )
    assert research["chat_type"] == research["sub_chat_type"] == "deep_research"
    assert research["feature_config"]["auto_search"] is research["feature_config"]["thinking_enabled"] is True
    assert (search["chat_type"], search["feature_config"]["auto_search"]) == ("t2t", True)


def test_files_go_as_the_upload_wrote_them_and_pictures_of_the_site_in_the_short_form() -> None:
    uploaded = UploadedFile("f1", "document", "a.pdf", 3, '{"type":"file","id":"f1"}', NOW)
    made = "https://cdn.qwenlm.ai/output/1.png?key=k"
    assert body_of(Prompt(CHAT, None, "x", "m", files=(uploaded,), pictures=((made,),)))["messages"][0]["files"] == [
        {"type": "file", "id": "f1"},
        {
            "type": "image",
            "name": "1.png",
            "file_type": "image/png",
            "showType": "image",
            "file_class": "vision",
            "status": "uploaded",
            "url": "https://cdn.qwenlm.ai/output/1.png?key=k",
        },
    ]


@pytest.mark.parametrize(
    ("mode", "chat_type"),
    [("chat", "t2t"), ("search", "t2t"), ("image", "t2i"), ("video", "t2v"), ("research", "deep_research")],
)
def test_a_chat_is_made_for_the_mode_of_its_first_message(mode: Mode, chat_type: str) -> None:
    assert create_body("m", mode, milliseconds=1)["chat_type"] == chat_type


def test_a_chat_is_made_in_the_page_s_shape() -> None:
    assert create_body("m", milliseconds=1790000000000) == {
        "chatId": "",
        "models": ["m"],
        "project_id": "",
        "timestamp": 1790000000000,
        "chat_type": "t2t",
        "chat_mode": "normal",
    }


def credential_with(cookie: str = "") -> Any:
    credential = read_token("opaque-token", Secret(cookie))
    assert credential is not None
    return credential


def headers_of(method: str, chat_id: str | None = None, *, streams: bool = False) -> dict[str, str]:
    letterhead = Letterhead(StillClock(), "https://chat.qwen.ai", "")
    lines = letterhead.lines(method, credential_with("c=d"), chat_id=chat_id, streams=streams)
    return dict(line.split(": ", 1) for line in lines.removesuffix("\r\n").split("\r\n"))


def test_headers_are_honest() -> None:
    headers = headers_of("POST", CHAT, streams=True)
    identity = headers.pop("X-Request-Id")
    assert len(identity) == 36
    assert identity != headers_of("POST")["X-Request-Id"]
    assert headers == {
        "Authorization": "Bearer opaque-token",
        "Cookie": "c=d; token=opaque-token",
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "Content-Type": "application/json",
        "User-Agent": f"qwen-thread/{__version__}",
        "source": "web",
        "Version": "0.3.11",
        "Timezone": "Sun Nov 22 2026 09:00:00 GMT+0000",
        "Referer": f"https://chat.qwen.ai/c/{CHAT}",
        "Origin": "https://chat.qwen.ai",
        "X-Accel-Buffering": "no",
    }


def test_reading_calls_have_no_origin_and_deletions_no_content_type() -> None:
    assert "Origin" not in headers_of("GET")
    assert headers_of("GET")["Referer"] == "https://chat.qwen.ai/"
    assert "Content-Type" not in headers_of("DELETE")
    assert headers_of("DELETE")["Origin"] == "https://chat.qwen.ai"


def test_the_version_is_the_project_s() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == __version__


def test_cookies_are_the_owner_s_and_the_site_s_and_the_token() -> None:
    clock = StillClock()
    cookies = Cookies(clock)
    pasted = credential_with("cna=1; acw_tc=old; token=stale; odd; =x")
    assert cookies.header(pasted) == "cna=1; acw_tc=old; token=opaque-token"
    cookies.keep(["acw_tc=new; Max-Age=60; Path=/"])
    cookies.keep(["token=theirs"])
    cookies.keep(["cna=; expires=Thu, 01 Jan 1970 00:00:00 GMT"])
    cookies.keep(["x=1; max-age=soon"])
    assert cookies.header(pasted) == "acw_tc=new; token=opaque-token; x=1"
    clock.pass_time(61)
    assert cookies.header(pasted) == "token=opaque-token; x=1"


def test_an_access_token_is_no_cookie_unless_somebody_made_it_one() -> None:
    access, other = (make_token(life=timedelta(minutes=15), type="access_token", n=number) for number in (1, 2))
    alone, twice = read_token(access, Secret("")), read_token(access, Secret(f"cna=1; token={access}"))
    stale = read_token(access, Secret(f"cna=1; token={other}"))
    assert alone is not None
    assert twice is not None
    assert stale is not None
    letterhead = Letterhead(StillClock(), "https://chat.qwen.ai", "")
    lines = letterhead.lines("GET", alone, chat_id=None, streams=False)
    assert (f"Authorization: Bearer {access}\r\n" in lines, "Cookie" in lines) == (True, False)
    cookies = Cookies(StillClock())
    assert cookies.header(twice) == f"cna=1; token={access}"
    assert cookies.header(stale) == "cna=1"
    cookies.keep(["token=theirs"])
    assert cookies.header(stale) == "cna=1; token=theirs"


def test_cookies_of_one_account_do_not_go_with_another() -> None:
    cookies = Cookies(StillClock())
    mine, theirs = (make_token(user, timedelta(minutes=15), type="access_token") for user in ("user-1", "user-2"))
    first, second = read_token(mine, Secret("")), read_token(theirs, Secret(""))
    assert first is not None
    assert second is not None
    assert cookies.header(first) == ""
    cookies.keep(["token=mine"])
    assert (cookies.header(first), cookies.header(second)) == ("token=mine", "")


def test_the_cookie_that_renews_one_account_does_not_go_with_the_token_of_another() -> None:
    renewing = [f"cna=1; refresh_token={make_token(user, type='refresh_token')}" for user in ("user-1", "user-2")]
    mine, theirs = (read_token(make_token("user-1"), Secret(cookie)) for cookie in renewing)
    assert mine is not None
    assert theirs is not None
    assert renewing[0] in Cookies(StillClock()).header(mine)
    assert Cookies(StillClock()).header(theirs) == f"cna=1; token={make_token('user-1')}"


def test_the_cookies_of_the_start_do_not_go_with_the_token_of_another_account() -> None:
    own = Given(Secret(""), Secret(f"cna=1; refresh_token={make_token('user-2', type='refresh_token')}"))
    for user, cookie in (("user-1", ""), ("user-2", own.cookie.reveal())):
        chosen = choose(Given(Secret(make_token(user)), Secret("")), own)
        assert chosen is not None
        assert (chosen.account, chosen.cookie.reveal()) == (user, cookie)


def test_cookies_pasted_anew_replace_those_of_the_site() -> None:
    cookies = Cookies(StillClock())
    assert cookies.header(credential_with()) == "token=opaque-token"
    cookies.keep(["acw_tc=new"])
    assert cookies.header(credential_with("acw_tc=pasted")) == "acw_tc=pasted; token=opaque-token"


def test_headers_are_those_of_the_second_the_login_and_the_cookies_of_now() -> None:
    clock = StillClock()
    letterhead = Letterhead(clock, "https://chat.qwen.ai", "")

    def told(credential: Any, *names: str) -> list[str]:
        lines = letterhead.lines("POST", credential, chat_id=None, streams=False).split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        return [headers[name] for name in names]

    first, second = credential_with("c=d"), read_token("another-token", Secret(""))
    assert told(first, "Authorization", "Cookie") == ["Bearer opaque-token", "c=d; token=opaque-token"]
    assert told(second, "Authorization", "Cookie") == ["Bearer another-token", "token=another-token"]
    clock.pass_time(0.25)
    letterhead.keep_cookies(["x=1; Max-Age=2"])
    assert told(second, "Cookie", "Timezone") == ["x=1; token=another-token", "Sun Nov 22 2026 09:00:00 GMT+0000"]
    clock.pass_time(1.75)
    assert told(second, "Cookie", "Timezone") == ["x=1; token=another-token", "Sun Nov 22 2026 09:00:02 GMT+0000"]
    clock.pass_time(0.25)
    assert told(second, "Cookie", "Timezone") == ["token=another-token", "Sun Nov 22 2026 09:00:02 GMT+0000"]
    letterhead.keep_cookies(["y=3; expires=Sun, 22 Nov 2026 09:00:03 GMT"])
    assert told(second, "Cookie") == ["y=3; token=another-token"]
    clock.pass_time(-60)
    assert told(second, "Timezone") == ["Sun Nov 22 2026 08:59:02 GMT+0000"]


META = {"max_context_length": 1000, "abilities": {"thinking": 3}, "chat_type": ["t2t", "t2v"]}


def model(identity: object = "m", active: object = True, **meta: object) -> dict[str, Any]:
    info = {"id": identity, "is_active": active, "created_at": 1780000000, "meta": {**META, **meta}}
    return {"id": identity, "name": "M", "owned_by": "qwen", "info": info}


def test_reads_a_model_at_both_depths() -> None:
    expected = [
        ModelInfo(
            "m",
            "M",
            "qwen",
            1780000000,
            1000,
            can_think=True,
            must_think=False,
            is_general=True,
            modes=frozenset({"chat", "video"}),
        )
    ]
    assert read_models([model()]) == expected
    assert read_models({"data": [model()]}) == expected


def test_only_active_models_are_listed_once_and_in_order() -> None:
    listed = [model("b"), model("a"), model("gone", active=False), model("b"), model(""), model(7), "odd", None]
    assert [entry.id for entry in read_models(listed)] == ["b", "a"]


@pytest.mark.parametrize(
    ("meta", "can", "must"),
    [
        ({"abilities": {"thinking": 1}}, True, True),
        ({"abilities": {"thinking": 2}, "capabilities": {"thinking": True}}, False, False),
        ({"abilities": {"thinking": 2}, "think_skip": {"enable": False}}, False, False),
        ({"think_skip": {"enable": False}}, True, True),
        ({"think_skip": {"enable": True}}, True, False),
        ({"abilities": None, "capabilities": {"thinking": True}}, True, False),
        ({"abilities": "odd", "capabilities": []}, False, False),
    ],
)
def test_reads_whether_a_model_can_and_must_think(meta: dict[str, object], can: bool, must: bool) -> None:
    read = read_models([model(**meta)])[0]
    assert (read.can_think, read.must_think) == (can, must)


@pytest.mark.parametrize(("types", "general"), [(["t2v"], False), (["search", "t2t"], True), (None, True), ("x", True)])
def test_reads_whether_a_model_chats(types: object, general: bool) -> None:
    assert read_models([model(chat_type=types)])[0].is_general is general


SEES_AND_READS = {"vision": True, "document": True, "video": False, "thinking": True}


@pytest.mark.parametrize(
    ("meta", "kinds"),
    [
        ({"capabilities": SEES_AND_READS}, {"image", "document"}),
        ({"abilities": {"vision": 1, "audio": 1, "video": 2, "thinking": 3}}, {"image", "audio"}),
        ({"capabilities": {"vision": True}, "abilities": {"audio": 1}}, {"image", "audio"}),
        ({"capabilities": {"thinking": True}}, set()),
        ({"capabilities": {"vision": "yes"}, "abilities": {"vision": True}}, {"image"}),
        ({}, None),
        ({"capabilities": [], "abilities": "odd"}, None),
    ],
)
def test_reads_what_files_a_model_understands(meta: dict[str, object], kinds: set[str] | None) -> None:
    read = read_models([model(**meta)])[0].understands
    assert (None if read is None else set(read)) == kinds


@pytest.mark.parametrize(
    ("types", "capabilities", "modes"),
    [
        (
            ["t2t", "t2v", "t2i", "image_edit", "search", "deep_research", "slides"],
            {},
            "chat video image search research",
        ),
        (["t2t"], {"search": True}, "chat search"),
        (["t2v"], {"search": True}, "video"),
        (["t2t", 7, None, ["t2i"]], {}, "chat"),
        ([], {}, ""),
        (None, {}, None),
        ("t2t", {}, None),
    ],
)
def test_reads_the_modes_a_model_answers_in(types: object, capabilities: object, modes: str | None) -> None:
    read = read_models([model(chat_type=types, capabilities=capabilities)])[0].modes
    assert read == (None if modes is None else set(modes.split()))


def test_a_bare_entry_is_a_model() -> None:
    bare = ModelInfo("m", "m", "qwen", 0, None, can_think=False, must_think=False, is_general=True)
    assert read_models([{"id": "m"}]) == [bare]
    assert read_models([{"info": {"id": "m", "created_at": True, "meta": {"max_context_length": -1}}}]) == [bare]


@pytest.mark.parametrize("data", [None, [], {}, {"data": []}, {"data": {"data": []}}, "x", [model(active=False)]])
def test_a_list_without_models_is_an_error(data: object) -> None:
    with pytest.raises(UpstreamProtocolError):
        read_models(data)


def test_reads_the_settings_that_matter() -> None:
    settings = {
        "model_config": {"m": {"thinking_budget": 81920}, "n": {"thinking_budget": "x"}, "o": None},
        "memory": {"enable_memory": True, "enable_history_memory": False},
        "tools_enabled": {"bio": True},
        "personalization": "x",
    }
    assert read_thinking_budgets(settings) == {"m": 81920}
    assert list(switched_on(settings)) == ["memory.enable_memory", "tools_enabled.bio"]
    assert read_thinking_budgets(None) == {}
    assert make_token()

import json
import re
import time

import pytest

from app import errors
from app.errors import (
    ChatGone,
    ChatInProgress,
    ParentUnknown,
    UpstreamBlocked,
    UpstreamBusy,
    UpstreamError,
    UpstreamInputTooLong,
    UpstreamLoginRequired,
    UpstreamModelUnknown,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamUnreachable,
)
from app.upstream.qwen.causes import Failure, Subject, classify, excerpt
from app.upstream.qwen.replies import Reply, read_reply
from tests.upstream.scripted import ANTI_BOT, WAF_PAGE, created, event, events, refusal

QUOTA = "Allocated quota exceeded, please increase your quota limit. https://help.example/x#token-limit"


def error_of(value: object, status: int = 200, actual: int | None = None, subject: Subject = "chat") -> UpstreamError:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(UpstreamError) as caught:
        read_reply(Reply(status, body, actual=actual), subject)
    return caught.value


@pytest.mark.parametrize(
    ("code", "details", "kind", "retry_after"),
    [
        ("RateLimited", "You've reached the upper limit for today's usage.", UpstreamRateLimited, None),
        ("rate_limited", "", UpstreamRateLimited, None),
        ("ParallelLimited", "", UpstreamRateLimited, 10),
        ("Too_Many_Requests", "", UpstreamRateLimited, 20),
        ("quotaLimited", "", UpstreamRateLimited, None),
        ("ExceedLimit", "", UpstreamRateLimited, None),
        ("quota_exhausted", "", UpstreamRateLimited, None),
        ("quota_limit", "", UpstreamRateLimited, None),
        ("internal_error", QUOTA, UpstreamRateLimited, 30),
        ("Bad_Request", "The chat is in progress!", ChatInProgress, None),
        ("CHAT_IN_PROGRESS", "", ChatInProgress, None),
        ("Bad_Request", "Internal error", UpstreamBusy, 30),
        ("Bad_Request", "Invalid input too many messages.", UpstreamRejected, None),
        ("Bad_Request", "Something wrong with request!", UpstreamRejected, None),
        ("Bad_Request", "Missing origin", UpstreamRejected, None),
        ("RequestValidationError", ["Field 'chat_id': Field required"], UpstreamRejected, None),
        ("ValidationError", "", UpstreamRejected, None),
        ("invalid_input", "", UpstreamRejected, None),
        ("PARENT_NOT_FOUND", "", ParentUnknown, None),
        ("Bad_Request", "parent_id 0f3 is not exist", ParentUnknown, None),
        ("CHAT_NOT_FOUND", "This chat has been deleted. Please start a new chat to continue.", ChatGone, None),
        ("Bad_Request", "This chat has been deleted.", ChatGone, None),
        ("Bad_Request", "Chat c1 is not exist", ChatGone, None),
        ("Bad_Request", "c1 is not exist", ChatGone, None),
        ("Not_Found", "", ChatGone, None),
        ("Not_Found", "Model not found", UpstreamModelUnknown, None),
        ("Bad_Request", "model qwen9 is not exist", UpstreamModelUnknown, None),
        ("unauthorized", "Token has expired, please log in again.", UpstreamLoginRequired, None),
        ("Unauthorized", "401 whatever", UpstreamLoginRequired, None),
        ("Bad_Request", "401 Unauthorized", UpstreamLoginRequired, None),
        ("Forbidden", "Your account has been banned", UpstreamLoginRequired, None),
        ("Forbidden", "Account pending activation", UpstreamLoginRequired, None),
        ("internal_error", "", UpstreamBusy, 10),
        ("Internal_Server_Error", "", UpstreamBusy, 10),
        ("ContextLengthExceeded", "", UpstreamInputTooLong, None),
        ("internal_error", "Range of input length should be [1, 129024]", UpstreamInputTooLong, None),
        ("Server_Busy", "", UpstreamBusy, None),
        ("Busy", "", UpstreamBusy, None),
        ("Bad_Request", "The model is overloaded", UpstreamBusy, None),
        ("FAIL_SYS_USER_VALIDATE", "", UpstreamBlocked, None),
        ("x", "RGV587_ERROR::SM::wait", UpstreamBlocked, None),
        ("data_inspection_failed", "", UpstreamRefused, None),
        ("DataInspectionFailed", "", UpstreamRefused, None),
        ("Bad_Request", "Input data may contain inappropriate content.", UpstreamRefused, None),
        ("Brand_New", "Never seen", UpstreamProtocolError, None),
    ],
)
def test_every_refusal_has_its_error(
    code: str, details: object, kind: type[UpstreamError], retry_after: float | None
) -> None:
    for value in (
        refusal(code, details),
        {"error": {"code": code, "message": details}},
        {"code": code, "detail": details},
    ):
        problem = error_of(value)
        assert type(problem) is kind
        assert problem.retry_after == retry_after
        assert problem.cause == code
        assert re.fullmatch(r"[A-Z].*[.]", str(problem), re.DOTALL)


@pytest.mark.parametrize(
    ("subject", "kind"),
    [("model", UpstreamModelUnknown), ("task", errors.VideoFailed), ("account", UpstreamProtocolError)],
)
def test_what_is_not_found_depends_on_the_call(subject: Subject, kind: type[UpstreamError]) -> None:
    assert type(error_of(refusal("Not_Found"), subject=subject)) is kind


@pytest.mark.parametrize(
    ("num", "seconds", "words"),
    [(2, 7200, "2 hours"), (1, 3600, "1 hour,"), ("6", 21600, "6 hours"), (0.5, 1800, "0.5 hours")],
)
def test_a_limit_names_the_hours_to_wait(num: object, seconds: float, words: str) -> None:
    problem = error_of(refusal("RateLimited", "upper limit", template="{{num}} hours", num=num))
    assert problem.retry_after == seconds
    assert words in str(problem)


@pytest.mark.parametrize("num", [0, -1, "soon", None, [3], 10**9])
def test_a_limit_without_sensible_hours_names_none(num: object) -> None:
    assert error_of(refusal("RateLimited", "upper limit", num=num)).retry_after is None


def test_a_flat_limit_names_its_hours_too() -> None:
    assert error_of({"code": "RateLimited", "detail": "limit", "num": 3}).retry_after == 10800


def test_a_doubtful_quota_names_both_possibilities_and_no_link() -> None:
    said = str(error_of({"error": {"code": "internal_error", "details": QUOTA}}))
    assert "within a short time" in said
    assert "input is too long" in said
    assert "http" not in said


def test_internal_error_names_both_possibilities() -> None:
    said = str(error_of(refusal("Bad_Request", "Internal error")))
    assert "fault" in said
    assert "bot protection" in said


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UpstreamRejected),
        (401, UpstreamLoginRequired),
        (403, UpstreamLoginRequired),
        (404, UpstreamProtocolError),
        (405, UpstreamRejected),
        (408, UpstreamBusy),
        (413, UpstreamInputTooLong),
        (418, UpstreamProtocolError),
        (422, UpstreamRejected),
        (429, UpstreamRateLimited),
        (500, UpstreamBusy),
        (502, UpstreamUnreachable),
        (503, UpstreamUnreachable),
        (504, UpstreamUnreachable),
        (520, UpstreamUnreachable),
    ],
)
@pytest.mark.parametrize("body", [b"", b"words of a gateway", b"{}", b'{"success": true, "data": 1}'])
def test_a_status_decides_where_the_body_says_nothing(status: int, kind: type[UpstreamError], body: bytes) -> None:
    assert type(error_of(body, status)) is kind
    assert type(error_of(body, 200, actual=status)) is kind


def test_the_body_weighs_more_than_the_header_and_the_header_more_than_the_wire() -> None:
    assert isinstance(error_of(refusal("CHAT_NOT_FOUND"), 500, 401), ChatGone)
    assert isinstance(error_of({}, 500, 401), UpstreamLoginRequired)
    assert isinstance(error_of({}, 500, 200), UpstreamBusy)
    assert isinstance(error_of(ANTI_BOT, 401, 401), UpstreamBlocked)


@pytest.mark.parametrize("subject", ["chat", "model", "task", "account"])
def test_a_404_without_words_is_about_the_address(subject: Subject) -> None:
    assert type(error_of(b"", 404, subject=subject)) is UpstreamProtocolError


@pytest.mark.parametrize("body", [b"", b"<html><h1>429 Too Many Requests</h1></html>"])
def test_a_real_429_names_its_own_wait(body: bytes) -> None:
    with pytest.raises(UpstreamRateLimited) as caught:
        read_reply(Reply(429, body, retry_after=7), "chat")
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "The chat is in progress!"}},
        {"detail": "The chat is in progress!"},
        {"error": "The chat is in progress!"},
        {"data": {"error": {"msg": "The chat is in progress!"}}},
        {"success": False, "message": "The chat is in progress!"},
        {"success": False, "data": {"code": "Bad_Request", "details": {"why": "The chat is in progress!"}}},
        b'data: {"error": "The chat is in progress!"}\n\n',
        b': hello\n\ndata: {"detail": "The chat is in progress!"}',
        events([created(), {"response.info": {}}])
        + event({"error": "The chat is in progress!"})
        + event({"error": "x"}),
        b'\xef\xbb\xbf \n {"detail": "The chat is in progress!"}',
    ],
)
def test_refusals_are_recognised_in_every_form(body: object) -> None:
    assert isinstance(error_of(body, 400), ChatInProgress)


@pytest.mark.parametrize(
    "body",
    [
        ANTI_BOT,
        {"ret": ["FAIL_SYS_USER_VALIDATE"]},
        {"ret": "RGV587_ERROR::SM::x"},
        {"data": {"url": "https://chat.qwen.ai/_____tmd_____/punish?x5secdata=abc"}},
        WAF_PAGE,
        b"<html><title>Access Verification</title></html>",
        "<html><title>安全验证</title></html>".encode(),
        b"<html><script src='baxia.js'></script></html>",
        b"<html>an unknown page</html>",
    ],
)
@pytest.mark.parametrize("status", [200, 403, 405])
def test_the_bot_protection_is_recognised(body: object, status: int) -> None:
    problem = error_of(body, status)
    assert isinstance(problem, UpstreamBlocked)
    assert "x5sec" not in problem.message


def test_a_punishing_redirect_is_the_bot_protection_and_another_one_a_puzzle() -> None:
    page = b"<html><head><title>302 Found</title></head><body>Powered by Tengine</body></html>"
    for location, kind in (
        ("https://x/_____tmd_____/punish?x5secdata=a", UpstreamBlocked),
        ("/", UpstreamProtocolError),
    ):
        for body in (b"{}", page):
            with pytest.raises(kind):
                read_reply(Reply(302, body, location=location.encode()), "chat")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"<html><h1>nginx</h1></html>", 502, UpstreamUnreachable),
        (b"<html><h1>504 Gateway Time-out</h1></html>", 200, UpstreamUnreachable),
        (b"<html>gone</html>", 404, UpstreamProtocolError),
        (b"<html>moved</html>", 302, UpstreamProtocolError),
        (b"<html>captcha</html>", 503, UpstreamBlocked),
        (b"<html><h1>400 Request Header Or Cookie Too Large</h1></html>", 400, UpstreamRejected),
        (b"<html><h1>401 Authorization Required</h1></html>", 401, UpstreamLoginRequired),
        (b"<html><h1>408 Request Time-out</h1></html>", 408, UpstreamBusy),
        (b"<html><h1>413 Request Entity Too Large</h1></html>", 413, UpstreamInputTooLong),
        (b"<html><h1>429 Too Many Requests</h1></html>", 429, UpstreamRateLimited),
        (b"<html>captcha</html>", 429, UpstreamBlocked),
    ],
)
def test_other_pages_are_told_apart(body: bytes, status: int, kind: type[UpstreamError]) -> None:
    assert type(error_of(body, status)) is kind


@pytest.mark.parametrize(
    "value",
    [
        {"success": True, "data": {"id": 1}},
        {"data": [1]},
        {"ret": ["SUCCESS::ok"], "data": {}},
        {"code": 200, "data": {}},
        {"code": "Success"},
        {"error": None, "success": True},
        {},
    ],
)
def test_good_answers_pass(value: object) -> None:
    read_reply(Reply(200, json.dumps(value).encode(), actual=200), "chat")


@pytest.mark.parametrize("body", [b"", b"plain words", b"[1, 2]", b"data:", b'{"torn": '])
def test_a_shape_that_is_unknown_is_named_as_such(body: bytes) -> None:
    assert type(error_of(body)) is UpstreamProtocolError


def test_the_site_s_words_are_quoted_short_and_without_secrets() -> None:
    words = "Field 'x'\n required eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.c2ln https://a/punish?x5secdata=abc " + "long " * 100
    said = str(error_of(refusal("RequestValidationError", words)))
    assert "Field 'x' required" in said
    assert len(said) < 300
    for secret in ("eyJ", "x5sec", "abc", "\n"):
        assert secret not in said
    assert excerpt("short") == "short"


@pytest.mark.parametrize("words", ["model ", "chat ", "a" * 100, "https://"])
def test_a_long_refusal_takes_no_longer_than_others(words: str) -> None:
    began = time.process_time()
    classify(Failure(details=words * 5_000), "chat")
    excerpt(words * 5_000)
    assert time.process_time() - began < 1, "an expression that looks on from each word takes minutes"


def test_an_odd_code_is_not_repeated() -> None:
    assert classify(Failure("<script>", "x"), "chat").cause == ""


def test_errors_of_limits_alone_carry_a_wait() -> None:
    assert classify(Failure("CHAT_NOT_FOUND", retry_after=5), "chat").retry_after is None


def test_every_error_of_the_site_is_reachable_or_belongs_to_the_connection() -> None:
    from app.upstream.qwen.causes import CAUSES

    named = {cause.error for cause in CAUSES}
    elsewhere = {
        errors.UpstreamUnreachable,
        errors.UpstreamTimeout,
        errors.UpstreamCut,
        errors.UpstreamEmpty,
        errors.VideoFailed,
    }
    assert named | elsewhere | {UpstreamProtocolError} == set(UpstreamError.__subclasses__())

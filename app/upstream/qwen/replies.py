"""What the site answers when it does not stream: envelopes, refusals in every form, pages in place of answers.

docs/upstream-protocol.md, Transport: the body decides first (an anti-bot answer, then `success: false`, `error` or
`ret`), then the header `x-actual-status-code`, then the status on the wire, then what the content looks like.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

from app.errors import UpstreamBlocked, UpstreamError, UpstreamProtocolError, UpstreamUnreachable
from app.upstream.qwen.causes import BLOCKED, Failure, Subject, classify, excerpt
from app.upstream.qwen.decoding import decode
from app.upstream.qwen.sse import Splitter

_MARKERS = re.compile(
    rb"aliyun_waf|aliyunCaptcha|captcha|punish|x5sec|baxia|awsc|nc_1_n1z|_____tmd_____|gridConnectGet"
    rb"|Access Verification|" + "安全验证".encode(),
    re.IGNORECASE,
)
_GATEWAY = re.compile(rb"bad gateway|gateway time-?out|service (temporarily )?unavailable", re.IGNORECASE)
_MARKED = 65536
_GATEWAYS_OWN = frozenset({400, 401, 408, 413, 429})  # statuses of gateways' pages that no block was seen with
_FINE_CODES = frozenset({"", "0", "200", "ok", "success"})


class Outer(msgspec.Struct, gc=False):
    """The outermost object of any answer. Nothing is typed: the site's shapes vary, and readers look for themselves."""

    success: Any = None
    data: Any = None
    error: Any = None
    ret: Any = None
    code: Any = None
    details: Any = None
    detail: Any = None
    message: Any = None
    num: Any = None
    task_status: Any = None
    content: Any = None

    @property
    def is_refusal(self) -> bool:
        """Whether it says no, whatever else it holds: an `error` that is empty, false or 0 is none."""
        return bool(self.error) or self.success is False


class Reply(Struct, frozen=True, gc=False):
    """An answer read whole. `actual` is the header `x-actual-status-code`; `retry_after` is in seconds."""

    status: int
    body: bytes
    actual: int | None = None
    location: bytes = b""
    retry_after: float | None = None

    @property
    def bad_status(self) -> int | None:
        """The status that says no, the header's before the wire's; None if neither does."""
        if self.actual is not None and self.actual >= 400:
            return self.actual
        return self.status if self.status >= 400 else None


_OUTER = msgspec.json.Decoder(Outer)


def read_reply(reply: Reply, subject: Subject) -> Outer:
    """Return a good answer's outermost object. Raises the UpstreamError that any other answer means."""
    if reply.location and _MARKERS.search(reply.location):  # the page with it is any server's
        raise UpstreamBlocked(BLOCKED, cause="redirect")
    body = reply.body.removeprefix(b"\xef\xbb\xbf").strip()
    if body.startswith(b"<"):
        if reply.bad_status in _GATEWAYS_OWN and not _MARKERS.search(body[:_MARKED]):
            raise classify(_by_status(reply, ""), "account")
        raise page_error(body, reply.bad_status or reply.status)
    if body.startswith((b"data:", b":")):
        body = _telling(body)
    try:
        outer = decode(body, _OUTER)
    except UpstreamProtocolError:
        if reply.bad_status is not None:
            raise classify(_by_status(reply, excerpt(body.decode("utf-8", "replace"))), "account") from None
        raise _unknown_shape(reply, body) from None
    failure = failure_in(outer)
    if failure is not None:
        raise classify(_with_status(failure, reply), subject)
    if reply.bad_status is not None:
        raise classify(_by_status(reply, ""), "account")
    if reply.status >= 300:
        raise UpstreamProtocolError(f"The site sent us elsewhere (status {reply.status}).", cause=str(reply.status))
    return outer


def _telling(body: bytes) -> bytes:
    """Return the first payload of a stream that carries a refusal, the first of all where none does."""
    splitter = Splitter()
    payloads = [*splitter.feed(body), *splitter.close()]
    return next(filter(_is_refusal, payloads), payloads[0] if payloads else b"")


def _is_refusal(payload: bytes) -> bool:
    try:
        return failure_in(decode(payload, _OUTER)) is not None
    except UpstreamProtocolError:
        return False


def page_error(body: bytes, status: int) -> UpstreamError:
    """Return what a page means that came in place of JSON or a stream."""
    head = body[:_MARKED]
    if _MARKERS.search(head):
        return UpstreamBlocked(BLOCKED, cause="html")
    if status >= 500 or _GATEWAY.search(head):
        said = f"A gateway's error page came in place of an answer (status {status})."
        return UpstreamUnreachable(said, cause=str(status) if status >= 500 else "html")
    if status == 404 or 300 <= status < 400:
        return UpstreamProtocolError(f"A page came in place of an answer (status {status}).", cause="html")
    return UpstreamBlocked(
        "A page came in place of an answer, which is most likely the site's bot protection.", cause="html"
    )


def failure_in(outer: Outer) -> Failure | None:
    """Return the refusal that an object carries, in any of the forms known; None if it carries none."""
    if outer.ret is not None and (blocked := _anti_bot(outer.ret)):
        return blocked
    data = outer.data if isinstance(outer.data, dict) else {}
    if data.get("url") and "punish" in _text(data["url"]):
        return Failure("FAIL_SYS_USER_VALIDATE")
    if outer.error:
        return failure_from(outer.error, outer.num)
    if data.get("error"):
        return failure_from(data["error"], data.get("num"))
    if outer.success is False:
        own = {"code": outer.code, "details": outer.details or outer.detail or outer.message, "num": outer.num}
        given = outer.data if isinstance(outer.data, str) and outer.data else data
        return failure_from(given or own, outer.num)
    if outer.success is None and outer.data is None:
        code = _text(outer.code)
        if code.lower() not in _FINE_CODES or (outer.detail and not code):
            said = outer.details or outer.detail or outer.message
            return failure_from({"code": code, "details": said, "num": outer.num}, None)
    return None


def failure_from(value: object, num: object) -> Failure:
    """Read a refusal from an `error` or `data` value: an object, a text or a list."""
    if not isinstance(value, dict):
        return Failure(details=_text(value), hours=_hours(num))
    code = _text(value.get("code"))
    said = next((value[key] for key in ("details", "detail", "message", "msg", "error") if value.get(key)), "")
    return Failure(code or _text(value.get("type")), _text(said), _hours(value.get("num", num)))


def _anti_bot(ret: object) -> Failure | None:
    """Read the `ret` of the site's edge: anything but success is its bot protection."""
    words = [_text(item) for item in ret] if isinstance(ret, list) else [_text(ret)]
    if all(word.upper().startswith("SUCCESS") for word in words):
        return None
    return Failure("FAIL_SYS_USER_VALIDATE")


def _text(value: object) -> str:
    """Return any JSON value as words."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list):
        return "; ".join(_text(item) for item in value)
    return msgspec.json.encode(value).decode()


def _hours(num: object) -> float | None:
    """Read the hours of a limit; a wait that is not above zero, or above a month, is no information."""
    try:
        hours = float(num) if isinstance(num, str | int | float) else 0.0
    except (ValueError, OverflowError):
        return None
    return hours if 0 < hours <= 24 * 31 else None


def _with_status(failure: Failure, reply: Reply) -> Failure:
    return Failure(failure.code, failure.details, failure.hours, reply.retry_after, reply.bad_status)


def _by_status(reply: Reply, details: str) -> Failure:
    """Read a status alone: without the site's own words, a 404 is about the address and no reason to give a chat up."""
    return Failure(details=details, retry_after=reply.retry_after, status=reply.bad_status)


def _unknown_shape(reply: Reply, body: bytes) -> UpstreamProtocolError:
    what = "is not JSON" if body else "is empty"
    return UpstreamProtocolError(f"The site's answer {what} (status {reply.status}).", cause="shape")

"""Why the site said no: one table from its codes and words to our errors (docs/upstream-protocol.md, Errors).

Codes are compared in lower case and without `_`. A code that says enough decides; then the words of the details, since
the site hides many causes behind `Bad_Request`; then the vague codes; then the status.
"""

import re
from dataclasses import dataclass
from typing import Literal

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
    VideoFailed,
)
from app.log import Redaction

Subject = Literal["chat", "model", "task", "account"]
"""What a call is about, which tells what a bare "not found" means."""

BLOCKED = "The site's bot protection answered in place of the model."
_EXCERPT = 160
_READ = 20 * _EXCERPT  # characters of what the site says, which may be a whole page
_redact = Redaction()


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal as the site words it. `hours` and `retry_after` (seconds) are None where it names no time."""

    code: str = ""
    details: str = ""
    hours: float | None = None
    retry_after: float | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """One row: codes or words, and the error they mean. `quote` adds the site's own words; `retry_after` in seconds."""

    error: type[UpstreamError]
    says: str
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    retry_after: float | None = None
    quote: bool = False


def _cause(
    error: type[UpstreamError], says: str, codes: str = "", words: str = "", *, wait: float | None = None
) -> Cause:
    pattern = re.compile(words, re.IGNORECASE | re.DOTALL) if words else None
    return Cause(error, says, frozenset(codes.split()), pattern, wait)


_GONE = "The site no longer has this chat: it was deleted there, or it belongs to another account."
_MODEL = "The site does not know this model (any more)."
_FAULT = "The site reported an internal error: a fault of its own."
_REJECTED = "The site did not accept a value or the shape of our request."
_LIMIT = "The account has reached the site's usage limit for this model or feature."
_REFUSED_TOKEN = "The site refuses the account's token: it is missing, expired or no longer valid."  # noqa: S105 - prose

CAUSES: tuple[Cause, ...] = (
    _cause(UpstreamBlocked, BLOCKED, "failsysuservalidate rgv587error", r"FAIL_SYS_USER_VALIDATE|RGV587_ERROR|x5sec"),
    _cause(
        UpstreamLoginRequired,
        "The site says that the account is banned or not yet activated.",
        words=r"\bbanned\b|account (is|has been) suspended|pending activation|not (yet )?activated",
    ),
    _cause(
        UpstreamLoginRequired,
        _REFUSED_TOKEN,
        "unauthorized tokenexpired invalidtoken",
        r"^\s*(401|unauthori[sz]ed)\b|token (has |is )?(expired|invalid)|invalid token|log ?in again|not authenticated",
    ),
    _cause(
        ChatInProgress,
        "The site still generates an answer in this chat, or has not yet unlocked it after one.",
        "chatinprogress",
        r"chat is in progress",
    ),
    _cause(
        ParentUnknown,
        "The message to continue from is not in the chat on the site.",
        "parentnotfound",
        r"parent(_?id|\b).*\bnot (exist|found)",
    ),
    _cause(UpstreamModelUnknown, _MODEL, "modelnotfound", r"\bmodel\b.*\bnot (exist|found)"),
    _cause(ChatGone, _GONE, "chatnotfound", r"chat has been deleted|\b(chat|conversation)\b.*\bnot (exist|found)"),
    _cause(
        UpstreamInputTooLong,
        "The site says that the input is longer than the model can read.",
        "contextlengthexceeded",
        r"context (length|window)|maximum (context|input)|input (is )?too long|range of input length",
    ),
    _cause(
        UpstreamRateLimited,
        "The site says that a quota of tokens is used up: either too many went through within a short time, or this "
        "input is too long. Wait a little; if it happens again, send less text or start a new conversation.",
        words=r"allocated quota|token-limit",
        wait=30,
    ),
    _cause(
        UpstreamRefused,
        "The site's content inspection refused the prompt or the answer.",
        "datainspectionfailed",
        r"data_?inspection_?failed|inappropriate content",
    ),
    _cause(
        UpstreamRateLimited,
        "The account generates as many answers at once as the site allows.",
        "parallellimited",
        wait=10,
    ),
    _cause(UpstreamRateLimited, _LIMIT, "ratelimited", r"upper limit for today"),
    _cause(
        UpstreamRateLimited,
        "The site says that requests come too fast.",
        "toomanyrequests",
        r"too many requests|rate limit",
        wait=20,
    ),
    _cause(
        UpstreamRateLimited,
        "The account's quota on the site is used up.",
        "quotalimited exceedlimit quotaexhausted quotalimit",
        r"quota (is )?(exceeded|exhausted)",
    ),
    _cause(
        UpstreamBusy, "The site is overloaded.", "serverbusy busy", r"overload|temporarily unavailable|server is busy"
    ),
    Cause(UpstreamRejected, _REJECTED, frozenset({"requestvalidationerror", "validationerror"}), quote=True),
    _cause(
        UpstreamBusy,
        "The site answered only 'Internal error': a fault of its own, or a quiet refusal by its bot protection. If it "
        "goes on, open chat.qwen.ai in a browser and see whether it works there.",
        words=r"^Bad_Request\s+Internal error",
        wait=30,
    ),
)
"""The causes that a code or the words name."""

_VAGUE: tuple[Cause, ...] = (
    Cause(UpstreamRejected, _REJECTED, frozenset({"badrequest", "invalidinput", "invalidparameter"}), quote=True),
    _cause(UpstreamBusy, _FAULT, "internalerror internalservererror", wait=10),
)

_STATUS: dict[int, Cause] = {
    401: _cause(UpstreamLoginRequired, _REFUSED_TOKEN),
    403: _cause(UpstreamLoginRequired, "The site forbids this to the account's token."),
    408: _cause(UpstreamBusy, "The site gave up waiting for our request."),
    413: _cause(UpstreamInputTooLong, "The site says that the request is too large."),
    429: _cause(UpstreamRateLimited, "The site says that requests come too fast.", wait=20),
    500: _cause(UpstreamBusy, _FAULT, wait=10),
    **{
        status: Cause(UpstreamRejected, f"{_REJECTED[:-1]} (status {status}).", quote=True)
        for status in (400, 405, 415, 422)
    },
    **{
        status: _cause(UpstreamUnreachable, f"A gateway answered in place of the site (status {status}).")
        for status in (502, 503, 504)
    },
}

_MISSING: dict[Subject, Cause] = {
    "chat": _cause(ChatGone, _GONE),
    "model": _cause(UpstreamModelUnknown, _MODEL),
    "task": _cause(
        VideoFailed, "The site no longer knows this video: it was deleted there, or it belongs to another account."
    ),
    "account": _cause(UpstreamProtocolError, "The site does not know the address that we called."),
}


def classify(failure: Failure, subject: Subject) -> UpstreamError:
    """Return the error that a refusal means, its message made for a person."""
    cause = _find(failure, subject)
    says = cause.says
    retry_after = failure.retry_after if failure.retry_after is not None else cause.retry_after
    if failure.hours is not None and cause.error is UpstreamRateLimited:
        says += (
            f" It can be used again in {failure.hours:g} {'hour' if failure.hours == 1 else 'hours'}, the site says."
        )
        retry_after = failure.hours * 3600
    if cause.quote and (words := excerpt(failure.details)):
        says += f" It said: {words!r}."
    limited = issubclass(cause.error, UpstreamRateLimited | UpstreamBusy | UpstreamUnreachable)
    return cause.error(says, cause=_plain_code(failure), retry_after=retry_after if limited else None)


def _find(failure: Failure, subject: Subject) -> Cause:
    code = failure.code.lower().replace("_", "")
    details = failure.details[:_READ]
    said = f"{failure.code} {details}" if failure.code else details
    for cause in CAUSES:
        if code in cause.codes:
            return cause
    for cause in CAUSES:
        if cause.words and (cause.words.search(details) or cause.words.search(said)):
            return cause
    if code == "notfound" or re.search(r"\bnot exist", said, re.IGNORECASE):
        return _MISSING[subject]
    for cause in _VAGUE:
        if code in cause.codes:
            return cause
    if failure.status == 404:
        return _MISSING[subject]
    if failure.status in _STATUS:
        return _STATUS[failure.status]
    if failure.status is not None and failure.status >= 500:
        return _cause(UpstreamUnreachable, f"The site or its gateway failed (status {failure.status}).")
    named = _plain_code(failure)
    reason = f" with the code {named!r}" if named else ""
    return Cause(UpstreamProtocolError, f"The site refused{reason}, which this program does not know.", quote=True)


def excerpt(text: str) -> str:
    """Return a short piece of the site's words that is safe to show: one line, no addresses, no secrets."""
    without_links = re.sub(r"(?<!\S)\S+://\S+", "(link)", text[:_READ])
    line = " ".join(_redact(without_links).split())
    return line if len(line) <= _EXCERPT else line[: _EXCERPT - 1] + "…"


def _plain_code(failure: Failure) -> str:
    code = failure.code or (str(failure.status) if failure.status else "")
    return code if re.fullmatch(r"[\w.:-]{1,60}", code, re.ASCII) else ""

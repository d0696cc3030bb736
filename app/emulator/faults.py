"""Everything that can go wrong on the site, by name (docs/upstream-protocol.md, Errors).

A refusal replaces an answer; a disturbance changes how an answer comes. Each is chosen by the script, by the request
header `X-Emulator-Fault`, or by a line `#emulator fault=NAME` in the user's text. The object store has refusals
of its own.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, get_args

MARKER = re.compile(r"^#emulator fault=([a-z0-9_]+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer in the envelope. `status` is the real one, which the wire shows in the era of 2025 only.

    `bare_2025` is the whole body of that era where it had no envelope.
    """

    code: str
    details: Any
    status: int
    extra: dict[str, Any] = field(default_factory=dict)
    bare_2025: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """An answer that is no envelope: a gateway's page or the bot protection's, with its status on the wire."""

    body: str
    content_type: str = "text/html"
    status: int = 200


class Disturbance(Enum):
    """How an answer that was begun goes wrong, or only looks odd.

    `LOST` breaks the connection before the head of the answer, `GAVE_UP` shows a gateway's page in place of it; both
    answers are written all the same.
    """

    ERROR_IN_STREAM = "error_in_stream"
    ERROR_IN_STREAM_FLAT = "error_in_stream_flat"
    ERROR_IN_STREAM_TEXT = "error_in_stream_text"
    ERROR_IN_STREAM_NESTED = "error_in_stream_nested"
    ERROR_IN_STREAM_ENVELOPE = "error_in_stream_envelope"
    EXPIRED_IN_STREAM = "expired_in_stream"
    CUT = "cut"
    CUT_AT_ONCE = "cut_at_once"
    RESET = "reset"
    LOST = "lost"
    GAVE_UP = "gave_up"
    EMPTY = "empty"
    STALL = "stall"
    SLOW_START = "slow_start"
    KEEP_ALIVE = "keep_alive"
    ONLY_KEEP_ALIVES = "only_keep_alives"
    UNKNOWN_EVENTS = "unknown_events"
    ODD_VALUES = "odd_values"
    CRLF = "crlf"
    BYTEWISE = "bytewise"
    TWO_CANDIDATES = "two_candidates"
    CUMULATIVE = "cumulative"
    WEB_SEARCH = "web_search"
    IMAGE_SEARCH = "image_search"
    CODE_INTERPRETER = "code_interpreter"
    WEB_EXTRACTOR = "web_extractor"
    IMAGE_GEN_TOOL = "image_gen_tool"
    IMAGE_EDIT_TOOL = "image_edit_tool"
    IMAGE_EDIT_PHASE = "image_edit_phase"
    TASK_IN_STREAM = "task_in_stream"
    NO_TASK_ID = "no_task_id"
    REPORT_AS_ANSWER = "report_as_answer"
    DONE_MARK = "done_mark"


PUNISH = (
    '{"ret":["FAIL_SYS_USER_VALIDATE","RGV587_ERROR::SM::the emulator pretends to be guarded"],'
    '"data":{"url":"https://chat.qwen.ai:443//api/v2/chat/completions/_____tmd_____/punish?x5secdata=emulated"}}'
)
_WAF = (
    '<!doctypehtml><meta charset="UTF-8"><meta name="aliyun_waf_aa" content="1"><meta name="aliyun_waf_bb" content="2">'
)
_CAPTCHA = (
    "<!DOCTYPE html><html><head><title>Access Verification</title></head>"
    '<body><div id="nocaptcha" class="nc_1_n1z"></div><script src="/baxia/awsc.js"></script></body></html>'
)
_GATEWAY = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
GATEWAY_TIMEOUT = Page(_GATEWAY.format("504 Gateway Time-out"), status=504)
_EXPIRED = "Token has expired, please log in again."
_LIMIT = "You've reached the upper limit for today's usage."


def unauthorized(details: str, code: str = "unauthorized") -> Refusal:
    """Refuse a token; the site of 2025 answered with `detail` alone. Its code is seen in both cases."""
    return Refusal(code, details, 401, bare_2025={"detail": details})


REFUSALS: dict[str, Refusal | Page] = {
    "rate_limited": Refusal("RateLimited", _LIMIT, 429, {"template": "Wait {{num}} hours.", "num": 2}),
    "parallel_limited": Refusal("ParallelLimited", "Too many conversations are being answered.", 429),
    "too_many_requests": Refusal("Too_Many_Requests", "Too many requests.", 429),
    "quota_limited": Refusal("quotaLimited", "The quota is used up.", 429),
    "chat_in_progress": Refusal(
        "Bad_Request",
        "The chat is in progress!",
        400,
        bare_2025={"error": {"message": "The chat is in progress!"}},
    ),
    "internal": Refusal("Bad_Request", "Internal error", 400),
    "server_error": Refusal("Internal_Server_Error", "Something went wrong.", 500),
    "busy": Refusal("Server_Busy", "The server is busy.", 503),
    "validation": Refusal("RequestValidationError", ["Field 'chat_id': Field required"], 422),
    "invalid_input": Refusal("invalid_input", "The value is not allowed.", 400),
    "parent_not_found": Refusal("PARENT_NOT_FOUND", "The parent does not exist.", 404),
    "chat_not_found": Refusal(
        "CHAT_NOT_FOUND", "This chat has been deleted. Please start a new chat to continue.", 404
    ),
    "model_not_found": Refusal("Not_Found", "Model not found", 404),
    "task_not_found": Refusal("Not_Found", "The task does not exist.", 404),
    "inspection": Refusal("data_inspection_failed", "Input data may contain inappropriate content.", 400),
    "context_length": Refusal("ContextLengthExceeded", "The input is longer than the model's context.", 400),
    "unauthorized": unauthorized("401 Unauthorized", "Unauthorized"),
    "expired": unauthorized(_EXPIRED),
    "anti_bot": Page(PUNISH, "application/json"),
    "anti_bot_page": Page(_WAF),
    "anti_bot_captcha": Page(_CAPTCHA, status=403),
    "bad_gateway": Page(_GATEWAY.format("502 Bad Gateway"), status=502),
    "unavailable": Page("", status=503),
    "gateway_timeout": GATEWAY_TIMEOUT,
    "error_as_stream": Page(
        '{"success":false,"request_id":"r","data":{"code":"Bad_Request","details":"Internal error"}}',
        "text/event-stream",
    ),
}

BUCKET_FAULTS: dict[str, tuple[str, str, int]] = {
    "signature": ("SignatureDoesNotMatch", "The request signature we calculated does not match.", 403),
    "token_expired": ("SecurityTokenExpired", "The security token you provided has expired.", 403),
    "key_unknown": ("InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.", 403),
    "denied": ("AccessDenied", "AccessDenied", 403),
    "store_error": ("InternalError", "Please contact the server administrator.", 500),
}

Target = Literal[
    "completions",
    "new",
    "list",
    "read",
    "rename",
    "delete",
    "models",
    "refresh",
    "profile",
    "sts",
    "bucket",
    "parse",
    "parse_status",
    "filelink",
    "task",
    "output",
]
TARGETS: tuple[Target, ...] = get_args(Target)
NAMES = sorted({*REFUSALS, *(disturbance.value for disturbance in Disturbance)})


def named_in(header: str | None, text: str) -> str | None:
    """Return the fault that a request asks for itself, if any."""
    if header:
        return header
    found = MARKER.search(text)
    return found[1] if found else None

"""Every error that a caller can meet, with the status, code and advice it is answered with.

    GatewayError
    ├── InvalidRequest              400  what the client sent cannot be served
    │   ├── UnsupportedFeature      400  a part of the OpenAI API that does not exist here
    │   └── ContextTooLong          400  context_length_exceeded
    ├── InvalidApiKey               401
    ├── ForbiddenHost               403
    ├── ForbiddenOrigin             403
    ├── ModelNotFound               404
    ├── RouteNotFound               404
    ├── MethodNotAllowed            405
    ├── BodyTooLarge                413
    ├── UnsupportedMediaType        415
    ├── ResponseFormatUnmet         422  the model did not answer in the form that was asked for
    ├── QueueFull                   429
    ├── StoreError                  503
    │   ├── StoreBusy               503  another process holds the write lock
    │   └── StoreUnusable           503  newer, foreign or damaged
    │       └── StoreInUse          503  locked by another qwen-thread
    └── UpstreamError               502
        ├── UpstreamRateLimited     429  a limit of the account, with the seconds to wait
        ├── UpstreamBusy            503  the site is overloaded; later works
        ├── UpstreamLoginRequired   503
        │   └── UpstreamRenewalFailed 503  the login could not be renewed just now
        ├── UpstreamBlocked         503  an anti-bot answer
        ├── UpstreamRefused         400  the site's content inspection said no
        ├── UpstreamRejected        502  the site did not accept the request's shape or values
        ├── UpstreamUnreachable     502  no connection, or a gateway's error page
        ├── UpstreamTimeout         504
        ├── UpstreamCut             502  the stream ended in mid-answer
        ├── UpstreamEmpty           502  the answer had no text
        ├── VideoFailed             502  the site could not make a video
        ├── UpstreamProtocolError   502  an answer of a shape that we do not know
        ├── UpstreamInputTooLong    400  context_length_exceeded, said by the site
        ├── UpstreamModelUnknown    404  the model left the site's list
        ├── ChatInProgress          503  the chat's lock outlasts its answer
        ├── ChatGone                502  the chat was deleted on the site
        └── ParentUnknown           502  the message to continue from is not in the chat

The last three are mended by the gateway (docs/sessions.md, Recovery) and reach a client only when that fails too.
docs/errors.md lists what each one means for the person at the client.
"""

import logging
from typing import ClassVar


class GatewayError(Exception):
    """A fault of the server itself, or the base of what follows; it carries a public message.

    `param` names the field of the request at fault; `retry_after` is in seconds; `accepted` says that upstream
    had taken the prompt, after which a client must not simply send it again.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    code: ClassVar[str | None] = None
    retry: ClassVar[bool] = True
    log_level: ClassVar[int] = logging.INFO
    advice: ClassVar[str] = ""
    advice_zh: ClassVar[str] = ""

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.retry_after = retry_after
        self.accepted = False

    @property
    def message(self) -> str:
        """What happened, and what to do in English and Chinese, for a person."""
        return " ".join(part for part in (str(self.args[0]), self.advice, self.advice_zh) if part)

    @property
    def should_retry(self) -> bool:
        """Whether a client's automatic retry can help and does no harm."""
        return self.retry and not self.accepted


class InvalidRequest(GatewayError):
    """The request cannot be served as it is; `param` names the field."""

    status = 400
    type = "invalid_request_error"
    retry = False


class UnsupportedFeature(InvalidRequest):
    """A part of the OpenAI API that this server does not have, refused rather than pretended."""

    code = "unsupported_parameter"


class ContextTooLong(InvalidRequest):
    """The prompt is larger than one upstream message may be."""

    code = "context_length_exceeded"
    advice = "Start a new conversation, or send less text."
    advice_zh = "请开始新的对话，或者减少文字。"


class InvalidApiKey(InvalidRequest):
    """The caller's key is missing or wrong."""

    status = 401
    code = "invalid_api_key"
    advice = "Send one of the keys in API_KEYS as `Authorization: Bearer KEY`."
    advice_zh = "请用 `Authorization: Bearer KEY` 发送 API_KEYS 中的一个密钥。"


class ForbiddenHost(InvalidRequest):
    """The guard against DNS rebinding: an open server answers to loopback names only."""

    status = 403
    code = "forbidden_host"
    advice = "Call it as localhost or 127.0.0.1, or set API_KEYS to serve other names."
    advice_zh = "请以 localhost 或 127.0.0.1 访问；要用别的名称访问，请设置 API_KEYS。"


class ForbiddenOrigin(InvalidRequest):
    """A web page from an origin that CORS_ORIGINS does not list."""

    status = 403
    code = "forbidden_origin"
    advice = "CORS_ORIGINS lists the origins whose pages may call."
    advice_zh = "CORS_ORIGINS 列出可以调用的网页来源。"


class ModelNotFound(InvalidRequest):
    """The model is neither in the live list nor an alias."""

    status = 404
    code = "model_not_found"
    advice = "GET /v1/models lists the models."
    advice_zh = "GET /v1/models 列出所有模型。"


class RouteNotFound(InvalidRequest):
    """No such path."""

    status = 404
    code = "not_found"


class MethodNotAllowed(InvalidRequest):
    """The path exists, the method does not; `allowed` goes into the `Allow` header."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, *, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


class BodyTooLarge(InvalidRequest):
    """The request's body is above MAX_BODY_BYTES."""

    status = 413
    code = "request_too_large"


class UnsupportedMediaType(InvalidRequest):
    """The body is not JSON."""

    status = 415
    code = "unsupported_media_type"
    advice = "Send `Content-Type: application/json`."
    advice_zh = "请发送 `Content-Type: application/json`。"


class ResponseFormatUnmet(GatewayError):
    """The model's answer is not the JSON that `response_format` asks for, also when asked again."""

    status = 422
    type = "invalid_request_error"
    code = "response_format_unmet"
    retry = False
    advice = "Ask for a simpler form, or take another model."
    advice_zh = "请要求更简单的格式，或者换一个模型。"


class QueueFull(GatewayError):
    """As many generations wait as QUEUE_SIZE allows."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    advice = "Wait until some of them are done, or raise QUEUE_SIZE."
    advice_zh = "请等一些请求完成，或者调大 QUEUE_SIZE。"


class StoreError(GatewayError):
    """The session store could not do what was asked."""

    status = 503
    code = "store_error"
    log_level = logging.ERROR


class StoreBusy(StoreError):
    """Another process held the database's write lock for longer than we wait."""

    code = "store_busy"
    advice = "A shell or a backup may be holding a write transaction open; close it and try again."
    advice_zh = "可能有命令行或备份程序占着写事务；请关闭它再试。"


class StoreUnusable(StoreError):
    """The database file cannot be used and was left as it was."""

    code = "store_unusable"
    retry = False


class StoreInUse(StoreUnusable):
    """Another qwen-thread runs on the database file."""

    code = "store_in_use"


class UpstreamError(GatewayError):
    """Upstream did not do what was asked. `cause` is upstream's own code, for the log."""

    status = 502
    code = "upstream_error"
    log_level = logging.WARNING

    def __init__(
        self, message: str, *, cause: str = "", param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after)
        self.cause = cause


class UpstreamRateLimited(UpstreamError):
    """A limit of the account; `retry_after` in seconds where upstream told it."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    advice = "Wait that long, or use another model."
    advice_zh = "请等到限额恢复，或者换一个模型。"


class UpstreamBusy(UpstreamError):
    """Upstream is overloaded."""

    status = 503
    code = "upstream_busy"
    advice = "Try again in a little while."
    advice_zh = "请稍后再试。"


class UpstreamLoginRequired(UpstreamError):
    """The token is missing, expired or refused."""

    status = 503
    code = "upstream_login_required"
    retry = False
    advice = (
        "Sign in at chat.qwen.ai, copy the token or a request as cURL, and paste it into `python3 run.py login`; "
        "no restart is needed."
    )
    advice_zh = "请登录 chat.qwen.ai，重新复制令牌，写入 .env 的 QWEN_AUTH_TOKEN；无需重启。"


class UpstreamRenewalFailed(UpstreamLoginRequired):
    """The login is over and could not be renewed just now, for a reason that may pass; it is tried again by itself."""

    retry = True
    advice = "It is tried again by itself; if that does not help, run `python3 run.py login`."
    advice_zh = "程序会自己再试；如果没有用，请运行 `python3 run.py login`。"


class UpstreamBlocked(UpstreamError):
    """Upstream's bot protection answered in place of the model."""

    status = 503
    code = "upstream_blocked"
    retry = False
    advice = (
        "Open chat.qwen.ai in your browser with the same account, pass the check it shows, and wait some minutes; "
        "repeating the request deepens the block."
    )
    advice_zh = "请用同一账号在浏览器中打开 chat.qwen.ai，完成页面上的验证，等几分钟再试；反复请求会加重封锁。"


class UpstreamRefused(UpstreamError):
    """Upstream's content inspection refused the prompt or the answer."""

    status = 400
    type = "invalid_request_error"
    code = "content_filter"
    retry = False
    advice = "Word it differently."
    advice_zh = "请换一种说法。"


class UpstreamRejected(UpstreamError):
    """Upstream did not accept the shape or a value of our request."""

    code = "upstream_rejected"
    retry = False
    advice = "If it happens again, the site may have changed; please report it with the server's log."
    advice_zh = "如果再次出现，可能是网站变了；请附上服务器日志报告。"


class UpstreamUnreachable(UpstreamError):
    """No connection, or a gateway's error in place of an answer."""

    code = "upstream_unreachable"
    advice = "Check the network and whether chat.qwen.ai opens in a browser."
    advice_zh = "请检查网络，以及浏览器能否打开 chat.qwen.ai。"


class UpstreamTimeout(UpstreamError):
    """Upstream was silent for longer than a configured time; the message names the setting."""

    status = 504
    code = "upstream_timeout"
    advice = "Try again; if the site is always this slow, raise that setting."
    advice_zh = "请再试一次；如果网站一直这么慢，请调大该设置。"


class UpstreamCut(UpstreamError):
    """The stream ended before the answer did."""

    code = "upstream_cut"
    advice = "Say it again in the same conversation; what was written so far is kept."
    advice_zh = "请在同一对话中再问一次；已经写出的部分会保留。"


class UpstreamEmpty(UpstreamError):
    """The answer ended without any text."""

    code = "upstream_empty_answer"
    advice = (
        "The site sometimes does this for input that is too long or that it will not discuss; change it and try again."
    )
    advice_zh = "输入太长，或者网站不愿讨论时，有时会这样；请修改后再试。"


class VideoFailed(UpstreamError):
    """The site could not make a video."""

    code = "video_failed"
    advice = "Word it differently, or try again later."
    advice_zh = "请换一种说法，或者稍后再试。"


class UpstreamProtocolError(UpstreamError):
    """An answer of a shape that the adapter does not know."""

    code = "upstream_protocol_error"
    advice = "The site may have changed; please report it with the server's log."
    advice_zh = "网站可能变了；请附上服务器日志报告。"


class UpstreamInputTooLong(UpstreamError):
    """Upstream says that the input exceeds the model's context."""

    status = 400
    type = "invalid_request_error"
    code = "context_length_exceeded"
    retry = False
    advice = "Start a new conversation, or send less text."
    advice_zh = "请开始新的对话，或者减少文字。"


class UpstreamModelUnknown(UpstreamError):
    """Upstream does not know the model (any more)."""

    status = 404
    type = "invalid_request_error"
    code = "model_not_found"
    retry = False
    advice = "GET /v1/models lists the models."
    advice_zh = "GET /v1/models 列出所有模型。"


class ChatInProgress(UpstreamError):
    """The chat is locked by a generation, or still for some seconds after one."""

    status = 503
    code = "upstream_chat_in_progress"
    advice = "Try again in some seconds."
    advice_zh = "请过几秒再试。"


class ChatGone(UpstreamError):
    """The chat no longer exists upstream."""

    code = "upstream_chat_gone"
    advice = "Send it again: it then goes into a new chat."
    advice_zh = "请再发一次：会进入新的对话。"


class ParentUnknown(UpstreamError):
    """The message that we wanted to continue from is not in the chat."""

    code = "upstream_parent_unknown"
    advice = "Send it again: it then goes into a new chat."
    advice_zh = "请再发一次：会进入新的对话。"

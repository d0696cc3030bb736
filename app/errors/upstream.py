"""What upstream says in place of an answer, or does not say."""

import logging
from copy import copy
from typing import Self

from app.errors.base import GatewayError
from app.errors.request import TOO_MANY_TOKENS


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

    def anew(self) -> Self:
        """Return an equal error, to keep it or to raise one that is kept: it holds no caller's frames and marks."""
        return copy(self)


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
    advice_zh = "请登录 chat.qwen.ai，复制令牌，或把请求复制为 cURL，粘贴到 `python3 run.py login`；无需重启。"


class UpstreamRenewalFailed(UpstreamLoginRequired):
    """The login is over and could not be renewed just now, for a reason that may pass; it is tried again by itself."""

    retry = True
    advice = "It is tried again by itself; if that does not help, run `python3 run.py login`."
    advice_zh = "程序会自己再试；如果没有用，请运行 `python3 run.py login`。"


class ClockWrong(UpstreamRenewalFailed):
    """The login was renewed, but by this machine's clock the new token is over, or as good as that."""

    advice = "Set this machine's clock; the login is then renewed by itself."
    advice_zh = "请校准本机的时钟；之后登录会自动更新。"


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
    """The site could not make a video, or no longer knows of it."""

    code = "video_failed"
    retry = False
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
    sign = TOO_MANY_TOKENS
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

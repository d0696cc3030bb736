"""What is wrong with a request, or too much of it."""

from app.errors.base import GatewayError

TOO_MANY_TOKENS = "Input tokens exceed the configured limit."


class InvalidRequest(GatewayError):
    """The request cannot be served as it is; `param` names the field."""

    status = 400
    type = "invalid_request_error"
    retry = False


class UnsupportedFeature(InvalidRequest):
    """A part of the API that this server does not have, refused rather than pretended."""

    code = "unsupported_parameter"


class ContextTooLong(InvalidRequest):
    """The prompt is larger than one upstream message may be."""

    code = "context_length_exceeded"
    sign = TOO_MANY_TOKENS
    advice = "Start a new conversation, or send less text."
    advice_zh = "请开始新的对话，或者减少文字。"


class ChatFull(ContextTooLong):
    """The context of the model could hold the message, but not what its chat holds already besides."""


class InvalidApiKey(InvalidRequest):
    """The caller's key is missing or wrong."""

    status = 401
    code = "invalid_api_key"
    advice = "Send one of the keys in API_KEYS as `Authorization: Bearer KEY` or `x-api-key: KEY`."
    advice_zh = "请用 `Authorization: Bearer KEY` 或 `x-api-key: KEY` 发送 API_KEYS 中的一个密钥。"


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


class PreviousResponseNotFound(InvalidRequest):
    """No response of this owner has the id that a request goes on from."""

    status = 404
    code = "previous_response_not_found"
    advice = "Send the whole conversation as 'input', without 'previous_response_id'."
    advice_zh = "请不带 'previous_response_id'，把整个对话放进 'input' 发送。"


class ResponseUnfinished(InvalidRequest):
    """The response is still being written; or it failed without any text, so that nothing can go on from it."""

    status = 409
    code = "response_unfinished"
    advice = "Wait until it is whole; after one that failed, send the request again that it answered."
    advice_zh = "请等它写完；如果它失败了，请重新发送它所回答的请求。"


class ResponseNotFound(InvalidRequest):
    """No response of this owner has the id."""

    status = 404
    code = "response_not_found"


class TextsNotKept(InvalidRequest):
    """What is asked for needs texts that the database does not hold: STORE_TEXT is 0, or was."""

    status = 409
    code = "texts_not_kept"
    advice = "Send the whole conversation as 'input'; with STORE_TEXT=1 later ones are kept."
    advice_zh = "请把整个对话放进 'input' 发送；设置 STORE_TEXT=1 后，之后的对话会被保存。"


class VideoNotFound(InvalidRequest):
    """No video of this owner has the id."""

    status = 404
    code = "video_not_found"
    advice = "GET /v1/videos lists the videos."
    advice_zh = "GET /v1/videos 列出所有视频。"


class VideoNotReady(InvalidRequest):
    """The video is still being made."""

    status = 409
    code = "video_not_ready"
    advice = "Ask GET /v1/videos/{id} until its status is completed."
    advice_zh = "请查询 GET /v1/videos/{id}，直到状态为 completed。"


class VideoElsewhere(InvalidRequest):
    """The video is in another account of the site than the one whose token is set."""

    status = 409
    code = "video_of_another_account"
    advice = "Set that account's token again to look at it."
    advice_zh = "请重新设置该账号的令牌后再查看。"


class VideoExpired(InvalidRequest):
    """The video was made, but the site gives it no more."""

    status = 410
    code = "video_expired"
    advice = "Have it made again, and fetch it soon."
    advice_zh = "请重新生成，并尽快下载。"


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


class ServerStopping(GatewayError):
    """The server was told to stop before the answer was whole; what was written so far is kept."""

    status = 503
    code = "server_stopping"
    advice = "Send it again once the server runs."
    advice_zh = "请等服务器重新启动后再发一次。"


class QueueFull(GatewayError):
    """As many generations wait as QUEUE_SIZE allows."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    advice = "Wait until some of them are done, or raise QUEUE_SIZE."
    advice_zh = "请等一些请求完成，或者调大 QUEUE_SIZE。"

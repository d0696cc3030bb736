"""What the files of messages, or files that are stored here, can be at fault in."""

from app.errors.request import InvalidRequest


class FileUnreadable(InvalidRequest):
    """What a client gave as a file is no file, or holds nothing."""

    code = "invalid_file"


class FileNotFetched(FileUnreadable):
    """The file behind an address could not be fetched, or the address is one that the server does not call."""

    code = "file_not_fetched"
    advice = "Send the file itself as a data URL, or look at FETCH_URLS and FETCH_PRIVATE."
    advice_zh = "请以 data URL 直接发送文件，或者查看 FETCH_URLS 和 FETCH_PRIVATE 设置。"


class FileLimit(InvalidRequest):
    """A message holds more files than the site takes, or one that is too large for it."""

    code = "file_limit_exceeded"
    advice = "Send fewer or smaller files in one message."
    advice_zh = "请减少一条消息里的文件，或者缩小文件。"


class FileKindNotUnderstood(InvalidRequest):
    """The model cannot take files of this kind; the message names models of the list that can."""

    code = "unsupported_file"
    advice = "Take one of those models, or leave the file out."
    advice_zh = "请换用其中一个模型，或者不要发送该文件。"


class StoredFileNotFound(InvalidRequest):
    """No file of this owner has the id."""

    status = 404
    code = "file_not_found"
    advice = "GET /v1/files lists the files."
    advice_zh = "GET /v1/files 列出所有文件。"


class FileTooLarge(InvalidRequest):
    """One file is above FILE_BYTES."""

    status = 413
    code = "file_too_large"


class FileChanged(InvalidRequest):
    """The file is not the one that `If-Match` or `If-Unmodified-Since` asks for."""

    status = 412
    code = "precondition_failed"
    advice = "Ask for the file as it is now, without that header."
    advice_zh = "请去掉该请求头，请求文件的当前内容。"


class RangeUnusable(InvalidRequest):
    """The `Range` of a file is none, or begins behind its end."""

    status = 416
    code = "range_not_satisfiable"
    advice = "Ask for bytes that the file has, or for all of it."
    advice_zh = "请请求文件范围内的字节，或者整个文件。"

    def __init__(self, message: str, *, content_range: str) -> None:
        """`content_range` is the header that says which bytes there are."""
        super().__init__(message)
        self.content_range = content_range


class FormExpected(InvalidRequest):
    """A file was sent, but not in a form."""

    status = 415
    code = "unsupported_media_type"
    advice = "Send `Content-Type: multipart/form-data`, with the file in a field of its own."
    advice_zh = "请发送 `Content-Type: multipart/form-data`，文件放在单独的字段中。"


class FileStorageFull(InvalidRequest):
    """The stored files would be above FILES_BUDGET."""

    status = 413
    code = "file_storage_full"
    advice = "Delete some with DELETE /v1/files/{id}, or raise FILES_BUDGET."
    advice_zh = "请用 DELETE /v1/files/{id} 删除一些文件，或者调大 FILES_BUDGET。"

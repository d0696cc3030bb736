"""Every error that a caller can meet, with the status, code and advice it is answered with.

    GatewayError
    ├── InvalidRequest              400  what the client sent cannot be served
    │   ├── UnsupportedFeature      400  a part of the API that does not exist here
    │   └── ContextTooLong          400  context_length_exceeded
    │       └── ChatFull            400  the same, for what the chat holds already; replayed where that is less
    ├── InvalidApiKey               401
    ├── ForbiddenHost               403
    ├── ForbiddenOrigin             403
    ├── FileUnreadable              400  what a client gave as a file cannot be read
    │   └── FileNotFetched          400  an address that cannot be fetched, or must not be
    ├── FileLimit                   400  more or larger files than the site takes
    ├── FileKindNotUnderstood       400  the model cannot see, hear or read such a file
    ├── StoredFileNotFound          404  no such file is stored
    ├── FileTooLarge                413  one file above FILE_BYTES
    ├── FileStorageFull             413  all stored files above FILES_BUDGET
    ├── FormExpected                415  a file that was not sent in a form
    ├── ModelNotFound               404
    ├── RouteNotFound               404
    ├── PreviousResponseNotFound    404
    ├── ResponseNotFound            404
    ├── VideoNotFound               404
    ├── MethodNotAllowed            405
    ├── ResponseUnfinished          409
    ├── TextsNotKept                409  what is asked for needs texts that the database does not hold
    ├── VideoNotReady               409
    ├── VideoElsewhere              409
    ├── VideoExpired                410
    ├── FileChanged                 412  not the file that a header of the request asks for
    ├── BodyTooLarge                413
    ├── UnsupportedMediaType        415
    ├── RangeUnusable               416  bytes of a file that it does not have
    ├── ResponseFormatUnmet         422  the model did not answer in the form that was asked for
    ├── QueueFull                   429
    ├── ServerStopping              503
    ├── StoreError                  503
    │   ├── StoreBusy               503  another process holds the write lock
    │   └── StoreUnusable           503  newer, foreign or damaged
    │       └── StoreInUse          503  locked by another qwen-thread
    └── UpstreamError               502
        ├── UpstreamRateLimited     429  a limit of the account, with the seconds to wait
        ├── UpstreamBusy            503  the site is overloaded; later works
        ├── UpstreamLoginRequired   503
        │   └── UpstreamRenewalFailed 503  the login could not be renewed just now
        │       └── ClockWrong      503  a token that was renewed is over by this machine's clock
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
docs/errors.md lists what each one means for the person at the client. CannotListen is told at the command line only.
"""

from app.errors.base import GatewayError, is_left, reason_of
from app.errors.files import (
    FileChanged,
    FileKindNotUnderstood,
    FileLimit,
    FileNotFetched,
    FileStorageFull,
    FileTooLarge,
    FileUnreadable,
    FormExpected,
    RangeUnusable,
    StoredFileNotFound,
)
from app.errors.request import (
    BodyTooLarge,
    ChatFull,
    ContextTooLong,
    ForbiddenHost,
    ForbiddenOrigin,
    InvalidApiKey,
    InvalidRequest,
    MethodNotAllowed,
    ModelNotFound,
    PreviousResponseNotFound,
    QueueFull,
    ResponseFormatUnmet,
    ResponseNotFound,
    ResponseUnfinished,
    RouteNotFound,
    ServerStopping,
    TextsNotKept,
    UnsupportedFeature,
    UnsupportedMediaType,
    VideoElsewhere,
    VideoExpired,
    VideoNotFound,
    VideoNotReady,
)
from app.errors.start import CannotListen
from app.errors.store import StoreBusy, StoreError, StoreInUse, StoreUnusable
from app.errors.upstream import (
    ChatGone,
    ChatInProgress,
    ClockWrong,
    ParentUnknown,
    UpstreamBlocked,
    UpstreamBusy,
    UpstreamCut,
    UpstreamEmpty,
    UpstreamError,
    UpstreamInputTooLong,
    UpstreamLoginRequired,
    UpstreamModelUnknown,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamRenewalFailed,
    UpstreamTimeout,
    UpstreamUnreachable,
    VideoFailed,
)

__all__ = [
    "BodyTooLarge",
    "CannotListen",
    "ChatFull",
    "ChatGone",
    "ChatInProgress",
    "ClockWrong",
    "ContextTooLong",
    "FileChanged",
    "FileKindNotUnderstood",
    "FileLimit",
    "FileNotFetched",
    "FileStorageFull",
    "FileTooLarge",
    "FileUnreadable",
    "ForbiddenHost",
    "ForbiddenOrigin",
    "FormExpected",
    "GatewayError",
    "InvalidApiKey",
    "InvalidRequest",
    "MethodNotAllowed",
    "ModelNotFound",
    "ParentUnknown",
    "PreviousResponseNotFound",
    "QueueFull",
    "RangeUnusable",
    "ResponseFormatUnmet",
    "ResponseNotFound",
    "ResponseUnfinished",
    "RouteNotFound",
    "ServerStopping",
    "StoreBusy",
    "StoreError",
    "StoreInUse",
    "StoreUnusable",
    "StoredFileNotFound",
    "TextsNotKept",
    "UnsupportedFeature",
    "UnsupportedMediaType",
    "UpstreamBlocked",
    "UpstreamBusy",
    "UpstreamCut",
    "UpstreamEmpty",
    "UpstreamError",
    "UpstreamInputTooLong",
    "UpstreamLoginRequired",
    "UpstreamModelUnknown",
    "UpstreamProtocolError",
    "UpstreamRateLimited",
    "UpstreamRefused",
    "UpstreamRejected",
    "UpstreamRenewalFailed",
    "UpstreamTimeout",
    "UpstreamUnreachable",
    "VideoElsewhere",
    "VideoExpired",
    "VideoFailed",
    "VideoNotFound",
    "VideoNotReady",
    "is_left",
    "reason_of",
]

"""What the core asks of the world; adapters live in `app/upstream`, `app/store`, `app/tasks` and `app/telemetry`.

Only `app/main.py` names one.
"""

from app.core.modes import Mode
from app.core.ports.archive import Branch, Erased, Said, SessionArchive, SessionSummary
from app.core.ports.deletions import DeletionQueue
from app.core.ports.files import (
    Fetcher,
    FileIndex,
    FileLibrary,
    IncomingFile,
    StoredFile,
    UploadIndex,
)
from app.core.ports.meter import AnswerMeter, Meter
from app.core.ports.records import (
    ASKED_AGAIN,
    Calling,
    CutAnswer,
    Deletion,
    KeptAnswer,
    KnownChat,
    KnownNode,
    Match,
    NamedAnswer,
    NewNode,
    NewSession,
    NodeEnd,
    NodeFile,
    NodeState,
    OpenNode,
    PathNode,
    Place,
    StoreOverview,
)
from app.core.ports.store import SessionStore
from app.core.ports.tasks import Background
from app.core.ports.upstream import (
    AccountStatus,
    Answering,
    ChatMessage,
    ChatRecord,
    ChatSummary,
    Download,
    Login,
    ModelInfo,
    Prompt,
    UploadedFile,
    Upstream,
    VideoState,
)
from app.core.ports.videos import Video, VideoStore

__all__ = [
    "ASKED_AGAIN",
    "AccountStatus",
    "AnswerMeter",
    "Answering",
    "Background",
    "Branch",
    "Calling",
    "ChatMessage",
    "ChatRecord",
    "ChatSummary",
    "CutAnswer",
    "Deletion",
    "DeletionQueue",
    "Download",
    "Erased",
    "Fetcher",
    "FileIndex",
    "FileLibrary",
    "IncomingFile",
    "KeptAnswer",
    "KnownChat",
    "KnownNode",
    "Login",
    "Match",
    "Meter",
    "Mode",
    "ModelInfo",
    "NamedAnswer",
    "NewNode",
    "NewSession",
    "NodeEnd",
    "NodeFile",
    "NodeState",
    "OpenNode",
    "PathNode",
    "Place",
    "Prompt",
    "Said",
    "SessionArchive",
    "SessionStore",
    "SessionSummary",
    "StoreOverview",
    "StoredFile",
    "UploadIndex",
    "UploadedFile",
    "Upstream",
    "Video",
    "VideoState",
    "VideoStore",
]

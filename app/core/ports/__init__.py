"""What the core asks of the world; adapters live in `app/upstream`, `app/store` and `app/tasks`.

Only `app/main.py` names one.
"""

from app.core.ports.archive import Branch, Erased, Said, SessionArchive, SessionSummary
from app.core.ports.store import (
    CutAnswer,
    Deletion,
    KnownChat,
    KnownNode,
    Match,
    NewNode,
    NewSession,
    NodeEnd,
    NodeState,
    OpenNode,
    Place,
    SessionStore,
    StoreOverview,
)
from app.core.ports.tasks import Background
from app.core.ports.upstream import (
    AccountStatus,
    ChatMessage,
    ChatRecord,
    ChatSummary,
    Login,
    ModelInfo,
    Prompt,
    Upstream,
)

__all__ = [
    "AccountStatus",
    "Background",
    "Branch",
    "ChatMessage",
    "ChatRecord",
    "ChatSummary",
    "CutAnswer",
    "Deletion",
    "Erased",
    "KnownChat",
    "KnownNode",
    "Login",
    "Match",
    "ModelInfo",
    "NewNode",
    "NewSession",
    "NodeEnd",
    "NodeState",
    "OpenNode",
    "Place",
    "Prompt",
    "Said",
    "SessionArchive",
    "SessionStore",
    "SessionSummary",
    "StoreOverview",
    "Upstream",
]

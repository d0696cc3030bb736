"""The adapter to chat.qwen.ai."""

from app.upstream.qwen.auth import TokenSource
from app.upstream.qwen.client import QwenUpstream

__all__ = ["QwenUpstream", "TokenSource"]

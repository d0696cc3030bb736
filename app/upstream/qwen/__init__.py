"""The adapter to chat.qwen.ai."""

from app.upstream.qwen.client import QwenUpstream
from app.upstream.qwen.credentials import Given, are_of_two_accounts
from app.upstream.qwen.renewal import Renewal
from app.upstream.qwen.token_source import TokenSource
from app.upstream.qwen.vault import KeptByLogin

__all__ = ["Given", "KeptByLogin", "QwenUpstream", "Renewal", "TokenSource", "are_of_two_accounts"]

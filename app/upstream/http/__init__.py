"""An HTTP/1.1 client as small as speaking to one site allows (docs/performance.md says what it replaced, and why)."""

from app.upstream.http.connection import Disconnected, NotHttp, Response
from app.upstream.http.pool import NotConnected, Pool

__all__ = ["Disconnected", "NotConnected", "NotHttp", "Pool", "Response"]

"""An HTTP/1.1 client as small as speaking to one site allows (docs/performance.md says what it replaced, and why)."""

from app.upstream.http.pool import NotConnected, Pool, header_lines
from app.upstream.http.response import Disconnected, NotHttp, Response

__all__ = ["Disconnected", "NotConnected", "NotHttp", "Pool", "Response", "header_lines"]

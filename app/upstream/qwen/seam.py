"""Where the network ends: its errors become ours."""

from app.errors import UpstreamCut, UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from app.upstream.http import NotConnected, NotHttp


def explained(problem: OSError, silence: str, *, connect_seconds: float, in_answer: bool = False) -> UpstreamError:
    """Return what the network raised as an error of ours. `silence` is the message for a timeout.

    `in_answer` says that the answer had begun, so that its end is a cut and not an upstream out of reach.
    """
    if isinstance(problem, TimeoutError):
        return UpstreamTimeout(silence, cause="timeout")
    if isinstance(problem, NotConnected):
        return _unconnected(problem, connect_seconds)
    if isinstance(problem, NotHttp):
        said = "The site's answer is not proper HTTP."
        return UpstreamCut(said, cause="http") if in_answer else UpstreamProtocolError(said, cause="http")
    if in_answer:
        return UpstreamCut("The connection to the site broke in mid-answer.", cause="connection")
    return UpstreamUnreachable("The connection to the site broke before it answered.", cause="connection")


def _unconnected(problem: NotConnected, seconds: float) -> UpstreamError:
    match problem.why:
        case "timeout":
            said = f"The site could not be reached within {seconds:g} s (CONNECT_TIMEOUT)."
            return UpstreamTimeout(said, cause="connect")
        case "tls":
            return UpstreamUnreachable("The connection to the site could not be secured (TLS).", cause="tls")
        case "dns":
            return UpstreamUnreachable(f"The name {problem.host} could not be resolved.", cause="dns")
        case "refused":
            said = f"{problem.host} could not be reached: {problem.reason}."
            return UpstreamUnreachable(said, cause="connect")

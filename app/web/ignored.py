"""Name the parameters of a request that had no effect."""

import re
from collections.abc import Sequence

_MOST_BYTES = 1024


def ignored_header(names: Sequence[str]) -> dict[str, str]:
    """Return the header; it holds token characters only, and no more than 1 KB of them."""
    if not names:
        return {}
    line = ",".join(re.sub(r"[^!#$%&'*+.^_`|~0-9A-Za-z-]", "_", name) for name in names)
    return {"X-Ignored-Params": line[:_MOST_BYTES]} if line else {}

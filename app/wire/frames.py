"""The frames of server-sent events."""

_LINE_ENDS = tuple((mark.encode(), b"\\u%04x" % ord(mark)) for mark in "\u2028\u2029\x85")


def unbroken(said: bytes) -> bytes:
    """Escape what JSON may hold as it is, but Python's clients take for the end of a line."""
    if said.isascii():
        return said
    for mark, escaped in _LINE_ENDS:
        said = said.replace(mark, escaped)
    return said

"""What a multipart form holds."""

from collections.abc import Sequence

from msgspec import Struct


class FormPart(Struct, frozen=True):
    """A field of a form; one with a `filename` is a file."""

    name: str
    filename: str | None
    content_type: str
    data: bytes


def text_fields(form: Sequence[FormPart]) -> dict[str, str]:
    """Return the fields that are no files."""
    return {part.name: part.data.decode("utf-8", "replace") for part in form if part.filename is None}

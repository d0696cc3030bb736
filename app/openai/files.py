"""Stored files in OpenAI's form."""

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from app.core.ports import StoredFile
from app.errors import InvalidRequest

Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
MOST_LISTED = 10_000


class FileObject(msgspec.Struct):
    """A stored file; `created_at` is in seconds, `bytes` its size."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: None
    filename: str
    purpose: str
    status: Literal["processed"]
    status_details: None


class FileList(msgspec.Struct):
    """One page of the stored files; `last_id` is the `after` of the next."""

    object: Literal["list"]
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(msgspec.Struct):
    """A file that is stored no more."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


class FileUpload(msgspec.Struct):
    """A form with a file to store; `file` is its content."""

    file: str
    purpose: Purpose


def check_purpose(purpose: str) -> None:
    """Raise InvalidRequest for a purpose that OpenAI does not know."""
    if purpose not in PURPOSES:
        raise InvalidRequest(f"'purpose' must be one of {', '.join(PURPOSES)}.", param="purpose")


def file_object(file: StoredFile) -> FileObject:
    """Describe a file."""
    return FileObject(
        id=file.id,
        object="file",
        bytes=file.size,
        created_at=int(file.created_at.timestamp()),
        expires_at=None,
        filename=file.name,
        purpose=file.purpose,
        status="processed",
        status_details=None,
    )


def file_list(files: Sequence[StoredFile], limit: int) -> FileList:
    """Describe a page, given one file more than it holds if there is one."""
    data = [file_object(file) for file in files[:limit]]
    return FileList(
        object="list",
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=len(files) > limit,
    )

"""Files that are written where they are, also on a filesystem that copies what is written (btrfs)."""

import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

_LONG = struct.calcsize("l")
_READ_FLAGS = 0x80006601 | _LONG << 16  # FS_IOC_GETFLAGS of linux/fs.h
_SET_FLAGS = 0x40006602 | _LONG << 16
_NO_COPY = 0x00800000


def write_in_place(file: int) -> bool:
    """Ask for it while a file is empty; return whether its filesystem is one that else copies.

    There a page that is mapped into memory needs new room whenever it is written, and on a full disk the system ends
    the process in the middle of that.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        flags = struct.unpack("I", fcntl.ioctl(file, _READ_FLAGS, bytes(4)))[0]
        fcntl.ioctl(file, _SET_FLAGS, struct.pack("I", flags | _NO_COPY))
    except OSError:
        return False
    return True


def prepare_index_of_log(database: Path) -> None:
    """Make the file that SQLite maps to find its way in the log, where it has to be written in place.

    SQLite takes an empty one for new. It is never removed here: another program may have opened the database meanwhile,
    and the two would no longer see each other's locks. Raises OSError.
    """
    with TemporaryFile(dir=database.parent) as probe:
        if not write_in_place(probe.fileno()):
            return
    with suppress(FileExistsError):
        file = os.open(database.with_name(f"{database.name}-shm"), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        write_in_place(file)
        os.close(file)

"""Small pictures and videos that are real files, drawn from a name alone."""

import hashlib
import struct
import zlib


def png(width: int, height: int, name: str) -> bytes:
    """Draw a picture: two colours that the name decides, from one corner to the other."""
    digest = hashlib.sha256(name.encode()).digest()
    one, two = digest[:3], digest[3:6]
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # this row is not filtered
        for x in range(width):
            share = (x + y) / max(1, width + height - 2)
            rows += bytes(round(a + (b - a) * share) for a, b in zip(one, two, strict=True))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(rows))) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def mp4(name: str) -> bytes:
    """Make the boxes of a video without a track; the name stands in its free space."""
    kind = _box(b"ftyp", b"isom" + struct.pack(">I", 512) + b"isomiso2mp41")
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    head = struct.pack(">IIIIIIH10x", 0, 0, 0, 1000, 0, 0x10000, 0x100) + matrix + bytes(24) + struct.pack(">I", 1)
    return kind + _box(b"moov", _box(b"mvhd", head)) + _box(b"free", name.encode())


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data

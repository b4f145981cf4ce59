"""Damage in PNG files, found by the checksums that they have (W3C PNG, third edition, section 5.3), before a decoder
writes lines of its own about it."""

from __future__ import annotations

import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def has_wrong_checksum(data: memoryview) -> bool:
    """Whether this is a PNG file in which a chunk is cut off or does not have its checksum."""
    if data[:8].tobytes() != SIGNATURE:
        return False
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8].tobytes()
        end = at + 8 + length
        if end + 4 > len(data) or zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return True
        at = end + 4
    return False

"""PNG as label maps need it: indices with a palette, or true colour (W3C PNG, third edition, sections 9 to 11)."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from segtween.masks.png import SIGNATURE


def encode_png(pixels: NDArray[np.uint8], *, palette: NDArray[np.uint8] | None = None) -> bytes:
    """(H, W) indices with a `palette` (256, 3) -> 8-bit palette PNG, without one grey; (H, W, 3) RGB or (H, W, 4) with
    alpha -> 8-bit true colour PNG.

    Every row holds its difference to the row above, run-length coded: for label maps smaller and faster
    than zlib's search. Its tables are small enough to stay in the processor's cache: those of labels, whose codes are
    few, smaller still.
    """
    height, width = pixels.shape[:2]
    flat = pixels.reshape(height, -1)
    rows = np.empty((height, flat.shape[1] + 1), np.uint8)
    rows[:, 0] = 2  # filter type "up"
    rows[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 6 if pixels.ndim == 2 else 8, zlib.Z_RLE)
    data = packer.compress(rows.data) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, _colour_type(pixels, palette), 0, 0, 0)
    colours = b"" if palette is None else _chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    return SIGNATURE + _chunk(b"IHDR", header) + colours + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _colour_type(pixels: NDArray[np.uint8], palette: NDArray[np.uint8] | None) -> int:
    if pixels.ndim == 2:
        return 0 if palette is None else 3
    return {3: 2, 4: 6}[pixels.shape[2]]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

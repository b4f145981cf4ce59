"""Run lengths of masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.types import SizeHW

Mask = NDArray[np.bool_]
_GROUPS = 13  # of five bits, in 64


def run_lengths(flat: Mask) -> NDArray[np.int64]:
    """Lengths of the runs of a flat mask, of False first, which may be 0."""
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate(([0], changes, [flat.size])) if flat.size else np.zeros(1, np.int64)
    counts = np.diff(bounds)
    return np.concatenate(([0], counts)) if flat.size and flat[0] else counts


def from_run_lengths(counts: Sequence[int] | NDArray[np.int64]) -> Mask:
    """The flat mask of such lengths."""
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, np.asarray(counts, np.int64))


def box_of(mask: Mask) -> tuple[int, int, int, int]:
    """Left, top, width, height of what is in a mask that is not empty."""
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    top, left = int(rows[0]), int(columns[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


# ── COCO ──────────────────────────────────────────────────────────────────────────────────────


def to_coco(mask: Mask) -> dict[str, Any]:
    """(H, W) -> `{"size": [H, W], "counts": text}`, column by column, as pycocotools writes it."""
    return {"size": [int(n) for n in mask.shape], "counts": _to_text(run_lengths(mask.ravel(order="F")))}


def from_coco(size_hw: SizeHW, counts: str | bytes | Sequence[int]) -> Mask:
    """(H, W) of COCO's run lengths, as text or as numbers; ValueError where they do not fill it."""
    if isinstance(counts, (str, bytes)):
        lengths = _from_text(counts.encode() if isinstance(counts, str) else counts)
    else:
        lengths = np.asarray(counts, np.int64)
    if (lengths < 0).any() or int(lengths.sum()) != size_hw[0] * size_hw[1]:
        raise ValueError("run lengths that do not fill the picture")
    return from_run_lengths(lengths).reshape(size_hw, order="F")


def _to_text(counts: NDArray[np.int64]) -> str:
    """Each length from the fourth on as its difference to the one before the last, in groups of five bits from the
    lowest, with a bit that says whether more follow, as printable characters."""
    rest = counts.copy()
    rest[3:] -= counts[1:-2]
    groups, used = np.zeros((_GROUPS, rest.size), np.uint8), np.zeros((_GROUPS, rest.size), np.bool_)
    more = np.ones(rest.size, np.bool_)
    for place in range(_GROUPS):
        bits = rest & 31
        rest >>= 5
        used[place] = more
        more = more & np.where(bits & 16, rest != -1, rest != 0)
        groups[place] = bits + 32 * more + 48
        if not more.any():
            break
    return groups.T[used.T].tobytes().decode("ascii")


def _from_text(text: bytes) -> NDArray[np.int64]:
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if not codes.size or (codes < 0).any() or (codes > 63).any() or codes[-1] & 32:
        raise ValueError("text that is no run lengths")
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    place = np.arange(codes.size) - np.repeat(starts, ends - starts + 1)
    if place.max() >= _GROUPS:
        raise ValueError("a run length of very many digits")
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    negative = codes[ends] & 16 != 0
    values[negative] -= np.int64(1) << (5 * (ends - starts + 1)[negative])
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    return values


# ── Label Studio ──────────────────────────────────────────────────────────────────────────────

_WORD, _SIZES = 8, (3, 4, 8, 16)


def to_brush(mask: Mask) -> list[int]:
    """(H, W) -> bytes of Label Studio's `brushlabels`: the RGBA pixels, row by row, of a mask painted with 255.

    Number of values (32 bits), bits of a value - 1 (5), four widths - 1 (4 each); then runs: 1, which width (2), length
    - 1, one value; or 0, which width, length - 1, that many values.
    """
    head = [(4 * mask.size, 32), (_WORD - 1, 5), *((size - 1, 4) for size in _SIZES)]
    lengths, values = _cut(4 * run_lengths(mask.ravel()))  # four channels with the same value
    which = np.searchsorted([1 << size for size in _SIZES], lengths)
    sizes = np.array(_SIZES)[which]
    runs = ((4 | which) << sizes | (lengths - 1)) << _WORD | values
    codes = np.concatenate(([code for code, _ in head], runs))
    widths = np.concatenate(([width for _, width in head], 3 + sizes + _WORD))
    place = widths[:, None] - 1 - np.arange(32)
    bits = (codes[:, None] >> np.maximum(place, 0) & 1)[place >= 0]
    packed: list[int] = np.packbits(bits.astype(np.uint8)).tolist()
    return packed


def _cut(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Runs of 0 and 255 in turn, in pieces as long as the widest length holds: their lengths and values."""
    most = 1 << _SIZES[-1]
    pieces = -(-counts // most)
    lengths = np.full(int(pieces.sum()), most)
    lengths[np.cumsum(pieces)[pieces > 0] - 1] = (counts - (pieces - 1) * most)[pieces > 0]
    return lengths, np.repeat(255 * (np.arange(counts.size) % 2), pieces)


def from_brush(values: Sequence[int], size_hw: SizeHW) -> Mask:
    """(H, W) of Label Studio's brush: where it is painted half or more; ValueError for bytes that are none."""
    stream = _Bits(values)
    total, word = stream.take(32), stream.take(5) + 1
    sizes = [stream.take(4) + 1 for _ in range(4)]
    if total != 4 * size_hw[0] * size_hw[1]:
        raise ValueError("a brush of another size than the picture")
    pixels, place = np.zeros(total, np.int64), 0
    while place < total:
        is_run = stream.take(1)
        length = stream.take(sizes[stream.take(2)]) + 1
        if is_run:
            pixels[place : place + length] = stream.take(word)
        else:
            pixels[place : place + length] = [stream.take(word) for _ in range(min(length, total - place))]
        place += length
    alpha: Mask = pixels[3::4].reshape(size_hw) >= 1 << (word - 1)
    return alpha


class _Bits:
    """Whole numbers out of a row of bits."""

    def __init__(self, values: Sequence[int]) -> None:
        data = np.asarray(values)
        if data.ndim != 1 or data.dtype.kind not in "iu" or not data.size or data.min() < 0 or data.max() > 255:
            raise ValueError("a brush that is no list of bytes")
        self._text = "".join(f"{int(value):08b}" for value in data)
        self._place = 0

    def take(self, count: int) -> int:
        part = self._text[self._place : self._place + count]
        if len(part) < count:
            raise ValueError("a brush that ends early")
        self._place += count
        return int(part, 2)


# ── CVAT ──────────────────────────────────────────────────────────────────────────────────────


def to_boxed(mask: Mask) -> dict[str, Any] | None:
    """(H, W) -> CVAT's `mask`: `left`, `top`, `width`, `height` of the box around it, and `rle`, the run lengths in it
    row by row; None for an empty one."""
    if not mask.any():
        return None
    left, top, width, height = box_of(mask)
    counts = run_lengths(mask[top : top + height, left : left + width].ravel())
    return {"left": left, "top": top, "width": width, "height": height, "rle": ", ".join(map(str, counts))}


def from_boxed(values: dict[str, Any], size_hw: SizeHW) -> Mask:
    """(H, W) of such a `mask`; ValueError where it does not fit into the picture."""
    left, top, width, height = (int(values[name]) for name in ("left", "top", "width", "height"))
    counts = [int(part) for part in str(values["rle"]).split(",")]
    fits = left >= 0 and top >= 0 and left + width <= size_hw[1] and top + height <= size_hw[0]
    if not fits or min(counts) < 0 or sum(counts) != width * height:
        raise ValueError("a mask that does not fit into its box, or the box into the picture")
    mask = np.zeros(size_hw, np.bool_)
    mask[top : top + height, left : left + width] = from_run_lengths(counts).reshape(height, width)
    return mask

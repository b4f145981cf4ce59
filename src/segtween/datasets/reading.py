"""Reading one picture, label image or flow field from disk."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from segtween.errors import DatasetError, os_errors
from segtween.masks.png import SIGNATURE, has_wrong_checksum
from segtween.types import Flow, Rgb

_GREY, _PALETTE = 0, 3  # PNG colour types; of the latter a pixel is an index into a table of colours


def read_listing(root: Path, split: str) -> str:
    """`<split>.txt` in the root; DatasetError, which names the splits that are there, where it cannot be read."""
    splits = ", ".join(sorted(p.stem for p in root.glob("*.txt"))) or "none"
    expected = f"<split>.txt in the root (splits there: {splits})"
    return read_list(root / f"{split}.txt", expected=expected, do="check root= and split=")


def read_list(path: Path, *, expected: str = "lines of `image label`", do: str) -> str:
    """The text of a list file; DatasetError with `expected` and `do` where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise DatasetError(f"list file {path} cannot be read ({reason})", expected=expected, do=do) from None


def names_by_line(text: str, path: Path, *, counts: Collection[int] = (2,)) -> Iterator[tuple[str, list[str]]]:
    """Place and names of each line of a list file that has any: an image and its label file, which `counts` with a 1
    lets be absent. DatasetError for a line of another number of names."""
    for number, line in enumerate(text.splitlines(), 1):
        names, place = line.split(), f"{path}, line {number}"
        if not names:
            continue
        if len(names) not in counts:
            raise DatasetError(
                f"{place}: {line.strip()[:80]!r}",
                expected="an image and its label file, with a space between",
                do="correct the list",
            )
        yield place, names


def _content(path: Path) -> bytes:
    with os_errors(DatasetError, f"{path} cannot be read", expected="an image file", do="check the data set"):
        return path.read_bytes()


def _decode(path: Path, content: bytes, flags: int) -> NDArray[Any]:
    import cv2

    whole = bool(content) and not has_wrong_checksum(memoryview(content))
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if whole else None
    if image is None:
        raise DatasetError(
            f"{path} is not a readable image ({len(content)} bytes)",
            expected="a whole PNG or JPEG file",
            do="replace the file",
        )
    return np.asarray(image)


def read_rgb(path: Path) -> Rgb:
    """(H, W, 3) uint8 RGB. Orientation tags are ignored, so that labels fit."""
    import cv2

    image = _decode(path, _content(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def read_ids(path: Path) -> NDArray[Any]:
    """A label image as it is stored: (H, W) whole numbers, for a palette PNG its indices, for a grey one of 1, 2 or 4
    bits its numbers, which decoders stretch to 0..255."""
    import cv2

    content = _content(path)
    bits, colour_type = content[24:26] if content[:8] == SIGNATURE and len(content) > 25 else (8, None)
    if colour_type == _PALETTE:
        return _palette_indices(path)
    values = _decode(path, content, cv2.IMREAD_UNCHANGED)
    if colour_type == _GREY and bits < 8:
        return values // np.uint8(255 // (2**bits - 1))
    return values


def _palette_indices(path: Path) -> NDArray[np.uint8]:
    import av

    try:
        with av.open(str(path)) as container:
            plane = next(container.decode(video=0)).planes[0]
    except (av.error.FFmpegError, StopIteration) as error:
        raise DatasetError(
            f"{path} is not a readable image ({error})", expected="a whole PNG file", do="replace the file"
        ) from None
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return np.ascontiguousarray(rows[:, : plane.width])


def read_flow(path: Path) -> Flow:
    """(H, W, 2) float32 from an .npz file with an array `flow` (float16 or float32)."""
    flow = _stored(path, "flow")
    if flow is None or flow.ndim != 3 or flow.shape[2] != 2 or flow.dtype.kind != "f":
        raise DatasetError(
            f"{path} holds no flow" if flow is None else f"{path} holds {flow.dtype} of shape {flow.shape}",
            expected="an array `flow` of floats of shape (height, width, 2)",
            do="render the clip again",
        )
    return np.asarray(flow, np.float32)


def read_occlusion(path: Path) -> NDArray[np.bool_] | None:
    """(H, W) bool from the .npz file of a flow, True where a pixel was not visible in the frame before; None where the
    file has no array `occlusion`."""
    occlusion = _stored(path, "occlusion")
    if occlusion is not None and (occlusion.ndim != 2 or occlusion.dtype != np.bool_):
        raise DatasetError(
            f"{path} holds an occlusion of {occlusion.dtype} and shape {occlusion.shape}",
            expected="an array `occlusion` of booleans of shape (height, width)",
            do="render the clip again",
        )
    return occlusion


def _stored(path: Path, name: str) -> NDArray[Any] | None:
    """One array of an .npz file, None where it has none of that name."""
    try:
        with path.open("rb") as file, np.load(file) as stored:
            return stored[name] if name in stored.files else None
    except (OSError, ValueError, EOFError, TypeError, BadZipFile) as error:
        raise DatasetError(
            f"{path} cannot be read ({(str(error).splitlines() or ['no content'])[0]})",
            expected="an array `flow` of shape (height, width, 2)",
            do="render the clip again",
        ) from None

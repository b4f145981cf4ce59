"""Flow read from files: computed by another tool, or exact.

Convention: the file of a frame holds its backward flow, current(x, y) = previous(x + dx, y + dy), in pixels of the
file's own grid, which spans the image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.errors import DatasetError, SettingError
from segtween.flow.view import GreyView
from segtween.ops.cpu import CpuOps
from segtween.ops.reference import pad_image, padded_size
from segtween.types import Flow, Rgb, SizeHW, covered, format_size

MAGIC = np.float32(202021.25)  # "PIEH" of Middlebury's .flo
NAMES = ("{}.flo", "{}.npz")


class StoredFlow:
    """The flow of each frame from a folder: `<frame name>.flo` (Middlebury) or `.npz` with an array `flow` (h, w, 2);
    frames of a video are named by number, `000012.flo`.

    `select` says which frame comes next, by name or index. With `padded` the frame is padded right and bottom to
    multiples of 32, and the flow with it, by its last row and column.
    """

    def __init__(self, folder: str | Path, *, stride: int | None = None, padded: bool = False) -> None:
        self.folder, self.padded = Path(folder), padded
        if not self.folder.is_dir():
            raise SettingError(f"flow folder {folder} is not found", expected="a folder of .flo or .npz", do="check it")
        self._view, self._ops = GreyView(stride=stride), CpuOps(threads=1)
        self._key: str | int | None = None
        self._size: SizeHW = (1, 1)

    def select(self, key: str | int) -> None:
        self._key = key

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]:
        self._size = rgb.shape[0], rgb.shape[1]
        return self._view(pad_image(rgb) if self.padded else rgb)

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:  # noqa: ARG002
        flow, whole = read_flow(self._path()), (current.shape[0], current.shape[1])
        spans = padded_size(self._size) if self.padded else self._size
        inner = covered(whole, image_hw=self._size, spans_hw=spans)
        flow = self._ops.resize_flow(flow, inner)
        return np.pad(flow, ((0, whole[0] - inner[0]), (0, whole[1] - inner[1]), (0, 0)), mode="edge")

    def describe(self) -> dict[str, Any]:
        return {"flow": "stored", "folder": self.folder.name, "grid": self._view.stride or "by image size"}

    def _path(self) -> Path:
        if self._key is None:
            raise SettingError("stored flow without a frame", expected="select(name or index) first", do="call it")
        stem = f"{self._key:06d}" if isinstance(self._key, int) else str(self._key)
        found = [p for name in NAMES if (p := self.folder / name.format(stem)).is_file()]
        if not found:
            raise DatasetError(
                f"flow of frame {self._key} is not in {self.folder}",
                expected=" or ".join(name.format(stem) for name in NAMES),
                do="write it, or use flow='dis'",
            )
        return found[0]


def read_flow(path: str | Path) -> Flow:
    """(h, w, 2) float32 of a .flo or .npz file; DatasetError for anything else."""
    path = Path(path)
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                flow = np.asarray(stored["flow"], np.float32)
        else:
            flow = np.asarray(cv2.readOpticalFlow(str(path)), np.float32) if _is_flo(path) else np.empty(0, np.float32)
    except (OSError, ValueError, KeyError, cv2.error) as error:
        raise _no_flow(path, str(error).splitlines()[0]) from None
    if flow.ndim != 3 or flow.shape[2] != 2 or 0 in flow.shape:
        raise _no_flow(path, f"it holds {format_size(flow.shape[:2]) if flow.ndim > 1 else 'no'} values")
    if not np.isfinite(flow).all():
        raise _no_flow(path, "not all of its values are finite")
    return np.ascontiguousarray(flow)


def _is_flo(path: Path) -> bool:
    with open(path, "rb") as file:
        head = np.frombuffer(file.read(12).ljust(12, b"\0"), "<f4,<i4,<i4")[0]
    width, height = int(head[1]), int(head[2])
    good = head[0] == MAGIC and min(width, height) > 0 and path.stat().st_size == 12 + 8 * width * height
    return bool(good)


def _no_flow(path: Path, why: str) -> DatasetError:
    return DatasetError(
        f"{path} cannot be read as a flow ({why})",
        expected="Middlebury .flo, or .npz with an array `flow` of shape (height, width, 2)",
        do="write it again",
    )

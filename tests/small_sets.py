"""Tiny data sets on disk for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def picture(path: Path, array: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)
    return path


def grey(size_hw: tuple[int, int] = (8, 12), value: int = 100) -> NDArray[np.uint8]:
    return np.full((*size_hw, 3), value, np.uint8)


def camvid(root: Path, names: Sequence[str], *, split: str = "val", value: int = 3) -> Path:
    """Frames and constant labels under the given names, in that order."""
    for name in names:
        picture(root / split / f"{name}.png", grey())
        picture(root / f"{split}annot" / f"{name}.png", np.full((8, 12), value, np.uint8))
    lines = [f"{split}/{name}.png {split}annot/{name}.png" for name in names]
    (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root


def cityscapes(root: Path, frames: dict[str, Sequence[int]], labelled: dict[str, Sequence[int]]) -> Path:
    """`frames` and `labelled`: frame numbers by `<city>_<sequence>`."""
    for sequence, numbers in frames.items():
        city = sequence.split("_")[0]
        for n in numbers:
            picture(root / "leftImg8bit_sequence/val" / city / f"{sequence}_{n:06d}_leftImg8bit.png", grey())
        for n in labelled[sequence]:
            truth = root / "gtFine/val" / city / f"{sequence}_{n:06d}_gtFine_labelIds.png"
            picture(truth, np.full((8, 12), 7, np.uint8))
    return root

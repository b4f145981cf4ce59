"""Frames of the synthetic street as files, rendered once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.labels import LabelSet
from segtween.street import renderer_version
from segtween.training.cache import tracked, write_png
from segtween.training.recipe import Sampled
from segtween.types import Flow
from segtween.validation import whole_file
from segtween.video.staging import sink_errors

CAMERA_RATE = 15
RENDERED = ("camvid11", "cityscapes19")
FLOW_STRIDE = 8


def render(source: Sampled, labels: LabelSet, *, cache: Path, flow: bool = False) -> tuple[tuple[Path, Path], ...]:
    """Image and label files of every clip of a source, clip by clip; labels hold the label set's ids.

    With `flow` a file `flow_file(image)` lies beside each image: the exact backward flow on a grid of 1/8.
    Files stand in a folder that is named by size, stride, label set and the renderer's own code, so that a changed
    renderer does not meet old frames. SettingError for a label set that streets are not rendered with.
    """
    if labels.name not in RENDERED:
        raise SettingError(
            f"labels is {labels.name!r}, with a source of kind street",
            expected=f"one of {', '.join(RENDERED)}",
            do="leave the street source out or choose another label set",
        )
    kind = "street-flow" if flow else "street"
    folder = cache / f"{kind}-{source.size}-{source.stride}-{labels.name}-{renderer_version()}"
    seeds = range(source.seeds[0], source.seeds[1] + 1)
    files = {s: [_pair(folder, s, i) for i in range(source.frames)] for s in seeds}
    missing = [s for s, pairs in files.items() if not all(label.is_file() for _, label in pairs)]
    with sink_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for seed in tracked(missing, f"rendering {source.name}"):
            _render_clip(seed, source, labels, files[seed], flow=flow)
    return tuple(pair for pairs in files.values() for pair in pairs)


def flow_file(image: Path) -> Path:
    """(2, H/8, W/8) float16, x first, in pixels of that grid, whose corners are the frame's."""
    return image.with_name(f"{image.stem}_flow.npy")


def small_flow(flow: Flow) -> NDArray[np.float16]:
    """A frame's flow (H, W, 2) on the grid of 1/8, corners kept, as `flow_file` holds it."""
    sides = [(side, max(2, side // FLOW_STRIDE)) for side in flow.shape[:2]]
    rows, columns = (np.linspace(0, full - 1, few, dtype=np.float32) for full, few in sides)
    grid = np.meshgrid(columns, rows)
    sampled = cv2.remap(flow, grid[0], grid[1], cv2.INTER_LINEAR)  # (h, w, 2)
    factors = [(few - 1) / (full - 1) for full, few in reversed(sides)]
    return np.ascontiguousarray((sampled * factors).transpose(2, 0, 1).astype(np.float16))


def _pair(folder: Path, seed: int, index: int) -> tuple[Path, Path]:
    stem = f"{seed:06d}_{index:04d}"
    return folder / f"{stem}.png", folder / f"{stem}_labels.png"


def _render_clip(seed: int, source: Sampled, labels: LabelSet, pairs: list[tuple[Path, Path]], *, flow: bool) -> None:
    from segtween.street import StreetClip

    # A slower camera sees the same drive in longer steps.
    rate = Fraction(CAMERA_RATE, source.stride)
    clip = StreetClip(seed, size_hw=source.size_hw, frame_rate=rate, frames=source.frames)
    for frame, (image, label) in zip(clip, pairs, strict=True):
        write_png(image, cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR))
        if flow:
            with whole_file(flow_file(image)) as part, open(part, "wb") as file:  # by name, it would get a suffix
                np.save(file, small_flow(frame.flow))
        write_png(label, labels.encode(frame.camvid11 if labels.name == "camvid11" else frame.cityscapes19))

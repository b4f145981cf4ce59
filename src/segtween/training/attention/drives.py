"""Rendered drives with the composed flow between their frames, as the engine has it: matched by appearance.

Computed once and kept on disk; no segmentation network is needed for it. Convention (docs/conventions.md): backward
flow, current(x, y) = key(x + dx, y + dy), in cells of the composed flow's grid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.build import build_flow
from segtween.engine.clock import Clock
from segtween.engine.motion import MotionEstimator
from segtween.engine.state import KeyState, Propagation
from segtween.ops.cpu import CpuOps
from segtween.refine.blend import Replace
from segtween.settings import Composed, find_preset
from segtween.street import renderer_version
from segtween.training.attention.recipe import Moments
from segtween.training.cache import new_folder, tracked
from segtween.training.street import CAMERA_RATE, check_rendered
from segtween.types import Flow, Rgb, size_of

PRESET = "refined"
"""Whose flow and propagation the network is trained for."""
_NO_SCORES = np.zeros((1, 1, 1), np.float32)


@dataclass(frozen=True)
class Follower:
    """The engine's parts that lead from a frame to the key frames before it."""

    motion: MotionEstimator
    propagation: Propagation

    def __call__(self, frames: Iterable[Rgb]) -> Iterator[list[Flow]]:
        """For each frame (H, W, 3) of a clip the composed flow (gh, gw, 2) to every frame before it, from the first."""
        self.motion.reset()
        states: list[KeyState] = []
        for rgb in frames:
            motion, image_hw = self.motion(rgb, Clock()), size_of(rgb)
            states = [self.propagation.follow(state, motion) for state in states]
            yield [state.composed for state in states if state.composed is not None]
            states.append(self.propagation.key(_NO_SCORES, None, image_hw=image_hw, appearance=motion.appearance))

    def describe(self) -> dict[str, Any]:
        """Everything that changes the numbers, as plain JSON values."""
        return {**self.motion.describe(), **self.propagation.describe()}


def open_follower(*, threads: int) -> Follower:
    """What the preset `refined` follows key frames with."""
    settings, ops = find_preset(PRESET), CpuOps(threads=threads)
    chosen = settings.propagation
    assert isinstance(chosen, Composed), "refinement by attention is of composed flow"
    propagation = Propagation(
        ops,
        fusion=Replace(),
        kind=chosen.kind,
        most_cells=chosen.most_cells,
        tolerance=chosen.tolerance,
        match=settings.match,
    )
    flow = build_flow(settings, threads=threads)
    return Follower(MotionEstimator(flow, ops=ops, appearance=propagation.match is not None), propagation)


def drives_key(source: Moments, labels: str, follower: Follower) -> str:
    """Of everything that a drive depends on but its seed; SettingError for labels that streets are not rendered
    with."""
    check_rendered(labels)
    read = {k: v for k, v in asdict(source).items() if k in ("frames", "stride", "begins", "size")}
    text = json.dumps([read, labels, renderer_version(), follower.describe()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def open_drives(source: Moments, labels: str, follower: Follower, *, cache: Path) -> list[Drive]:
    """The drives of a source, rendered into `cache`, a folder each, where that has not been done yet."""
    folder = cache / f"drives-{drives_key(source, labels, follower)[:16]}"
    seeds = range(source.seeds[0], source.seeds[1] + 1)
    for seed in tracked(seeds, f"rendering {source.name}"):
        if not (folder / str(seed)).is_dir():
            with new_folder(folder / str(seed)) as part:
                for name, array in _rendered(seed, source, labels, follower).items():
                    np.save(part / f"{name}.npy", array)
    return [Drive(folder / str(seed)) for seed in seeds]


@dataclass(frozen=True)
class Drive:
    """The f frames of one drive on disk."""

    folder: Path

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """(f, H, W, 3)"""
        return self._array("rgb")

    @property
    def truth(self) -> NDArray[np.uint8]:
        """(f, H, W) train ids"""
        return self._array("truth")

    @property
    def composed(self) -> NDArray[np.float16]:
        """(f (f - 1) / 2, gh, gw, 2); `pair_row` says where"""
        return self._array("composed")

    def _array(self, name: str) -> NDArray[Any]:
        array: NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return array


def pair_row(*, key: int, now: int) -> int:
    """The row of a drive's `composed` that leads from frame `now` to frame `key` before it."""
    return now * (now - 1) // 2 + key


def _rendered(seed: int, source: Moments, labels: str, follower: Follower) -> dict[str, NDArray[Any]]:
    from segtween.street import StreetClip

    rate = Fraction(CAMERA_RATE, source.stride)
    begin = 13 * seed % source.begins  # prime to most lengths, so that neighbours begin far from each other
    frames = list(StreetClip(seed, size_hw=source.size_hw, frame_rate=rate, frames=source.frames, start=begin))
    truth = [frame.camvid11 if labels == "camvid11" else frame.cityscapes19 for frame in frames]
    composed = [flow for flows in follower(frame.rgb for frame in frames) for flow in flows]
    return {
        "rgb": np.stack([frame.rgb for frame in frames]),
        "truth": np.stack(truth),
        "composed": np.stack(composed).astype(np.float16),
    }

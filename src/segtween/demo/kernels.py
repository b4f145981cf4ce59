"""The compiled loops that the demo needs, made by several processes at once where they are not on disk yet.

numba compiles one function after the other and keeps what it made beside the source. The loops fall into parts of about
equal length that share little, each compiled by a process of its own (`python -m segtween.demo.kernels PART`; without
a part, all that are missing); the demo then finds them on disk. It would compile by itself what is missing, only later
and one by one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from segtween.labels import CAMVID11

GRID = (60, 80)
SIZE_HW = (480, 640)


def _street() -> None:
    from segtween.street import StreetClip

    for _ in StreetClip(0, size_hw=SIZE_HW, frame_rate=Fraction(15), frames=2):
        pass


def _labels() -> None:
    from segtween.ops.cpu import CpuOps
    from segtween.types import ScoreMap

    ops, path, share = CpuOps(), np.zeros((*GRID, 2), np.float32), np.full(GRID, 0.5, np.float32)
    scores = ScoreMap(np.zeros((len(CAMVID11), *GRID), np.float32), "logits", SIZE_HW)
    ops.labels(scores, SIZE_HW)
    ops.labels(scores, SIZE_HW, composed=path)
    ops.mixed_labels((scores, path), (scores, path), share, SIZE_HW)


def _motion() -> None:
    from segtween.flow import FlowOptions, open_flow
    from segtween.ops.cpu import CpuOps

    ops = CpuOps()
    for quality in ("balanced", "fine"):  # online, offline
        flow = open_flow("dis", FlowOptions(quality=quality))
        first, second = (flow.prepare(np.full((*SIZE_HW, 3), grey, np.uint8)) for grey in (0, 9))
        motion = flow(second, first)
    error = ops.residual(second, first, motion)
    grid = (error.shape[0] // 2, error.shape[1] // 2)
    reliability, path = ops.follow(None, None, motion, error, grid_hw=grid, tolerance=10.0)
    scores = np.zeros((len(CAMVID11), *grid), np.float32)
    ops.blend(scores, scores, path, reliability)
    ops.compose_flow(path, path)


def _matching() -> None:
    from segtween.ops.cpu import CpuOps
    from segtween.types import ScoreMap

    ops = CpuOps()
    seen = ops.appearance(np.random.default_rng(0).integers(0, 255, (*SIZE_HW, 3), np.uint8), (240, 320))
    coarse = seen.coarse.shape[0], seen.coarse.shape[1]
    path, share = np.zeros((*coarse, 2), np.float32), np.full(coarse, 0.5, np.float32)
    path[:, ::3] = 9
    scores = ScoreMap(np.zeros((len(CAMVID11), *GRID), np.float32), "logits", SIZE_HW)
    one = scores, ops.match(path, seen, seen, quality="fast"), seen
    labels = np.indices(SIZE_HW).sum(axis=0).astype(np.uint8) // 16
    ops.match_labels(labels, [one], seen, quality="fast")
    ops.match_labels(labels, [one, one], seen, share, quality="fine")


PARTS: dict[str, Callable[[], None]] = {
    "street": _street,
    "labels": _labels,
    "motion": _motion,
    "matching": _matching,
}


def _last_of(part: str) -> Any:
    """The loop that a part compiles last."""
    if part == "street":
        from segtween.street.truth import hidden

        return hidden
    from segtween.ops import along, kernels, matching

    return {"labels": along.mix_rows, "motion": kernels.warp_rows, "matching": matching.relabel_mixed_rows}[part]


def missing() -> list[str]:
    """The parts that are not on disk for the source as it is."""
    return [part for part in PARTS if not _is_kept(_last_of(part))]


def _is_kept(kernel: Any) -> bool:
    if not hasattr(kernel, "py_func"):  # NUMBA_DISABLE_JIT: nothing is compiled
        return True
    source = Path(kernel.py_func.__code__.co_filename)
    kept = Path(kernel.stats.cache_path or source.parent / "__pycache__")
    indexes = kept.glob(f"{source.stem}.{kernel.py_func.__name__}-*.nbi")
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in indexes)


@contextmanager
def compiled_ahead(parts: list[str]) -> Iterator[None]:
    """Compiles while the body runs, and returns when both are done."""
    command = [sys.executable, "-m", "segtween.demo.kernels"]
    made: list[subprocess.Popen[bytes]] = []
    try:
        made += (subprocess.Popen([*command, part], stderr=subprocess.DEVNULL) for part in parts)
        yield
        for process in made:
            process.wait()
    finally:
        for process in made:
            process.kill()
            process.wait()


def main(chosen: list[str]) -> None:
    """Compiles the chosen parts here; with none chosen the missing ones, each in a process of its own."""
    for part in chosen:
        if part not in PARTS:
            sys.exit(f"part {part!r} is unknown; expected one of {', '.join(PARTS)}")
        PARTS[part]()
    if not chosen:
        with compiled_ahead(missing()):
            pass


if __name__ == "__main__":
    main(sys.argv[1:])

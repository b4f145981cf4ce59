"""The compiled loops that a run needs, made by several processes at once where they are not on disk yet.

numba compiles one function after the other and keeps what it made beside the source. The loops fall into parts of about
equal length that share little, each compiled by a process of its own (`python -m segtween.run.kernels PART`); a run
then finds them on disk. It would compile by itself what is missing, only later and one by one: so it does with what the
parts do not hold, the loops of other presets than the default.
"""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segtween.labels import CAMVID11
from segtween.types import Progress, size_of

GRID = (60, 80)
SIZE_HW = (480, 640)
POLL_SECONDS = 0.1


def _labels() -> None:
    from segtween.ops.cpu import CpuOps
    from segtween.types import ScoreMap
    from segtween.video.paint import class_counts

    ops, path, share = CpuOps(), np.zeros((*GRID, 2), np.float32), np.full(GRID, 0.5, np.float32)
    scores = ScoreMap(np.zeros((len(CAMVID11), *GRID), np.float32), "logits", SIZE_HW)
    class_counts(ops.labels(scores, SIZE_HW))
    ops.labels(scores, SIZE_HW, composed=path)
    ops.confidence((scores, path))
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
    coarse = size_of(seen.coarse)
    path, share = np.zeros((*coarse, 2), np.float32), np.full(coarse, 0.5, np.float32)
    path[:, ::3] = 9
    scores = ScoreMap(np.zeros((len(CAMVID11), *GRID), np.float32), "logits", SIZE_HW)
    one = scores, ops.match(path, seen, seen, quality="fast"), seen
    labels = np.indices(SIZE_HW).sum(axis=0).astype(np.uint8) // 16
    ops.match_labels(labels, [one], seen, quality="fast")
    ops.match_labels(labels, [one, one], seen, share, quality="fine")


@dataclass(frozen=True)
class Part:
    """`compile` compiles its loops, `last` (`module.function`) as the last one; `module` has a `main` that takes its
    name."""

    compile: Callable[[], None]
    last: str
    module: str = "segtween.run.kernels"


PARTS: dict[str, Part] = {
    "labels": Part(_labels, "segtween.ops.along.mix_rows"),
    "motion": Part(_motion, "segtween.ops.kernels.warp_rows"),
    "matching": Part(_matching, "segtween.ops.matching.relabel_mixed_rows"),
}


def missing(parts: Mapping[str, Part] = PARTS) -> dict[str, Part]:
    """The parts that are not on disk for the source as it is."""
    return {name: part for name, part in parts.items() if not _is_kept(pkgutil.resolve_name(part.last))}


def _is_kept(kernel: Any) -> bool:
    if not hasattr(kernel, "py_func"):  # NUMBA_DISABLE_JIT: nothing is compiled
        return True
    source = Path(kernel.py_func.__code__.co_filename)
    kept = Path(kernel.stats.cache_path or source.parent / "__pycache__")
    indexes = kept.glob(f"{source.stem}.{kernel.py_func.__name__}-*.nbi")
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in indexes)


@contextmanager
def compiled_ahead(parts: Mapping[str, Part], *, progress: Progress | None = None) -> Iterator[None]:
    """Compiles while the body runs, and returns when both are done; `progress` counts parts from then on."""
    made: list[subprocess.Popen[bytes]] = []
    try:
        for name, part in parts.items():
            made.append(subprocess.Popen([sys.executable, "-m", part.module, name], stderr=subprocess.DEVNULL))
        yield
        _wait(made, progress)
    finally:
        for process in made:
            process.kill()
            process.wait()


def _wait(made: Sequence[subprocess.Popen[bytes]], progress: Progress | None) -> None:
    while True:
        done = sum(process.poll() is not None for process in made)
        if progress is not None:
            progress(done, len(made))
        if done == len(made):
            return
        time.sleep(POLL_SECONDS)


def main(chosen: Sequence[str], parts: Mapping[str, Part] = PARTS) -> None:
    """Compiles the chosen parts here; with none chosen the missing ones, each in a process of its own."""
    for name in chosen:
        if name not in parts:
            sys.exit(f"part {name!r} is unknown; expected one of {', '.join(parts)}")
        parts[name].compile()
    if not chosen:
        with compiled_ahead(missing(parts)):
            pass


if __name__ == "__main__":
    main(sys.argv[1:])

"""How the cost of a method grows with one thing: pixels, classes, the interval, or the length of the video."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segtween.bench.plan import Plan, clip_name, to_and_fro
from segtween.bench.speed import bench
from segtween.build import Processor, build_engine
from segtween.errors import SettingError, check_known
from segtween.interfaces import Segmenter
from segtween.labels import numbered
from segtween.metrics.timing import quartiles
from segtween.ops.cpu import resize_planes
from segtween.settings import Settings
from segtween.texttable import TextTable, count
from segtween.types import Progress, Rgb, SizeHW, format_size, steps

Kind = Literal["pixels", "classes", "interval", "length"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SIZES: tuple[SizeHW, ...] = ((512, 1024), (720, 1440), (1024, 2048), (1440, 2880))
CLASSES = (2, 19, 150)
INTERVALS = (0, 1, 2, 4, 9, 14, 19, 29)
LENGTHS = (10, 100, 1000, 10_000)
STRIDE, PATCH = 4, 96


@dataclass(frozen=True)
class Sweep:
    """One curve: `rows` have `at` (megapixels, classes, interval or frames), `ms_per_frame` and what else is
    known; `note` says of which clip and frames."""

    kind: Kind
    unit: str
    rows: list[dict[str, Any]]
    note: str

    def to_json(self) -> dict[str, Any]:
        return {"sweep": self.kind, "unit": self.unit, "note": self.note, "rows": self.rows}

    def table(self) -> TextTable:
        figures = [c for c in _COLUMNS if any(row.get(c) is not None for row in self.rows)]
        rows = [[row["label"], *(_figure(row.get(c)) for c in figures)] for row in self.rows]
        return TextTable(f"cost against {self.kind} ({self.note})", [self.unit, *(_COLUMNS[c] for c in figures)], rows)


_COLUMNS = {
    "ms_per_frame": "ms per frame",
    "key_ms": "key frame ms",
    "other_ms": "other frame ms",
    "propagate_ms": "of it prepare, flow, propagate, refine ms",
    "label_ms": "label ms",
    "peak_mib": "peak memory MiB",
}


class Patches:
    """Scores of any number of classes that lie in patches, without a network: as large as a network's of stride 4."""

    def __init__(self, classes: int) -> None:
        self.labels = numbered(classes)
        self._made: dict[SizeHW, NDArray[np.float32]] = {}

    def __call__(self, rgb: Rgb) -> NDArray[np.float32]:
        height, width = rgb.shape[:2]
        if (height, width) not in self._made:
            random = np.random.default_rng(0)
            coarse = random.normal(0, 3, (len(self.labels), height // PATCH + 2, width // PATCH + 2))
            self._made[height, width] = resize_planes(coarse.astype(np.float32), (height // STRIDE, width // STRIDE))
        return self._made[height, width]

    def describe(self) -> dict[str, Any]:
        return {"name": "patches", "runtime": "none", "precision": "float32", "labels": self.labels.name}


def check_kinds(kinds: Sequence[str]) -> None:
    for kind in kinds:
        check_known(f"sweep {kind!r}", kind, KINDS)


def sweep(
    kind: str,
    segmenter: Segmenter,
    *,
    settings: Settings,
    name: str,
    plan: Plan,
    most_frames: int = LENGTHS[-1],
    progress: Progress | None = None,
) -> Sweep:
    """One curve. The interval is that of `settings`, the size the plan's, unless it is they that change.

    Against classes scores are made without a network (`Patches`). Against length one run of `most_frames` frames is
    looked at after 10, 100, 1000, ... frames. Raises what `bench` raises, and SettingError for an unknown kind.
    """
    check_kinds([kind])
    interval, shown, clip = settings.interval, format_size(plan.size_hw), f"clip {clip_name(plan.clip)}"

    def cost(of: Segmenter, **changes: Any) -> list[dict[str, Any]]:
        planned = replace(plan, **{"intervals": [interval], **changes})
        return bench(of, settings=settings, name=name, plan=planned, progress=progress).results

    if kind == "interval":
        rows = [_point(r["interval"], f"{r['interval']}", r) for r in cost(segmenter, intervals=INTERVALS)]
        return Sweep("interval", "interval", rows, f"{clip}, frames of {shown}")
    if kind == "length":
        rows = _lengths(segmenter, settings, plan, most_frames, progress)
        return Sweep("length", "frames", rows, f"{clip}, frames of {shown}, interval {interval}")
    if kind == "pixels":
        rows = [_point(h * w / 1e6, format_size((h, w)), cost(segmenter, size_hw=(h, w))[-1]) for h, w in SIZES]
        return Sweep("pixels", "megapixels", rows, f"{clip}, interval {interval}")
    rows = [_point(classes, f"{classes}", cost(Patches(classes))[-1]) for classes in CLASSES]
    return Sweep("classes", "classes", rows, f"{clip}, frames of {shown}, interval {interval}, no network")


def _point(at: float, label: str, result: dict[str, Any]) -> dict[str, Any]:
    key, other = result["key_frame"], result["other_frame"]
    stages = {} if other is None else {name: times["median"] for name, times in other["stages_ms"].items()}
    moving = [stages[name] for name in ("prepare", "flow", "propagate", "refine") if name in stages]
    return {
        "at": at,
        "label": label,
        "ms_per_frame": result["ms_per_frame"],
        "key_ms": key["median"],
        "other_ms": None if other is None else other["median"],
        "propagate_ms": sum(moving) if moving else None,
        "label_ms": stages.get("label"),
        "share_of_limit": result["share_of_limit"],
        "mixed_cells": result["mixed_cells"],
    }


def _lengths(
    segmenter: Segmenter,
    settings: Settings,
    plan: Plan,
    most_frames: int,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    if most_frames < LENGTHS[0]:
        raise SettingError(count(most_frames, "frame"), expected=f"{LENGTHS[0]} or more", do="give more frames")
    engine, clip = build_engine(segmenter, settings, backend=Processor(plan.threads)), plan.frames()
    marks = sorted({*(n for n in LENGTHS if n <= most_frames), most_frames})
    rows: list[dict[str, Any]] = []
    times: list[float] = []
    step = steps(progress, most_frames)
    for i in range(most_frames):
        rgb = to_and_fro(clip, i)
        began = time.perf_counter()
        engine.step(rgb)
        times.append((time.perf_counter() - began) * 1e3)
        step()
        if i + 1 in marks:
            rows.append(
                {
                    "at": i + 1,
                    "label": f"{i + 1}",
                    "ms_per_frame": sum(times) / len(times),
                    "latest": quartiles(times[-LENGTHS[0] :]),
                    "peak_mib": peak_mib(),
                }
            )
    return rows


def peak_mib() -> float | None:
    """The most memory that this process has held so far; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.1f}"

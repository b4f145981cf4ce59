"""Accuracy of occlusion estimates, against the synthetic street's exact occlusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.build import Processor, has_stored_flow
from segtween.errors import SettingError
from segtween.flow.occlusion import OCCLUSIONS, Occlusion, look_at, open_occlusion
from segtween.interfaces import FlowEstimator
from segtween.ops.reference import padded_size
from segtween.reports.tables.study import Column, Study, percent
from segtween.settings import Published, Settings
from segtween.street import StreetClip
from segtween.texttable import count
from segtween.types import Progress, Rgb, SizeHW, format_size, steps

FRAME_RATE = Fraction(15)
SWEEP: dict[str, list[dict[str, Any]]] = {
    "forward-backward": [
        {"relative": a, "absolute": b} for a, b in product((0.01, 0.03, 0.1, 0.3), (0.5, 2.0, 8.0, 32.0))
    ],
    "photometric": [{"threshold": t, "window": w} for w, t in product((1, 5, 9, 13, 17), (8.0, 11.0, 14.0, 20.0))],
}
"""Thresholds of a sweep."""

COLUMNS = (
    Column("estimate", "estimate"),
    Column("thresholds", "thresholds"),
    Column("precision", "precision", percent),
    Column("recall", "recall", percent),
    Column("f1", "F1", percent),
    Column("estimated_share", "share of pixels estimated", percent),
)


def occlusion_table(
    *,
    seeds: Sequence[int] = (1, 2, 3, 4),
    frames: int = 20,
    size_hw: SizeHW = (360, 480),
    settings: Settings | None = None,
    sweep: bool = False,
    command: str | None = None,
    progress: Progress | None = None,
) -> Study:
    """Precision, recall and F1 of every estimate with the settings' flow estimator, all pixels of all drives pooled.

    `frames` per drive; the first of each, which has no frame before it, is not counted. Judged on the grid of
    `flow.view.GreyView`, where a cell is occluded if more than half of its pixels are. `sweep` tries other thresholds
    as well. Raises SettingError for fewer than two frames, and what `StreetClip` refuses.
    """
    if frames < 2 or not seeds:
        raise SettingError(
            f"{count(frames, 'frame')} of {count(len(seeds), 'drive')}",
            expected="2 or more of 1 or more",
            do="give more",
        )
    chosen = settings or Settings()
    if has_stored_flow(chosen):
        raise SettingError(
            f"stored flow {chosen.flow.name} for drives that are rendered",
            expected="a flow estimator",
            do="choose flow dis or a network",
        )
    flow, estimates = Processor().flow(chosen, classes=None), list(_estimates(sweep))
    drives = [StreetClip(seed, size_hw=size_hw, frame_rate=FRAME_RATE, frames=frames) for seed in seeds]
    counts, cells = _counted(drives, [estimate for _, estimate in estimates], flow, chosen, progress)
    rows = [_row(name, e.describe(), row, cells) for (name, e), row in zip(estimates, counts, strict=True)]
    share = int(counts[0, 2]) / cells
    notes = [
        f"data: synthetic street, drives {', '.join(map(str, seeds))}, {frames - 1} pairs of frames each, "
        f"{format_size(size_hw)} (width x height) at {FRAME_RATE} Hz; {percent(share)}% of all pixels are occluded",
        f"flow: {', '.join(_words(flow.describe()))}",
        "all figures in percent; calling every pixel occluded would have F1 " + percent(2 * share / (1 + share)),
    ]
    record = {"seeds": list(seeds), "frames": frames, "size_hw": list(size_hw), "flow": flow.describe(),
              "true_share": share}  # fmt: skip
    return Study("occlusion", "Occlusion, estimated against exact", COLUMNS, rows, notes, record, command)


def _counted(
    drives: Sequence[StreetClip],
    estimates: Sequence[Occlusion],
    flow: FlowEstimator,
    settings: Settings,
    progress: Progress | None,
) -> tuple[NDArray[np.int64], int]:
    """Cells found and occluded, found, occluded: a row for each estimate; and how many cells there are in all."""
    counts = np.zeros((len(estimates), 3), np.int64)
    ops, cells = Processor().ops(settings), 0
    step = steps(progress, sum(drive.frames or 0 for drive in drives))
    for drive in drives:
        before: Rgb | None = None
        for frame in drive:
            if before is not None:
                spans_hw = _spans(frame.rgb, settings)
                pair = look_at(frame.rgb, before, flow=flow, ops=ops, spans_hw=spans_hw)
                truth = reduce_mask(frame.occlusion, (pair.current.shape[0], pair.current.shape[1]))
                cells += truth.size
                for row, estimate in zip(counts, estimates, strict=True):
                    found = estimate(pair)
                    row += np.count_nonzero(found & truth), np.count_nonzero(found), np.count_nonzero(truth)
            before = frame.rgb
            step()
    return counts, cells


def _spans(rgb: Rgb, settings: Settings) -> SizeHW:
    size_hw = rgb.shape[0], rgb.shape[1]
    return padded_size(size_hw) if isinstance(settings.propagation, Published) else size_hw


def reduce_mask(mask: NDArray[np.bool_], grid_hw: SizeHW) -> NDArray[np.bool_]:
    """(H, W) -> the grid: True where more than half of a cell is."""
    import cv2

    if mask.shape == grid_hw:
        return mask
    share = cv2.resize(mask.astype(np.float32), grid_hw[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(share > 0.5)


def _estimates(sweep: bool) -> Iterator[tuple[str, Occlusion]]:
    for name in OCCLUSIONS:
        yield name, open_occlusion(name)
    if sweep:
        for name, options in SWEEP.items():
            yield from ((name, open_occlusion(name, **chosen)) for chosen in options)


def _row(name: str, described: dict[str, Any], counts: NDArray[np.int64], cells: int) -> dict[str, Any]:
    both, found, true = (int(n) for n in counts)
    return {
        "estimate": name,
        "thresholds": ", ".join(f"{k} {v:g}" for k, v in described.items() if k != "occlusion") or None,
        "precision": both / found if found else None,
        "recall": both / true if true else None,
        "f1": 2 * both / (found + true) if found + true else None,
        "estimated_share": found / cells,
    }


def _words(described: dict[str, Any]) -> Iterator[str]:
    for key, value in described.items():
        if isinstance(value, dict):
            yield from _words(value)
        else:
            yield f"{key} {value}"

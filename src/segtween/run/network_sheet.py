"""A network at work in one picture: input, labels, confidence, the area of each class, and the time that it takes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.build import build_every_frame
from segtween.errors import SourceError
from segtween.interfaces import Segmenter, notes_of
from segtween.labels import LabelSet
from segtween.metrics.timing import quartiles
from segtween.models.finding import GRAPHS
from segtween.models.records import sidecar_path
from segtween.segmenters import open_segmenter
from segtween.segmenters.inspect import propose
from segtween.segmenters.network import open_network
from segtween.types import Labels, Rgb, format_size, size_of
from segtween.video import open_source
from segtween.video.paint import class_counts

FRAMES_LOOKED_AT = 10
"""The last of so many is shown: clips begin black."""
RUNS, MOST_SECONDS = 10, 5.0
WIDTH, GAP, LINE, MOST_CLASSES_SHOWN, BINS = 1600, 16, 26, 24, 20
INK, GROUND, BAR = (30, 30, 30), 255, (90, 120, 170)


@dataclass(frozen=True)
class Sheet:
    """`picture` (H, W, 3) RGB; `lines` say the same in words; `milliseconds` are the median of one frame."""

    picture: Rgb
    lines: tuple[str, ...]
    shares: dict[str, float]
    milliseconds: float


def sheet_of(model: str | Path, source: str | Path, *, label_set: Any = None, threads: int = 0) -> Sheet:
    """Runs a network on a frame of a video or on an image. A file without a sidecar is opened as `propose` has it.

    Raises what opening either raises, and ScoresError.
    """
    segmenter = _open(model, label_set=label_set, threads=threads)
    rgb = _frame(source)
    engine = build_every_frame(segmenter)
    result = engine.step(rgb)  # compiles for this size
    milliseconds = _timed(segmenter, rgb)
    shares = _shares(result.labels, segmenter.labels)
    described = segmenter.describe()
    words = (
        f"{described['name']}: {described['runtime']}, {described['precision']}",
        f"input {format_size(size_of(rgb))}, scores {format_size(result.score_map.grid_hw)}, "
        f"{len(segmenter.labels)} classes ({segmenter.labels.name})",
        f"{milliseconds:.1f} ms for a frame on this machine (median), mean confidence {result.confidence.mean():.2f}",
        *notes_of(segmenter),
    )
    picture = _draw(rgb, result.labels, result.confidence, segmenter.labels, shares, words)
    return Sheet(picture, words, shares, milliseconds)


def _open(model: str | Path, *, label_set: Any, threads: int) -> Segmenter:
    path = Path(model)
    if path.suffix.lower() in GRAPHS and path.is_file() and not sidecar_path(path).is_file():
        return open_network(propose(path, label_set=label_set).record, threads=threads)
    return open_segmenter(model, label_set=label_set, threads=threads)


def _frame(source: str | Path) -> Rgb:
    opened = open_source(source)
    try:
        *_, last = itertools.islice(opened, FRAMES_LOOKED_AT)
    except ValueError:
        raise SourceError(f"{source} holds no frame", expected="a video or an image", do="give another") from None
    finally:
        opened.close()
    return last.rgb


def _timed(segmenter: Segmenter, rgb: Rgb) -> float:
    """Milliseconds, the median of several runs."""
    took, began = list[float](), time.perf_counter()
    while len(took) < RUNS and (not took or time.perf_counter() - began < MOST_SECONDS):
        before = time.perf_counter()
        segmenter(rgb)
        took.append(1000 * (time.perf_counter() - before))
    return float(quartiles(took)["median"])


def _shares(labels: Labels, of: LabelSet) -> dict[str, float]:
    """Name -> share of the pixels, of the classes that are there, the largest first."""
    counts = class_counts(labels) / labels.size
    there = {name: float(counts[i]) for i, name in enumerate(of.names) if counts[i] > 0}
    return dict(sorted(there.items(), key=lambda item: -item[1]))


# ── Drawing ───────────────────────────────────────────────────────────────────────────────────


def _draw(
    rgb: Rgb,
    labels: Labels,
    confidence: NDArray[np.float32],
    of: LabelSet,
    shares: dict[str, float],
    words: Sequence[str],
) -> Rgb:
    import cv2

    width = (WIDTH - 3 * GAP) // 2
    size = width, max(1, round(width * rgb.shape[0] / rgb.shape[1]))
    rows = max(min(len(shares), MOST_CLASSES_SHOWN), 8 + len(words))
    sheet = np.full((2 * GAP + size[1] + rows * LINE + 2 * GAP, WIDTH, 3), GROUND, np.uint8)
    places = (GAP, 2 * GAP + width)
    for left, picture, how in ((places[0], rgb, cv2.INTER_AREA), (places[1], of.colourise(labels), cv2.INTER_NEAREST)):
        sheet[GAP : GAP + size[1], left : left + width] = cv2.resize(picture, size, interpolation=how)
    below = 2 * GAP + size[1]
    _draw_areas(sheet, (places[0], below), width, of, shares)
    _draw_histogram(sheet, (places[1], below), width, confidence)
    for i, line in enumerate(words):
        _text(sheet, line, (places[1], below + (8 + i) * LINE))
    return sheet


def _draw_areas(sheet: Rgb, at: tuple[int, int], width: int, of: LabelSet, shares: dict[str, float]) -> None:
    """A bar for each class that is there, in its colour, with its share of the pixels."""
    import cv2

    left, room = at[0] + 300, width - 300
    largest = max(shares.values(), default=1.0)
    for i, (name, share) in enumerate(list(shares.items())[:MOST_CLASSES_SHOWN]):
        top = at[1] + i * LINE
        colour = of.colours[of.names.index(name)]
        right = left + max(2, round(room * share / largest))
        cv2.rectangle(sheet, (left, top + 4), (right, top + LINE - 4), colour, cv2.FILLED)
        cv2.rectangle(sheet, (left, top + 4), (right, top + LINE - 4), INK, 1)
        _text(sheet, f"{100 * share:5.1f} %  {name}"[:34], (at[0], top))


def _draw_histogram(sheet: Rgb, at: tuple[int, int], width: int, confidence: NDArray[np.float32]) -> None:
    """How many cells have which confidence, from 0 to 1."""
    import cv2

    counts, _ = np.histogram(confidence, bins=BINS, range=(0, 1))
    high, step = 6 * LINE, width // BINS
    for i, count in enumerate(counts):
        top = at[1] + high - round(high * count / max(1, counts.max()))
        left = at[0] + i * step
        cv2.rectangle(sheet, (left, top), (left + step - 2, at[1] + high), BAR, cv2.FILLED)
    cv2.line(sheet, (at[0], at[1] + high), (at[0] + width, at[1] + high), INK, 1)
    for text, left in (("0", at[0]), ("confidence of cells", at[0] + width // 2 - 80), ("1", at[0] + width - 14)):
        _text(sheet, text, (left, at[1] + high))


def _text(sheet: Rgb, text: str, at: tuple[int, int]) -> None:
    import cv2

    plain = text.encode("ascii", errors="replace").decode()
    cv2.putText(sheet, plain, (at[0], at[1] + LINE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)

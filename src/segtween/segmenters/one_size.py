"""Images for networks that take one size only: windows of that size over a large image, or all of it within the size.

Where windows lie and how they are blended is as in MMSegmentation's slide inference: row by row, the last ones moved
back so that they end with the image; where windows overlap, their scores are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from segtween.errors import ModelError
from segtween.models.records import QUERY_KINDS, ModelRecord
from segtween.segmenters.answers import Answer
from segtween.segmenters.scores import Scores
from segtween.types import Rgb, SizeHW, format_size, size_of


def check_windows(record: ModelRecord) -> None:
    """ModelError where windows cannot be put together on the grid of the network's scores."""
    step, cell, size = record.input.window_stride_hw, record.output.stride, record.input.size_hw
    if step is None or size is None:
        return
    if record.output.is_merged:
        raise ModelError(
            f"input.window_stride of {record.path.name} for output.kind {record.output.kind}",
            expected="scores or labels: instances do not end where windows do",
            do="leave it out",
        )
    if any(side % cell for side in (*step, *size)):
        nearest = format_size((max(1, step[0] // cell) * cell, max(1, step[1] // cell) * cell))
        raise ModelError(
            f"windows of {format_size(size)} that are {format_size(step)} apart in {record.path.name}",
            expected=f"multiples of output.stride, {cell}",
            do=f"give input.window_stride {nearest}",
        )


def places(size_hw: SizeHW, window_hw: SizeHW, step_hw: SizeHW) -> Iterator[SizeHW]:
    """(top, left) of every window over an image that is at least as large as one."""
    rows, columns = (
        [min(i * step, side - window) for i in range(-(-(side - window) // step) + 1)]
        for side, window, step in zip(size_hw, window_hw, step_hw, strict=True)
    )
    return ((top, left) for top in rows for left in columns)


def slide(scores_of: Callable[[Rgb], Scores], image: Rgb, *, window_hw: SizeHW, step_hw: SizeHW, cell: int) -> Scores:
    """(C, H / cell, W / cell): the mean of what `scores_of` gives for the windows that see a place.

    `scores_of` takes a window and gives scores (C, h / cell, w / cell); the image's sides are multiples of `cell`.
    """
    size_hw = size_of(image)
    count = np.zeros((size_hw[0] // cell, size_hw[1] // cell), np.float32)
    total: Scores | None = None
    for top, left in places(size_hw, window_hw, step_hw):
        scores = scores_of(np.ascontiguousarray(image[top : top + window_hw[0], left : left + window_hw[1]]))
        total = np.zeros((len(scores), *count.shape), np.float32) if total is None else total
        rows = slice(top // cell, top // cell + scores.shape[1])
        columns = slice(left // cell, left // cell + scores.shape[2])
        total[:, rows, columns] += scores
        count[rows, columns] += 1
    assert total is not None, "an image has at least one window"
    total /= count
    return total


# ── Letterbox: all of an image within the size, its proportions kept, as Ultralytics has it ───


GREY = 114


class Place(NamedTuple):
    """Where the image lies, in pixels of what the network sees."""

    top: int
    left: int
    height: int
    width: int


def check_letterbox(record: ModelRecord) -> None:
    """ModelError for queries, whose grid has no cells of whole pixels."""
    if record.input.fit == "letterbox" and record.output.kind in QUERY_KINDS:
        raise ModelError(
            f"input.fit letterbox for output.kind {record.output.kind} in {record.path.name}",
            expected="stretch, as the rule of this kind has it",
            do="leave it out",
        )


def place_in(size_hw: SizeHW, image_hw: SizeHW, *, cell: int) -> Place:
    """The largest place of the image's proportions in the middle of `size_hw`, of whole cells."""
    gain = min(side / own for side, own in zip(size_hw, image_hw, strict=True))
    height, width = (
        min(side // cell, max(1, round(own * gain / cell))) * cell for side, own in zip(size_hw, image_hw, strict=True)
    )
    # Half a pixel of border goes to the end.
    top, left = (
        max(0, round((side - own) / 2 / cell - 0.1)) * cell for side, own in zip(size_hw, (height, width), strict=True)
    )
    return Place(top, left, height, width)


def letterboxed(resized: Rgb, place: Place, size_hw: SizeHW) -> Rgb:
    """The image, resized to its place, on grey."""
    seen = np.full((*size_hw, 3), GREY, np.uint8)
    seen[place.top : place.top + place.height, place.left : place.left + place.width] = resized
    return seen


def within(answer: Answer, place: Place) -> Answer:
    """The part of an answer that is of the image itself."""
    cell = answer.stride
    rows = slice(place.top // cell, (place.top + place.height) // cell)
    columns = slice(place.left // cell, (place.left + place.width) // cell)
    planes, labels = answer.planes, answer.labels
    return Answer(
        None if planes is None else planes[:, rows, columns],
        cell,
        labels=None if labels is None else labels[rows, columns],
    )

"""An image within a fixed size, its proportions kept, as networks of Ultralytics are shown it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from segtween.errors import ModelError
from segtween.models.records import QUERY_KINDS, ModelRecord
from segtween.segmenters.answers import Answer
from segtween.types import Rgb, SizeHW

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

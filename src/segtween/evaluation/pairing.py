"""Paired differences: the counts of reference runs on exactly the frames of a row, as often as the row has them.

A row pools runs of all phases: the first frames of a clip count less, and not every frame is at the last distance.
A reference (the plain network, or "every frame, fused") goes through each frame once. So each frame that a run of the
row is scored on adds the reference's counts of this frame to a companion tally, at the run's distance. A method whose
labels are the reference's then differs from it by exactly 0, however quality changes over a clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtween.metrics.boundary import BoundaryCounts
from segtween.metrics.segmentation import Counts
from segtween.metrics.tally import Tally


@dataclass(frozen=True, slots=True, eq=False)
class FrameCounts:
    """What one run counted of one frame: `confusion` (classes, classes + 1), None without a truth; `tc` (3, classes)
    and `vc` (windows, 2) as `temporal` takes them; `boundary` where that was asked for."""

    confusion: Counts | None
    tc: Counts
    vc: Counts
    boundary: BoundaryCounts | None = None


class FrameRecord:
    """The counts of one frame by the tally of the reference run that made them.

    Runs whose results come late may ask before a reference has judged the frame: they are answered when it does. A
    record lives as long as a run waits for its frame, so memory does not grow with the clip.
    """

    def __init__(self) -> None:
        self._known: dict[Tally, FrameCounts] = {}
        self._asked: list[tuple[Tally, Callable[[FrameCounts], None]]] = []

    def put(self, reference: Tally, counts: FrameCounts) -> None:
        self._known[reference] = counts
        for asked, take in self._asked:
            if asked is reference:
                take(counts)
        self._asked = [entry for entry in self._asked if entry[0] is not reference]

    def ask(self, reference: Tally, take: Callable[[FrameCounts], None]) -> None:
        """`take` gets the reference's counts, now or once they are known."""
        if reference in self._known:
            take(self._known[reference])
        else:
            self._asked.append((reference, take))


@dataclass(frozen=True, slots=True, eq=False)
class Companion:
    """Fills `tally` with what the run of `reference` counted of the frames of a row."""

    reference: Tally
    tally: Tally

    def add(self, record: FrameRecord, *, block: int, distance: int, is_pair: bool, windows: NDArray[np.bool_]) -> None:
        """One frame of one run. `is_pair`: the run had a frame before it; `windows`: it has had that many frames."""

        def take(counts: FrameCounts) -> None:
            if counts.confusion is not None:
                self.tally.score(counts.confusion, block=block, distance=distance, boundary=counts.boundary)
            if is_pair:
                self.tally.tc[block] += counts.tc
            self.tally.vc[block] += counts.vc * windows[:, None]

        record.ask(self.reference, take)

    def add_before_key(self, record: FrameRecord, *, block: int) -> None:
        """A frame, added already, of which the run's next one is a key frame."""

        def take(counts: FrameCounts) -> None:
            assert counts.confusion is not None, "runs note scored frames alone"
            self.tally.score_before_key(counts.confusion, block=block, boundary=counts.boundary)

        record.ask(self.reference, take)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A row's counts, and those of the plain network and of "every frame, fused" on the same frames."""

    own: Tally
    plain: Tally
    fused: Tally

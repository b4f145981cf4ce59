"""Predictions as pictures: a coloured label image per frame and distance, a strip per clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from segtween.compat.swnet_seq.passes import Moment
from segtween.labels import LabelSet
from segtween.reports.figures import panels
from segtween.reports.figures.page import compose, panel_size, save_png, seen_classes
from segtween.types import Labels, Rgb, size_of
from segtween.validation import write_whole
from segtween.video.png import encode_png
from segtween.video.staging import sink_errors

PANEL_WIDTH = 400


class Strips:
    """Collects the frames of a strip, from its key frame on, and hands on the picture when its last frame came."""

    def __init__(self, labels: LabelSet, done: Callable[[str, int, Rgb], None], *, single: bool) -> None:
        self.labels, self.done, self.single = labels, done, single
        self._shown: list[tuple[Rgb, Labels, Labels, int]] = []

    def show(self, moment: Moment) -> None:
        """Adds a frame, where the passes were asked for strips."""
        if moment.shown is None:
            return
        network, ours = moment.shown
        if ours.distance == 0:
            self._shown = []
        height, width = moment.rgb.shape[:2]
        size_hw = panel_size((height, width), min(PANEL_WIDTH, max(80, width)))
        self._shown.append((panels.photo(moment.rgb, size_hw), network.labels, ours.labels, ours.distance))
        if moment.ends_strip:
            self.done(moment.frame.name, ours.distance, self._page(moment.frame.name))

    def _page(self, name: str) -> Rgb:
        size_hw = size_of(self._shown[0][0])
        network, ours = [n for _, n, _, _ in self._shown], [o for _, _, o, _ in self._shown]
        rows = [[photo for photo, *_ in self._shown], [panels.classes(n, self.labels, size_hw) for n in network]]
        names = ["input", "network on\nevery frame"]
        if not self.single:
            rows.append([panels.classes(o, self.labels, size_hw) for o in ours])
            names.append("network on\nkey frame only")
        distances = [k for *_, k in self._shown]
        return compose(
            rows,
            headings=[f"frame {k}" if self.single else f"{k} since key" if k else "key frame" for k in distances],
            row_names=names,
            legend=seen_classes(self.labels, network if self.single else network + ours),
            footer=name,
        )


class Predictions:
    """Writes `<frame>_pred_k<k>.png` and `<frame>_seq_k<n>.png` into one folder, which is made when needed.

    A prediction is a palette image: its pixels are train ids, its palette the classes' colours.
    """

    def __init__(self, folder: Path, labels: LabelSet, *, single: bool) -> None:
        self.folder, self.labels = folder, labels
        self.images = self.strips = 0
        self._strips = Strips(labels, self._write_strip, single=single)
        self.show = self._strips.show

    def image(self, name: str, distance: int, labels: Labels) -> None:
        """One frame, `distance` frames after its key frame."""
        path = self.folder / f"{name}_pred_k{distance}.png"
        with sink_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, encode_png(labels, palette=self.labels.palette))
        self.images += 1

    def _write_strip(self, name: str, distance: int, page: Rgb) -> None:
        save_png(page, self.folder / f"{name}_seq_k{distance}.png")
        self.strips += 1

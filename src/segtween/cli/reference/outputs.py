"""Predictions as pictures: a coloured label image per frame and distance, a strip per clip."""

from __future__ import annotations

import os
from pathlib import Path

from segtween.cli.reference.passes import Moment
from segtween.figures import panels
from segtween.figures.page import compose, panel_size, save_png, seen_classes
from segtween.labels import LabelSet
from segtween.types import Labels, Rgb
from segtween.video.png import encode_png
from segtween.video.staging import sink_errors

PANEL_WIDTH = 400


class Predictions:
    """Writes `<frame>_pred_k<k>.png` and `<frame>_seq_k<n>.png` into one folder, which is made when needed.

    A prediction is a palette image: its pixels are train ids, its palette the classes' colours.
    """

    def __init__(self, folder: Path, labels: LabelSet, *, single: bool) -> None:
        self.folder, self.labels, self.single = folder, labels, single
        self.images = self.strips = 0
        self._strip: list[tuple[Rgb, Labels, Labels, int]] = []

    def image(self, name: str, distance: int, labels: Labels) -> None:
        """One frame, `distance` frames after its key frame."""
        path = self.folder / f"{name}_pred_k{distance}.png"
        part = path.with_name(f".{path.name}.part")
        with sink_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(encode_png(labels, palette=self.labels.palette))
            os.replace(part, path)
        self.images += 1

    def show(self, moment: Moment) -> None:
        """Adds a frame to the strip, which begins at a key frame and is written when its last frame came."""
        if moment.shown is None:
            return
        network, ours = moment.shown
        if ours.distance == 0:
            self._strip = []
        size_hw = panel_size((moment.rgb.shape[0], moment.rgb.shape[1]), min(PANEL_WIDTH, max(80, moment.rgb.shape[1])))
        self._strip.append((panels.photo(moment.rgb, size_hw), network.labels, ours.labels, ours.distance))
        if moment.ends_strip:
            self._write_strip(moment.frame.name)

    def _write_strip(self, name: str) -> None:
        shown, self._strip = self._strip, []
        size_hw = (shown[0][0].shape[0], shown[0][0].shape[1])
        rows = [[photo for photo, *_ in shown], [panels.classes(n, self.labels, size_hw) for _, n, _, _ in shown]]
        names, maps = ["input", "network on\nevery frame"], [n for _, n, _, _ in shown]
        if not self.single:
            rows.append([panels.classes(ours, self.labels, size_hw) for _, _, ours, _ in shown])
            names.append("network on\nkey frame only")
            maps += [ours for _, _, ours, _ in shown]
        page = compose(
            rows,
            headings=[f"frame {k}" if self.single else f"{k} since key" if k else "key frame" for *_, k in shown],
            row_names=names,
            legend=seen_classes(self.labels, maps),
            footer=name,
        )
        save_png(page, self.folder / f"{name}_seq_k{shown[-1][-1]}.png")
        self.strips += 1

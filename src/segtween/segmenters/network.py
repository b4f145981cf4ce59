"""A segmenter made of a network's record and a runtime that holds its graph."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ModelError, SettingError
from segtween.labels import LabelSet
from segtween.labels import label_set as find_label_set
from segtween.models.int8 import load_int8, not_calibrated
from segtween.models.records import ModelRecord
from segtween.models.weights import fingerprint, materialise
from segtween.ops.threads import in_background
from segtween.runtimes import open_runtime
from segtween.runtimes.base import Runtime, RuntimeOptions
from segtween.segmenters.scores import (
    Scores,
    as_planes,
    check_finite,
    logits_from_labels,
    logits_from_probabilities,
    reduce_planes,
    reduced_size,
)
from segtween.texttable import ordinal
from segtween.types import Rgb, SizeHW, check_rgb, format_size

LARGEST_SCALE = 4.0
CONTENT, CHECKED = "content", "checked"
"""In the provenance of a network in torch: a digest of all that changes its numbers, and, once it is exported, how far
the graph is from it, for people."""
TRIAL_PIXELS = 256


class NetworkSegmenter:
    """RGB (H, W, 3) -> logits (C, h, w), at the network's own stride or at 4 if that is finer.

    `runtime` is opened with the record's output and its pixels (`open_network` does both). The image
    is resized to `scale` times its size, rounded to the nearest multiple of `input.multiple_of` in
    each direction (at least one), or to the network's fixed size: nothing is padded, so the grid of
    scores spans the image exactly. A trial on random pixels when it is made finds records that do
    not fit their graph. One call at a time.

    Raises SettingError (scale), ModelError (record and graph), ScoresError (values not finite).
    """

    def __init__(
        self, record: ModelRecord, runtime: Runtime, *, scale: float = 1.0, labels: LabelSet | None = None
    ) -> None:
        self.record, self.runtime, self.scale = record, runtime, check_scale(scale, record)
        self.labels = choose_labels(record, labels)
        self._frames = 0
        self._try_out()

    @property
    def notes(self) -> list[str]:
        """One line for each thing to know before relying on the numbers."""
        return notes_of_record(self.record) + self.runtime.notes

    def __call__(self, rgb: Rgb) -> Scores:
        image = check_rgb(rgb)
        self._frames += 1
        answer = self.runtime.run(resize(image, self.input_size(image.shape[:2]))[None])[0]
        frame = f"the {ordinal(self._frames)} frame it was given"
        return self._logits(answer, f"network {self.record.name!r} in {frame}")

    def input_size(self, size_hw: SizeHW) -> SizeHW:
        """What an image of this size is resized to."""
        return input_size(self.record, size_hw, scale=self.scale)

    def describe(self) -> dict[str, Any]:
        return {**describe_record(self.record, labels=self.labels, scale=self.scale), **self.runtime.describe()}

    def _logits(self, answer: NDArray[Any], who: str) -> Scores:
        kind, stride = self.record.output.kind, self.record.output.stride
        planes = as_planes(answer, self.record.output.layout)
        if kind == "labels":
            values = planes[0] if planes.ndim == 3 else planes
            grid = reduced_size((values.shape[0], values.shape[1]), stride)
            return logits_from_labels(values, labels_of=self.labels, grid_hw=grid, who=who)
        if kind == "probabilities":
            # Logarithms first: between the centres of an enlarged grid it is they that follow straight lines.
            planes = logits_from_probabilities(planes.astype(np.float32, copy=False))
        scores = reduce_planes(planes, reduced_size((planes.shape[1], planes.shape[2]), stride))
        do = "use precision='float32', or check the network's weights and preprocessing"
        return check_finite(scores, labels_of=self.labels, who=who, do=do)

    def _try_out(self) -> None:
        """One run on random pixels: does the record fit what the graph takes and answers?"""
        m, output = self.record.input.multiple_of, self.record.output
        side = max(1, TRIAL_PIXELS // m) * m
        size = self.record.input.size_hw or (side, side)
        pixels = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype(np.uint8)
        answer = self.runtime.run(pixels)[0]
        if answer.ndim != len(output.layout):
            raise self._misfit("layout", output.layout, f"has shape {answer.shape}")
        planes = as_planes(answer, output.layout)
        if output.kind == "labels":
            if planes.size != planes.shape[-2] * planes.shape[-1]:
                raise self._misfit("kind", output.kind, f"has shape {answer.shape}")
        elif planes.shape[0] != len(self.labels):
            raise ModelError(
                f"output {output.name!r} of {self.record.graph_path.name} has {planes.shape[0]} classes "
                f"(shape {answer.shape}, read as {output.layout})",
                expected=f"{len(self.labels)}, as label set {self.labels.name!r} has",
                do=f"correct `labels` or `output.layout` in {self.record.path.name}",
            )
        grid = planes.shape[-2], planes.shape[-1]
        if any(abs(cells * output.stride - side) >= output.stride for cells, side in zip(grid, size, strict=True)):
            found = f"has {format_size(grid)} cells for an image of {format_size(size)}"
            raise self._misfit("stride", str(output.stride), found)
        self._logits(answer, f"network {self.record.name!r} in a trial on random pixels")

    def _misfit(self, field: str, value: str, found: str) -> ModelError:
        return ModelError(
            f"output {self.record.output.name!r} of {self.record.graph_path.name} {found}",
            expected=f"{field} {value}, as {self.record.path.name} says",
            do=f"correct `output.{field}`, or take what `segtween models inspect {self.record.graph_path}` proposes",
        )


def open_network(
    record: ModelRecord,
    *,
    runtime: str = "openvino",
    scale: float = 1.0,
    label_set: Any = None,
    background: bool = False,
    **options: Any,
) -> NetworkSegmenter:
    """The network of a record in a runtime of its own; `label_set` is anything that `labels.label_set` takes.
    `background`: the runtime's threads run at background priority. `options` are provider, precision and threads as
    `RuntimeOptions` has them."""
    computing = RuntimeOptions(aside=in_background if background else None, **options)
    int8 = load_int8(record) if computing.precision in ("auto", "int8") else None
    if computing.precision == "int8" and int8 is None and runtime == "openvino":
        raise not_calibrated(record.name)
    graph, outputs = materialise(record), (record.output.name,)
    opened = open_runtime(runtime, graph, outputs=outputs, pixels=record.input, int8=int8, options=computing)
    labels = None if label_set is None else find_label_set(label_set)
    return NetworkSegmenter(record, opened, scale=scale, labels=labels)


def notes_of_record(record: ModelRecord) -> list[str]:
    """One line for each thing to know before relying on a network's numbers, wherever it runs."""
    own = []
    if record.is_random:
        own.append(f"{record.name} has random weights: its speed is real, its labels are not")
    if record.guessed:
        what = ", ".join(record.guessed)
        own.append(
            f"guessed for {record.name}: {what}; mean=, std=, channels= and size_hw= say what is right"
            if CONTENT in record.provenance
            else f"guessed in {record.path.name}, not confirmed: {what}"
        )
    return own + ([str(record.provenance[CHECKED])] if CHECKED in record.provenance else [])


def choose_labels(record: ModelRecord, labels: LabelSet | None) -> LabelSet:
    """The record's label set, or another one of as many classes; ModelError otherwise."""
    chosen = record.labels if labels is None else labels
    if len(chosen) != len(record.labels):
        raise ModelError(
            f"label set {chosen.name!r} has {len(chosen)} classes",
            expected=f"{len(record.labels)}, as network {record.name!r} has",
            do="give another label set, or none",
        )
    return chosen


def describe_record(record: ModelRecord, *, labels: LabelSet, scale: float) -> dict[str, Any]:
    """What changes a network's numbers, wherever it runs."""
    preprocessing = json.dumps([record.input.to_dict(), record.output.to_dict()], sort_keys=True)
    return {
        "name": record.name,
        "random_weights": record.is_random,
        "fingerprint": fingerprint(record)[:12],
        "preprocessing": hashlib.sha256(preprocessing.encode()).hexdigest()[:12],
        "labels": labels.name,
        "scale": scale,
    }


def check_scale(scale: float, record: ModelRecord) -> float:
    """`scale` itself; SettingError where it is out of range or the network takes one size only."""
    if not 0 < scale <= LARGEST_SCALE:
        raise SettingError(
            f"scale {scale}", expected=f"a number above 0, at most {LARGEST_SCALE:g}", do="try scale=0.75"
        )
    if scale != 1 and record.input.size_hw is not None:
        raise SettingError(
            f"scale {scale} for network {record.name!r}",
            expected=f"1, because it takes {format_size(record.input.size_hw)} only",
            do="leave scale= out",
        )
    return float(scale)


def input_size(record: ModelRecord, size_hw: SizeHW, *, scale: float = 1.0) -> SizeHW:
    """What an image of this size is resized to for the network."""
    if record.input.size_hw is not None:
        return record.input.size_hw
    m = record.input.multiple_of
    height, width = (max(1, round(side * scale / m)) * m for side in size_hw)
    return height, width


def resize(rgb: Rgb, size_hw: SizeHW) -> Rgb:
    """Half-pixel-centred; bilinear, and by area below half size, where bilinear would skip pixels."""
    import cv2

    if rgb.shape[:2] == size_hw:
        return rgb
    shrinks = min(size_hw[0] / rgb.shape[0], size_hw[1] / rgb.shape[1]) < 0.5
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: Rgb = cv2.resize(rgb, size_hw[::-1], interpolation=how)
    return resized

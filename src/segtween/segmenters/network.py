"""A segmenter made of a network's record and a runtime that holds its graph."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ModelError, SettingError
from segtween.labels import LabelSet
from segtween.labels import label_set as find_label_set
from segtween.models.int8 import load_int8, not_calibrated
from segtween.models.records import ModelRecord, Resampling
from segtween.models.weights import fingerprint, materialise
from segtween.ops.threads import in_background, limit_threads
from segtween.runtimes import open_runtime
from segtween.runtimes.base import Runtime, RuntimeOptions
from segtween.segmenters.answers import Answer, check_answer, read_answer
from segtween.segmenters.one_size import (
    Place,
    check_letterbox,
    check_windows,
    letterboxed,
    place_in,
    places,
    slide,
    within,
)
from segtween.segmenters.resampling import ANTIALIASED, antialiased, reads_neighbours
from segtween.segmenters.scores import Scores, check_finite
from segtween.texttable import ordinal
from segtween.types import Rgb, SizeHW, check_rgb, format_size, size_of

Scale = float | Literal["auto"]
LARGEST_SCALE = 4.0
NEAR = 4 / 3
"""By this factor frames may be larger or smaller than the network's training frames before `auto` scales them."""
LARGEST_AUTO = 2.0
SCALE_STEP = 0.05
CONTENT, CHECKED = "content", "checked"
"""In the provenance of a network in torch: a digest of all that changes its numbers, and, once it is exported, how far
the graph is from it, for people."""
TRIAL_PIXELS = 256


class NetworkSegmenter:
    """RGB (H, W, 3) -> logits (C, h, w), at the network's own stride or at 4 if that is finer.

    `runtime` is opened with the record's output and its pixels (`open_network` does both). The image is resized to
    `scale` times its size (auto: `auto_scale`), rounded to the nearest multiple of `input.multiple_of` in each
    direction (at least one), or to the network's fixed size: nothing is padded, so the grid of scores spans the image
    exactly (with `input.fit` letterbox what is of the border is cut off). With `input.window_stride_hw` the network
    sees windows of that fixed size instead, whose scores are averaged where they overlap (`segmenters.one_size`). A
    trial on random pixels when it is made finds records that do not fit their graph. One call at a time.

    Raises SettingError (scale), ModelError (record and graph), ScoresError (values not finite).
    """

    def __init__(
        self, record: ModelRecord, runtime: Runtime, *, scale: Scale = 1.0, labels: LabelSet | None = None
    ) -> None:
        self.record, self.runtime, self.scale = record, runtime, check_scale(scale, record)
        self.labels = choose_labels(record, labels)
        self._frames = 0
        check_windows(record)
        check_letterbox(record)
        self._try_out()

    @property
    def notes(self) -> list[str]:
        """One line for each thing to know before relying on the numbers."""
        return notes_of_record(self.record) + self.runtime.notes

    def __call__(self, rgb: Rgb, *, scale: float | None = None) -> Scores:
        """`scale`: another one for this image."""
        self._frames += 1
        return self._reduced(self._answer(check_rgb(rgb), scale), self._who())

    def detailed(self, rgb: Rgb) -> tuple[Scores, NDArray[Any] | None]:
        """The logits, and what they leave out (`interfaces.Detailed`): of scores and labels on a finer grid all."""
        self._frames += 1
        answer, size_hw = self._answer(check_rgb(rgb), None), size_of(rgb)
        scores = self._reduced(answer, self._who())
        return scores, answer.detail(size_hw, answer.kept_hw, labels_of=self.labels, who=self._who())

    def input_size(self, size_hw: SizeHW) -> SizeHW:
        """What an image of this size is resized to."""
        return input_size(self.record, size_hw, scale=self.scale)

    def scale_at(self, size_hw: SizeHW) -> float:
        """The scale at which an image of this size is seen."""
        return scale_at(self.record, size_hw, scale=self.scale)

    def describe(self) -> dict[str, Any]:
        return {**describe_record(self.record, labels=self.labels, scale=self.scale), **self.runtime.describe()}

    def _who(self) -> str:
        return f"network {self.record.name!r} in the {ordinal(self._frames)} frame it was given"

    def _answer(self, image: Rgb, scale: float | None) -> Answer:
        pixels, stride = self.record.input, self.record.output.stride
        size_hw, image_hw = pixels.size_hw, size_of(image)
        seen_hw = input_size(self.record, image_hw, scale=self.scale if scale is None else scale)
        if size_hw is None or pixels.window_stride_hw is None:
            seen, place = fitted(self.record, image, seen_hw)
            return self._seen(seen) if place is None else within(self._seen(seen), place)
        seen, step_hw = resize(image, seen_hw, pixels.resampling), pixels.window_stride_hw

        def scores_of(window: Rgb) -> Scores:
            return self._seen(window).scores(labels_of=self.labels, who=self._who())

        return Answer(slide(scores_of, seen, window_hw=size_hw, step_hw=step_hw, cell=stride), stride)

    def _seen(self, image: Rgb) -> Answer:
        size_hw = size_of(image)
        return read_answer(self.runtime.run(image[None]), self.record, size_hw=size_hw, who=self._who())

    def _reduced(self, answer: Answer, who: str) -> Scores:
        scores = answer.scores(labels_of=self.labels, who=who, grid_hw=answer.kept_hw)
        do = "use precision='float32', or check the network's weights and preprocessing"
        return check_finite(scores, labels_of=self.labels, who=who, do=do)

    def _try_out(self) -> None:
        """One run on random pixels: does the record fit what the graph takes and answers?"""
        m = self.record.input.multiple_of
        side = max(1, TRIAL_PIXELS // m) * m
        size = self.record.input.size_hw or (side, side)
        pixels = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype(np.uint8)
        answers, who = self.runtime.run(pixels), f"network {self.record.name!r} in a trial on random pixels"
        check_answer(answers, self.record, labels_of=self.labels, size_hw=size)
        self._reduced(read_answer(answers, self.record, size_hw=size, who=who), who)


def open_network(
    record: ModelRecord,
    *,
    runtime: str = "openvino",
    scale: Scale = 1.0,
    label_set: Any = None,
    background: bool = False,
    threshold: float | None = None,
    **options: Any,
) -> NetworkSegmenter:
    """The network of a record in a runtime of its own; `label_set` is anything that `labels.label_set` takes.
    `threshold` is as in `with_threshold`. `background`: the runtime's threads run at background priority. `options` are
    provider, precision and threads as `RuntimeOptions` has them."""
    record = with_threshold(record, threshold)
    computing = RuntimeOptions(aside=in_background if background else None, **options)
    computing = replace(computing, threads=limit_threads(computing.threads), called=record.called)
    int8 = load_int8(record) if computing.precision in ("auto", "int8") else None
    if computing.precision == "int8" and int8 is None and runtime == "openvino":
        raise not_calibrated(record.name)
    graph, outputs = materialise(record), record.output.names
    opened = open_runtime(runtime, graph, outputs=outputs, pixels=record.input, int8=int8, options=computing)
    labels = None if label_set is None else find_label_set(label_set)
    return NetworkSegmenter(record, opened, scale=scale, labels=labels)


def with_threshold(record: ModelRecord, threshold: float | None) -> ModelRecord:
    """The record with another threshold of its output, None for its own. SettingError for what is no probability, and
    for a network that has no threshold."""
    if threshold is None:
        return record
    if record.output.threshold is None and record.output.kind != "yolo-seg":
        raise SettingError(
            f"threshold={threshold} for network {record.name!r}",
            expected="a network whose classes are scored each for itself, as its record says with `output.threshold`",
            do="leave it out",
        )
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 < threshold < 1:
        raise SettingError(f"threshold={threshold!r}", expected="a number above 0 and below 1", do="try threshold=0.5")
    return replace(record, output=replace(record.output, threshold=float(threshold)))


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


def describe_record(record: ModelRecord, *, labels: LabelSet, scale: Scale) -> dict[str, Any]:
    """What changes a network's numbers, wherever it runs. An automatic scale is described by what it depends on."""
    trained = record.trained_size_hw
    preprocessing = json.dumps([record.input.to_dict(), record.output.to_dict()], sort_keys=True)
    return {
        "name": record.name,
        "random_weights": record.is_random,
        "fingerprint": str(record.provenance.get(CONTENT) or fingerprint(record))[:12],
        "preprocessing": hashlib.sha256(preprocessing.encode()).hexdigest()[:12],
        "labels": labels.name,
        "scale": f"auto {format_size(trained)}" if scale == "auto" and trained is not None else scale,
    }


def check_scale(scale: Scale, record: ModelRecord) -> Scale:
    """`scale` itself, 1 instead of auto where the record does not say what size the network was trained at or the
    network takes one size only; SettingError where it is out of range or another one than that."""
    if scale == "auto":
        return 1.0 if record.trained_size_hw is None or record.input.takes_one_size else scale
    if not 0 < scale <= LARGEST_SCALE:
        raise SettingError(
            f"scale {scale}", expected=f"auto, or a number above 0, at most {LARGEST_SCALE:g}", do="try scale=0.75"
        )
    size_hw = record.input.size_hw
    if scale != 1 and record.input.takes_one_size and size_hw is not None:
        raise SettingError(
            f"scale {scale} for network {record.name!r}",
            expected=f"1, because it takes {format_size(size_hw)} only",
            do="leave scale= out",
        )
    return float(scale)


def auto_scale(trained_hw: SizeHW, size_hw: SizeHW) -> float:
    """The scale nearest to 1 at which a frame is at most `NEAR` times larger or smaller than the training frames.

    Sizes are compared by the square roots of their areas, as things look as large in a wide frame as in a narrow one of
    the same area. In steps of `SCALE_STEP`, and at most `LARGEST_AUTO`: an enlarged frame shows no more than it did.
    """
    ratio = math.sqrt(math.prod(trained_hw) / math.prod(size_hw))
    scale = min(max(1.0, ratio / NEAR), ratio * NEAR, LARGEST_AUTO)
    return round(max(1, round(scale / SCALE_STEP)) * SCALE_STEP, 2)


def scale_at(record: ModelRecord, size_hw: SizeHW, *, scale: Scale) -> float:
    """The scale at which the network sees frames of this size; 1 for auto where the record gives no size."""
    if scale != "auto":
        return scale
    return 1.0 if record.trained_size_hw is None else auto_scale(record.trained_size_hw, size_hw)


def input_size(record: ModelRecord, size_hw: SizeHW, *, scale: Scale = 1.0) -> SizeHW:
    """What an image of this size is resized to for the network, or for the windows that it sees of it."""
    window_hw = record.input.size_hw
    if window_hw is not None and record.input.takes_one_size:
        return window_hw
    m = record.input.multiple_of if window_hw is None else record.output.stride
    scale = scale_at(record, size_hw, scale=scale)
    height, width = (
        max(round(side * scale / m) * m, least) for side, least in zip(size_hw, window_hw or (m, m), strict=True)
    )
    return height, width


def views(record: ModelRecord, image: Rgb, *, scale: float = 1.0) -> Iterator[Rgb]:
    """What the network sees of an image: all of it, resized, or windows of it."""
    size_hw, step_hw = record.input.size_hw, record.input.window_stride_hw
    seen, _ = fitted(record, image, input_size(record, size_of(image), scale=scale))
    if size_hw is None or step_hw is None:
        yield seen
        return
    for top, left in places(size_of(seen), size_hw, step_hw):
        yield np.ascontiguousarray(seen[top : top + size_hw[0], left : left + size_hw[1]])


def fitted(record: ModelRecord, image: Rgb, size_hw: SizeHW) -> tuple[Rgb, Place | None]:
    """The image in a size, and where it lies there if it does not fill it."""
    how = record.input.resampling
    if record.input.fit == "stretch":
        return resize(image, size_hw, how), None
    cell = 1 if record.output.is_merged else record.output.stride
    place = place_in(size_hw, size_of(image), cell=cell)
    return letterboxed(resize(image, (place.height, place.width), how), place, size_hw), place


def resize(rgb: Rgb, size_hw: SizeHW, how: Resampling | None = None) -> Rgb:
    """Half-pixel-centred; for None bilinear, and by area below half size, where bilinear would skip pixels."""
    import cv2

    if rgb.shape[:2] == size_hw:
        return rgb
    if how in ANTIALIASED:
        return antialiased(rgb, size_hw, how)
    is_bilinear = reads_neighbours(size_hw, size_of(rgb), how)
    resized: Rgb = cv2.resize(rgb, size_hw[::-1], interpolation=cv2.INTER_LINEAR if is_bilinear else cv2.INTER_AREA)
    return resized

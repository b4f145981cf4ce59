"""Calibration for int8: the ranges of a network's values on example images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from segtween.errors import SettingError
from segtween.models.int8 import Int8Record
from segtween.models.records import ModelRecord
from segtween.models.weights import materialise
from segtween.runtimes.base import RuntimeOptions
from segtween.runtimes.openvino import OpenVinoRuntime, read_graph
from segtween.runtimes.quantise import folded, range_outputs, weights_digest
from segtween.segmenters.network import open_network, views
from segtween.types import Rgb

DIGITS = 6
"""Of the ends of a range: far finer than its 255 steps."""


def calibrate(
    record: ModelRecord, images: Iterable[Rgb], *, scale: float = 1.0, threads: int = 0, measured_on: Any = None
) -> Int8Record:
    """The lowest and highest value of all inputs of the network's convolutions, over all images (H, W, 3).

    They are measured in float32, resized as frames are. `measured_on` is kept with the record as what it was measured
    on. Raises SettingError without images, ModelError for a network without convolutions.
    """
    path = materialise(record)
    runtime = OpenVinoRuntime(path, pixels=record.input, options=RuntimeOptions(threads=threads), change=range_outputs)
    ends, count = np.empty((0, len(runtime.outputs)), np.float32), 0
    for image in images:
        count += 1
        for seen in views(record, image, scale=scale):
            found = np.array([float(v) for v in runtime.run(seen[None])], np.float32)
            ends = np.vstack([ends, found])
    if not len(ends):
        raise SettingError("no image to calibrate on", expected="at least one", do="give more with calibrate=")
    names = [name.removesuffix(" low") for name in runtime.outputs[::2]]
    limits = zip(names, ends[:, ::2].min(axis=0), ends[:, 1::2].max(axis=0), strict=True)
    ranges = {name: (_short(low), _short(high)) for name, low, high in limits}
    return Int8Record(ranges, weights_digest(folded(read_graph(path))), {"images": count, **(measured_on or {})})


def agreement(record: ModelRecord, images: Sequence[Rgb], *, threads: int = 0) -> float:
    """The share of cells, 0 to 1, where int8 and float32 have the same class. Raises SettingError without int8."""
    exact = open_network(record, precision="float32", threads=threads)
    rounded = open_network(record, precision="int8", threads=threads)
    same = [np.mean(exact(image).argmax(axis=0) == rounded(image).argmax(axis=0)) for image in images]
    return float(np.mean(same))


def _short(value: Any) -> float:
    return float(f"{value:.{DIGITS}g}")

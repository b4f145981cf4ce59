"""The data of attention training: frames, labels, a segmenter's scores and flows, computed once and kept on disk.

Everything lies on the grid of the segmenter's scores, the cells; images and labels have two pixels to a cell's side.
Convention (docs/conventions.md): backward flow, current(x, y) = previous(x + dx, y + dy), here in cells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.interfaces import FlowEstimator, Segmenter
from segtween.ops.cpu import CpuOps
from segtween.segmenters import open_segmenter
from segtween.training.attention.recipe import AttentionRecipe, Moments
from segtween.training.cache import computed_once
from segtween.training.data import Pool, open_pool
from segtween.training.recipe import Source
from segtween.training.street import CAMERA_RATE, check_rendered, renderer_hash
from segtween.types import Labels, Rgb, SizeHW


@dataclass(frozen=True)
class Clip:
    """One frame or more, one behind the other; flow[i] leads from frame i to the one before. A still has none."""

    images: NDArray[np.uint8]  # (frames, 2h, 2w, 3)
    labels: NDArray[np.uint8]  # (frames, 2h, 2w)
    scores: NDArray[np.float16]  # (frames, C, h, w) logits
    half_scores: NDArray[np.float16]  # (frames, C, h', w'), of a smaller image
    flow: NDArray[np.float16] | None = None  # (frames, h, w, 2)

    @property
    def grid(self) -> SizeHW:
        return self.scores.shape[2], self.scores.shape[3]


@dataclass(frozen=True)
class MomentPool:
    """The clips of one source; `sha256` is of what they were made of."""

    source: Moments
    arrays: dict[str, NDArray[Any]]
    frames: int  # of each clip
    sha256: str

    def __len__(self) -> int:
        return len(self.arrays["images"]) // self.frames

    def __getitem__(self, item: int) -> Clip:
        rows = slice(item * self.frames, (item + 1) * self.frames)
        held: dict[str, Any] = {name: array[rows] for name, array in self.arrays.items()}
        return Clip(**held)

    def class_shares(self, classes: int) -> NDArray[np.float64]:
        """(classes,) share of labelled pixels."""
        counts = np.bincount(self.arrays["labels"].ravel(), minlength=256)[:classes]
        return counts / max(1, int(counts.sum()))


@dataclass(frozen=True)
class Extractors:
    """What extracts scores and flow from frames."""

    segmenter: Segmenter
    half: Segmenter
    flow: FlowEstimator
    ops: CpuOps

    def describe(self) -> dict[str, Any]:
        return {"segmenter": self.segmenter.describe(), "half": self.half.describe(), **self.flow.describe()}


def open_extractors(recipe: AttentionRecipe, *, threads: int) -> Extractors:
    """The recipe's segmenter, twice, and the flow that the engine uses by default; SettingError for other labels."""
    from segtween.flow import open_flow

    whole, half = (open_segmenter(recipe.segmenter, threads=threads, scale=s) for s in (1.0, recipe.half))
    if whole.labels.names != recipe.label_set.names:
        raise SettingError(
            f"labels is {recipe.labels!r}, with segmenter {recipe.segmenter}",
            expected=whole.labels.name,
            do="correct the recipe",
        )
    return Extractors(whole, half, open_flow("dis"), CpuOps(threads=threads))


def open_moments(
    source: Moments, recipe: AttentionRecipe, extractors: Extractors, *, data_root: Path | None, cache: Path
) -> MomentPool:
    """Find a source's files, or render it, and see every frame once, into `cache`, where that has not been done yet."""
    if source.kind == "street":
        frames, count = source.frames, source.seeds[1] - source.seeds[0] + 1
        made_of = _street_key(source, recipe)
        rows = partial(_street_rows, source, recipe, extractors)
    else:
        listed = Source("list", name=source.name, list=source.list, exclude=source.exclude)
        pool = open_pool(listed, recipe.label_set, data_root=data_root, cache=cache)
        frames, count, made_of = 1, len(pool), pool.sha256()
        rows = partial(_still_rows, pool, extractors)
    text = json.dumps([made_of, extractors.describe()], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    folder = cache / f"attention-{digest[:16]}"
    arrays = computed_once(folder, rows, count=count * frames, title=f"seeing {source.name}")
    return MomentPool(source, arrays, frames, digest)


def _street_key(source: Moments, recipe: AttentionRecipe) -> str:
    check_rendered(recipe.labels)
    read = {k: v for k, v in asdict(source).items() if k in ("seeds", "frames", "stride", "begins", "size")}
    return json.dumps([read, recipe.labels, renderer_hash()], sort_keys=True)


def _street_rows(source: Moments, recipe: AttentionRecipe, extractors: Extractors) -> Iterator[dict[str, NDArray[Any]]]:
    from segtween.street import StreetClip

    rate = Fraction(CAMERA_RATE, source.stride)
    for seed in range(source.seeds[0], source.seeds[1] + 1):
        begin = 13 * seed % source.begins  # prime to most lengths, so that neighbours begin far from each other
        clip = StreetClip(seed, size_hw=source.size_hw, frame_rate=rate, frames=source.frames, start=begin)
        before = None
        for frame in clip:
            truth = frame.camvid11 if recipe.labels == "camvid11" else frame.cityscapes19
            row = _row(frame.rgb, truth, extractors)
            view = extractors.flow.prepare(frame.rgb)
            motion = np.zeros((1, 1, 2), np.float32) if before is None else extractors.flow(view, before)
            grid = (row["scores"].shape[1], row["scores"].shape[2])
            yield row | {"flow": extractors.ops.resize_flow(motion, grid).astype(np.float16)}
            before = view


def _still_rows(pool: Pool, extractors: Extractors) -> Iterator[dict[str, NDArray[Any]]]:
    for item in range(len(pool)):
        yield _row(*pool.read(item), extractors)


def _row(rgb: Rgb, truth: Labels, extractors: Extractors) -> dict[str, NDArray[Any]]:
    scores = extractors.segmenter(rgb)
    size = 2 * scores.shape[2], 2 * scores.shape[1]
    return {
        "images": np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)),
        "labels": np.asarray(cv2.resize(truth, size, interpolation=cv2.INTER_NEAREST)),
        "scores": scores.astype(np.float16),
        "half_scores": extractors.half(rgb).astype(np.float16),
    }

"""The data of attention training: frames, labels, a segmenter's scores and composed flow, computed once, kept on disk.

Scores lie on the grid of the segmenter's scores, the cells; images and labels have two pixels to a cell's side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.interfaces import Segmenter
from segtween.segmenters import open_segmenter
from segtween.training.attention.drives import Follower, drives_key, open_drives, open_follower
from segtween.training.attention.recipe import AttentionRecipe, Moments
from segtween.training.cache import computed_once
from segtween.training.data import open_pool
from segtween.training.recipe import Source
from segtween.types import Labels, Rgb, SizeHW


@dataclass(frozen=True)
class Clip:
    """One frame or more, one behind the other, and the composed flow between them. A still has none."""

    images: NDArray[np.uint8]  # (frames, 2h, 2w, 3)
    labels: NDArray[np.uint8]  # (frames, 2h, 2w)
    scores: NDArray[np.float16]  # (frames, C, h, w) logits
    half_scores: NDArray[np.float16]  # (frames, C, h', w'), of a smaller image
    composed: NDArray[np.float16] | None = None  # (frames (frames - 1) / 2, gh, gw, 2), of `drives.pair_row`

    @property
    def grid(self) -> SizeHW:
        return self.scores.shape[2], self.scores.shape[3]


@dataclass(frozen=True)
class MomentPool:
    """The clips of one source, each a row of `arrays`; `sha256` is of what they were made of."""

    source: Moments
    arrays: dict[str, Sequence[NDArray[Any]] | NDArray[Any]]
    sha256: str

    def __len__(self) -> int:
        return len(self.arrays["images"])

    def __getitem__(self, item: int) -> Clip:
        held: dict[str, Any] = {name: array[item] for name, array in self.arrays.items()}
        return Clip(**held)

    @property
    def frames(self) -> int:
        """Of each clip."""
        return len(self.arrays["images"][0])

    def class_shares(self, classes: int) -> NDArray[np.float64]:
        """(classes,) share of labelled pixels."""
        counts = np.bincount(np.ravel(self.arrays["labels"]), minlength=256)[:classes]
        return counts / max(1, int(counts.sum()))


@dataclass(frozen=True)
class Extractors:
    """What extracts scores and composed flow from frames."""

    segmenter: Segmenter
    half: Segmenter
    follower: Follower

    def describe(self) -> dict[str, Any]:
        return {"segmenter": self.segmenter.describe(), "half": self.half.describe(), **self.follower.describe()}


def open_extractors(recipe: AttentionRecipe, *, threads: int) -> Extractors:
    """The recipe's segmenter, twice, and what the engine follows key frames with; SettingError for other labels."""
    whole, half = (open_segmenter(recipe.segmenter, threads=threads, scale=s) for s in (1.0, recipe.half))
    if whole.labels.names != recipe.label_set.names:
        raise SettingError(
            f"labels is {recipe.labels!r}, with segmenter {recipe.segmenter}",
            expected=whole.labels.name,
            do="correct the recipe",
        )
    return Extractors(whole, half, open_follower(threads=threads))


def open_moments(
    source: Moments, recipe: AttentionRecipe, extractors: Extractors, *, data_root: Path | None, cache: Path
) -> MomentPool:
    """Find a source's files, or render it, and see every frame once, into `cache`, where that has not been done yet."""
    arrays: dict[str, Sequence[NDArray[Any]] | NDArray[Any]] = {}
    if source.kind == "street":
        made_of = json.dumps([source.seeds, drives_key(source, recipe.labels, extractors.follower)])
        drives = open_drives(source, recipe.labels, extractors.follower, cache=cache)
        count, arrays["composed"] = len(drives), [drive.composed for drive in drives]
        rows = (_row(drive.rgb, drive.truth, extractors) for drive in drives)
    else:
        listed = Source("list", name=source.name, list=source.list, exclude=source.exclude)
        pool = open_pool(listed, recipe.label_set, data_root=data_root, cache=cache)
        count, made_of = len(pool), pool.sha256()
        stills = map(pool.read, range(count))
        rows = (_row(rgb[None], truth[None], extractors) for rgb, truth in stills)
    text = json.dumps([made_of, extractors.describe()], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    folder = cache / f"attention-{digest[:16]}"
    arrays |= computed_once(folder, rows, count=count, title=f"seeing {source.name}")
    return MomentPool(source, arrays, digest)


def _row(frames: NDArray[np.uint8], truths: NDArray[np.uint8], extractors: Extractors) -> dict[str, NDArray[Any]]:
    """Of the frames of one clip."""
    seen = [_seen(np.array(rgb), np.array(truth), extractors) for rgb, truth in zip(frames, truths, strict=True)]
    return {name: np.stack([each[name] for each in seen]) for name in seen[0]}


def _seen(rgb: Rgb, truth: Labels, extractors: Extractors) -> dict[str, NDArray[Any]]:
    scores = extractors.segmenter(rgb)
    size = 2 * scores.shape[2], 2 * scores.shape[1]
    return {
        "images": np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)),
        "labels": np.asarray(cv2.resize(truth, size, interpolation=cv2.INTER_NEAREST)),
        "scores": scores.astype(np.float16),
        "half_scores": extractors.half(rgb).astype(np.float16),
    }

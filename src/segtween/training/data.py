"""Training samples: where they lie, which comes when, and reading one.

Order is a pure function of the recipe: `plan` writes down source and item of every sample of the whole
training, so that a resumed run goes on exactly where the killed one stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segtween.datasets.reading import names_by_line, read_ids, read_list, read_rgb
from segtween.errors import DatasetError, SettingError
from segtween.labels import LabelSet
from segtween.training.recipe import Sampled, Source
from segtween.types import Labels, Rgb, format_size

KEPT_BYTES = 2 << 30
LABELS_SEEN = 200


@dataclass(frozen=True)
class Pool:
    """The image and label files of one source, in order; labels hold the label set's own ids.

    What `read` decoded is kept, up to 2 GiB of a source: decoding takes longer than the rest of a sample's way.
    """

    source: Source
    labels: LabelSet
    files: tuple[tuple[Path, Path], ...]
    kept: dict[int, tuple[Rgb, Labels]] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.files)

    def read(self, item: int) -> tuple[Rgb, Labels]:
        """(H, W, 3) RGB and (H, W) train ids, 255 = ignore, not to be written to; DatasetError for files that do not
        fit."""
        if item in self.kept:
            return self.kept[item]
        decoded = self._decode(item)
        if (len(self.kept) + 1) * sum(array.nbytes for array in decoded) <= KEPT_BYTES:
            self.kept[item] = decoded
        return decoded

    def _decode(self, item: int) -> tuple[Rgb, Labels]:
        image_path, label_path = self.files[item]
        image, ids = read_rgb(image_path), read_ids(label_path)
        if image.shape[:2] != ids.shape[:2]:
            raise DatasetError(
                f"{label_path} is {format_size(ids.shape[:2])}, its image {format_size(image.shape[:2])}",
                expected="label and image of one size",
                do="check the list file's pairs",
            )
        return image, self.labels.decode(ids, name=str(label_path))

    def labels_of(self, item: int) -> Labels:
        """(H, W) train ids."""
        return self.labels.decode(read_ids(self.files[item][1]))

    def sha256(self) -> str:
        """Of names and contents of all files, in order."""
        digest = hashlib.sha256()
        for pair in self.files:
            for path in pair:
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()


def open_pool(source: Source, labels: LabelSet, *, data_root: Path | None, cache: Path) -> Pool:
    """Find the files of a source; a street's frames are rendered into `cache` where they are not there yet."""
    if source.kind == "street":
        from segtween.training.street import render

        return Pool(source, labels, render(source, labels, cache=cache))
    return Pool(source, labels, listed_pairs(below(data_root, source.list, source.name), source))


def below(data_root: Path | None, file: str, source: str) -> Path:
    """A file of a source in the data folder; SettingError where that is not given."""
    if data_root is None:
        raise SettingError(
            f"source {source!r} needs a data folder",
            expected=f"the folder that holds {file or 'its data'}",
            do="give data_root=FOLDER or set SEGTWEEN_DATA",
        )
    return data_root / file


def listed_pairs(path: Path, source: Source) -> tuple[tuple[Path, Path], ...]:
    """The pairs of a list file (lines of `image label`, relative to the file), less the excluded ones."""
    pairs = [
        (path.parent / image, path.parent / label)
        for _, (image, label) in names_by_line(read_list(path, do="check data_root= or SEGTWEEN_DATA"), path)
        if not any(Path(image).stem in excluded for excluded in source.ranges)
    ]
    missing = [str(p) for pair in pairs for p in pair if not p.is_file()]
    if missing:
        raise DatasetError(
            f"{path} names {len(missing)} files that are not there, first {missing[0]}",
            expected="image and label files beside the list",
            do="check that the data is whole",
        )
    if not pairs:
        raise DatasetError(f"{path} holds no pairs to use", expected="lines of `image label`", do="check its excludes")
    return tuple(pairs)


class Mixed(Protocol):
    """What `plan` asks of a source's items."""

    @property
    def source(self) -> Sampled: ...
    def __len__(self) -> int: ...


class Labelled(Mixed, Protocol):
    """What `class_shares` asks of them."""

    def labels_of(self, item: int) -> Labels: ...


def plan(pools: Sequence[Mixed], *, samples: int, seed: int) -> NDArray[np.int64]:
    """(samples, 2): source and item of each sample.

    Sources take turns so that each has its share of any stretch; a source's items come in a new random
    order each time round.
    """
    shares = np.array([pool.source.share for pool in pools], np.float64)
    shares /= shares.sum()
    order = np.empty((samples, 2), np.int64)
    due = np.zeros(len(pools))
    queues: list[list[int]] = [[] for _ in pools]
    rounds = [0] * len(pools)
    for n in range(samples):
        due += shares
        which = int(due.argmax())
        due[which] -= 1
        if not queues[which]:
            rng = np.random.default_rng([seed, which, rounds[which]])
            queues[which] = rng.permutation(len(pools[which])).tolist()
            rounds[which] += 1
        order[n] = which, queues[which].pop()
    return order


def class_shares(pools: Sequence[Labelled], *, classes: int) -> NDArray[np.float64]:
    """(classes,) share of labelled pixels, sources weighted as they are mixed; at most `LABELS_SEEN` evenly spaced
    label images of each are looked at."""
    total = np.zeros(classes)
    for pool in pools:
        counts = np.zeros(256)
        for item in np.unique(np.linspace(0, len(pool) - 1, min(LABELS_SEEN, len(pool))).round().astype(int)):
            counts += np.bincount(pool.labels_of(int(item)).ravel(), minlength=256)
        total += pool.source.share * counts[:classes] / max(1.0, counts[:classes].sum())
    return total / max(1e-12, float(total.sum()))

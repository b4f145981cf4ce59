"""Where a figure's frames come from: the synthetic street, a data set's clip, a video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segtween.datasets import Clip, Dataset
from segtween.errors import SettingError
from segtween.labels import CAMVID11, CITYSCAPES19, LabelSet, label_map
from segtween.types import Labels, Rgb, SizeHW
from segtween.video import open_source

if TYPE_CHECKING:
    from segtween.street.clip import Density

STREET_RATE = Fraction(15)
STREET_SIZE: SizeHW = (480, 640)


@dataclass(frozen=True)
class Shot:
    """One frame. `key` is what stored scores know it by; `truth` (H, W) and the exact `occlusion` where known."""

    index: int
    key: str | int
    rgb: Rgb
    truth: Labels | None = None
    occlusion: NDArray[np.bool_] | None = None


class StreetShots:
    """A drive through the synthetic street, with exact truth; the label set is CamVid's or Cityscapes'."""

    def __init__(
        self,
        seed: int,
        network: LabelSet,
        *,
        size_hw: SizeHW = STREET_SIZE,
        rate: Fraction = STREET_RATE,
        traffic: Density = "normal",
    ) -> None:
        self.seed, self.size_hw, self.rate, self.traffic = seed, size_hw, rate, traffic
        self.labels = CITYSCAPES19 if network.names == CITYSCAPES19.names else CAMVID11
        self.mapping = label_map(network, self.labels)
        self.title = f"synthetic street, drive {seed}"

    def read(self, first: int, last: int) -> Iterator[Shot]:
        from segtween.street import StreetClip

        # One frame earlier, because a drive's first frame has no exact occlusion.
        start = max(0, first - 1)
        clip = StreetClip(
            self.seed,
            size_hw=self.size_hw,
            frame_rate=self.rate,
            frames=last + 1 - start,
            start=start,
            traffic=self.traffic,
        )
        for frame in clip:
            if frame.index >= first:
                truth = frame.cityscapes19 if self.labels is CITYSCAPES19 else frame.camvid11
                occlusion = frame.occlusion if frame.index > start else None
                yield Shot(frame.index, frame.index, frame.rgb, truth, occlusion)


class DatasetShots:
    """A clip of a data set, by its name or number."""

    def __init__(self, dataset: Dataset, clip: str, network: LabelSet, *, map_name: str | None = None) -> None:
        self.dataset, self.clip = dataset, _find_clip(dataset, clip)
        self.labels, self.mapping = dataset.labels, label_map(network, dataset.labels, name=map_name)
        self.title = f"{dataset.title}, clip {self.clip.name}"

    def read(self, first: int, last: int) -> Iterator[Shot]:
        if last >= len(self.clip):
            raise _too_few(last, len(self.clip), self.title)
        for index in range(first, last + 1):
            frame = self.clip.frames[index]
            rgb = self.dataset.read_rgb(frame)
            truth = self.dataset.read_labels(frame, size_hw=(rgb.shape[0], rgb.shape[1]))
            yield Shot(index, frame.name, rgb, truth)


class VideoShots:
    """Any input of `segtween run`; nothing is known of the truth."""

    def __init__(self, spec: str, network: LabelSet, *, threads: int = 0) -> None:
        self.spec, self.threads = spec, threads
        self.labels, self.mapping = network, label_map(network, network)
        self.title = Path(spec).name

    def read(self, first: int, last: int) -> Iterator[Shot]:
        count = 0
        with closing(open_source(self.spec, threads=self.threads)) as source:
            for frame in source:
                count = frame.index + 1
                if frame.index >= first:
                    yield Shot(frame.index, frame.index, frame.rgb)
                if frame.index == last:
                    return
        raise _too_few(last, count, self.title)


Shots = StreetShots | DatasetShots | VideoShots
"""Frames of one scene, by index. `labels` are those of the truth, `mapping` leads to them from the network's; `read`
gives frames first..last, both included, SettingError where there are fewer."""


def _find_clip(dataset: Dataset, which: str) -> Clip:
    for clip in dataset.clips:
        if clip.name == which:
            return clip
    if which.isdigit() and int(which) < len(dataset.clips):
        return dataset.clips[int(which)]
    raise SettingError(
        f"clip {which!r} of {dataset.name} {dataset.split}",
        expected=f"a name, or a number 0 to {len(dataset.clips) - 1}",
        do=f"give for example clip={dataset.clips[0].name}",
    )


def _too_few(last: int, frames: int, title: str) -> SettingError:
    return SettingError(
        f"frame {last} of {title}",
        expected=f"0 to {frames - 1}",
        do="show earlier frames, or give a shorter interval=",
    )

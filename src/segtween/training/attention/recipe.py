"""A recipe for the network that refines by attention what is read between key frames (segtween.networks.attention)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import numpy as np

from segtween.labels import LabelSet, label_set
from segtween.training.fields import check
from segtween.training.recipe import BaseRecipe, Sampled

MomentKind = Literal["street", "list"]


@dataclass(frozen=True)
class Moments(Sampled):
    """Where a frame and the key frame before it come from.

    kind     street: rendered clips, with the flow between their frames; list: a file of lines `image label`, of stills
             whose path to the "key frame", the same picture, is made up
    name     what the report calls it; by default the list or the seeds
    share    part of the samples that comes from here, relative to the other sources' shares
    scores   parts of the samples with the scores of the segmenter, of the segmenter at the recipe's `half`, and with
             the labels as scores
    list     list: the file, below the data folder; its paths are beside it
    exclude  list: ranges of frame names that are left out, FIRST..LAST, both included
    seeds    street: first and last clip seed, both included
    frames   street: frames of each clip; a frame is at most so many less one behind its key frame
    stride   street: every so many-th frame of a camera with 15 frames a second is taken
    begins   street: a drive begins at one of its first so many frames, by its seed
    size     street: WIDTHxHEIGHT of the rendered frames
    """

    kind: MomentKind
    name: str = ""
    share: float = 1.0
    scores: tuple[float, float, float] = (0.5, 0.25, 0.25)
    list: str = ""
    exclude: tuple[str, ...] = ()
    seeds: tuple[int, int] = (0, 0)
    frames: int = 9
    stride: int = 1
    begins: int = 150
    size: str = "480x360"

    def __post_init__(self) -> None:
        check(self.kind in get_args(MomentKind), "kind", self.kind, f"one of {', '.join(get_args(MomentKind))}")
        self.check_shares_and_clips()
        check((self.kind == "list") == bool(self.list), "list", self.list, "a file name, for kind list only")
        check(self.kind == "list" or not self.exclude, "exclude", self.exclude, "nothing for kind street")
        check(self.frames >= 2, "frames", self.frames, "2 or more")
        check(self.begins >= 1, "begins", self.begins, "1 or more")
        good = min(self.scores) >= 0 and sum(self.scores) > 0
        check(good, "scores", list(self.scores), "three parts of 0 or more, not all 0")
        _ = self.ranges, self.size_hw
        if not self.name:
            object.__setattr__(self, "name", self.list or f"street {self.seeds[0]}..{self.seeds[1]}")


@dataclass(frozen=True)
class AttentionLoss:
    """ce x cross-entropy + overlap x (1 - soft IoU) + share x mean share, at two pixels to a cell's side.

    ce             weight of the cross-entropy, ignored pixels left out
    class_power    class c weighs (share of pixels of c) ** -class_power, scaled to mean 1 over pixels; 0: all equal
    weight_limit   no class weighs more than this many times the lightest
    overlap        weight of 1 - soft IoU, averaged over the classes of a batch that have at least `least` pixels
    sharpness      by which scores are multiplied for the soft IoU, so that it is nearer to that of labels
    least          pixels
    share          weight of the mean share that is replaced: what it costs to replace
    """

    ce: float = 0.5
    class_power: float = 0.3
    weight_limit: float = 8.0
    overlap: float = 1.0
    sharpness: float = 3.0
    least: int = 50
    share: float = 0.02

    def __post_init__(self) -> None:
        for name in ("ce", "overlap", "share"):
            check(0 <= getattr(self, name) <= 100, f"loss.{name}", getattr(self, name), "a number in 0..100")
        check(self.ce + self.overlap > 0, "loss.ce", self.ce, "a number above 0, or loss.overlap")
        check(0 <= self.class_power <= 1, "loss.class_power", self.class_power, "a number in 0..1")
        check(self.weight_limit >= 1, "loss.weight_limit", self.weight_limit, "1 or more")
        check(self.sharpness > 0, "loss.sharpness", self.sharpness, "a number above 0")
        check(self.least >= 1, "loss.least", self.least, "1 or more pixels")


@dataclass(frozen=True)
class Disturb:
    """Random changes of a sample; all but `flip` are standard deviations, 0 leaves them out.

    flip         chance of mirroring left and right, 0..1
    gain         of each colour's factor
    offset       of the brightness, in half ranges of the pixels
    drift        of gain and offset of the key frame relative to the frame
    noise        of every pixel, in half ranges
    temperature  of the logarithm of the factor of all scores, for any classes only
    """

    flip: float = 0.5
    gain: float = 0.2
    offset: float = 0.2
    drift: float = 0.03
    noise: float = 0.03
    temperature: float = 0.4

    def __post_init__(self) -> None:
        check(0 <= self.flip <= 1, "disturb.flip", self.flip, "a number in 0..1")
        for name in ("gain", "offset", "drift", "noise", "temperature"):
            check(0 <= getattr(self, name) <= 2, f"disturb.{name}", getattr(self, name), "a number in 0..2")


@dataclass(frozen=True)
class AdamW:
    """How the weights move: a linear rise of the rate over `warmup` steps, then a cosine towards 0.

    rate          the highest learning rate
    weight_decay  of all weights
    warmup        steps
    """

    rate: float = 3e-3
    weight_decay: float = 1e-3
    warmup: int = 50

    def __post_init__(self) -> None:
        check(self.rate > 0, "optimiser.rate", self.rate, "a number above 0")
        check(self.weight_decay >= 0, "optimiser.weight_decay", self.weight_decay, "0 or more")
        check(self.warmup >= 0, "optimiser.warmup", self.warmup, "0 or more steps")

    def factor(self, step: int, steps: int) -> float:
        """Part of the highest learning rate at a step (from 0)."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        return rise * float(0.5 * (1 + np.cos(np.pi * step / steps)))


@dataclass(frozen=True)
class AttentionRecipe(BaseRecipe):
    """Everything the training of an attention network depends on but the place of the data.

    trains      attention: what tells this recipe from others
    name        what the trained network is called
    segmenter   a shipped name or model folder whose scores are read; frozen
    labels      label set of the segmenter and of every source
    class_head  whether the network knows these classes (then it serves only them), or any
    half        part of the frame's size at which the segmenter sees it for its weaker scores
    train       sources, mixed by their shares
    steps       optimiser steps
    batch       samples in a step
    crop        WIDTHxHEIGHT of the samples in cells, which are those of the segmenter's scores
    seed        of weights, order and everything that is drawn
    precision   float32 or bfloat16 (autocast of the network; weights stay float32)
    licence     the line that travels with the weights
    """

    name: str
    segmenter: str
    steps: int
    train: tuple[Moments, ...]
    trains: Literal["attention"] = "attention"
    labels: str = "camvid11"
    class_head: bool = False
    half: float = 0.5
    batch: int = 8
    crop: str = "80x64"
    seed: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    disturb: Disturb = field(default_factory=Disturb)
    optimiser: AdamW = field(default_factory=AdamW)
    loss: AttentionLoss = field(default_factory=AttentionLoss)
    licence: str = ""

    distributed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self.trains == "attention", "trains", self.trains, "attention")
        check(bool(re.fullmatch(r"[\w.+-]+", self.name)), "name", self.name, "letters, digits, dots and dashes")
        check(bool(self.segmenter), "segmenter", self.segmenter, "a shipped name or model folder")
        check(self.steps >= 1, "steps", self.steps, "1 or more")
        check(0 < self.half < 1, "half", self.half, "a number above 0, below 1")
        check(len(self.train) >= 1, "train", [], "at least one source")
        names = [source.name for source in self.train]
        check(len(set(names)) == len(names), "train.name", names, "each name once")
        check(self.batch >= 1, "batch", self.batch, "1 or more")
        check(all(side % 4 == 0 for side in self.crop_hw), "crop", self.crop, "sides that are multiples of 4")
        check(self.seed >= 0, "seed", self.seed, "0 or more")
        check(self.precision in ("float32", "bfloat16"), "precision", self.precision, "float32 or bfloat16")
        check(self.optimiser.warmup < self.steps, "optimiser.warmup", self.optimiser.warmup, "less than steps")
        _ = self.label_set

    @property
    def label_set(self) -> LabelSet:
        return label_set(self.labels)


RECIPE = AttentionRecipe

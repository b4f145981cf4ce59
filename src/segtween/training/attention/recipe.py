"""A recipe for the network that refines by attention what is read between key frames (segtween.networks.attention)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Interval, MinLen, Predicate

from segtween.labels import LabelSet, label_set
from segtween.training import fields
from segtween.training.fields import Checked, check
from segtween.training.recipe import BaseRecipe, Excluded, Sampled
from segtween.validation import Expected

Deviation = Annotated[float, Interval(ge=0, le=2)]


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
    frames   street: frames of each clip; a frame is at most one less than this behind its key frame
    stride   street: every n-th frame of a camera with 15 frames a second is taken
    begins   street: a drive begins at one of its first n frames, by its seed
    size     street: WIDTHxHEIGHT of the rendered frames
    """

    kind: Literal["street", "list"]
    name: str = ""
    share: fields.Positive = 1.0
    scores: Annotated[
        tuple[fields.NotNegative, fields.NotNegative, fields.NotNegative],
        Predicate(any),
        Expected("three parts of 0 or more, not all 0"),
    ] = (0.5, 0.25, 0.25)
    list: str = ""
    exclude: Excluded = ()
    seeds: fields.Seeds = (0, 0)
    frames: Annotated[int, Ge(2)] = 9
    stride: fields.Count = 1
    begins: fields.Count = 150
    size: fields.Size = "480x360"

    def __post_init__(self) -> None:
        super().__post_init__()
        check((self.kind == "list") == bool(self.list), "list", self.list, "a file name, for kind list only")
        check(self.kind == "list" or not self.exclude, "exclude", self.exclude, "nothing for kind street")
        self.named(self.list)


@dataclass(frozen=True)
class AttentionLoss(Checked):
    """ce x cross-entropy + overlap x (1 - soft IoU) + share x mean share, at two pixels to a cell's side.

    ce             weight of the cross-entropy, ignored pixels left out
    class_power    class c weighs (share of pixels of c) ** -class_power, scaled to mean 1 over pixels; 0: all equal
    weight_limit   no class weighs more than this many times the lightest
    overlap        weight of 1 - soft IoU, averaged over the classes of a batch that have at least `least` pixels
    sharpness      by which scores are multiplied for the soft IoU, so that it is nearer to that of labels
    least          pixels
    share          weight of the mean share that is replaced: what it costs to replace
    """

    where: ClassVar[str] = "loss."
    ce: fields.Weight = 0.5
    class_power: fields.Part = 0.3
    weight_limit: fields.AtLeastOne = 8.0
    overlap: fields.Weight = 1.0
    sharpness: fields.Positive = 3.0
    least: fields.Count = 50
    share: fields.Weight = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.ce + self.overlap > 0, "loss.ce", self.ce, "a number above 0, or loss.overlap")


@dataclass(frozen=True)
class Disturb(Checked):
    """Random changes of a sample; all but `flip` are standard deviations, 0 leaves them out.

    flip         chance of mirroring left and right, 0..1
    gain         of each colour's factor
    offset       of the brightness, in half ranges of the pixels
    drift        of gain and offset of the key frame relative to the frame
    noise        of every pixel, in half ranges
    temperature  of the logarithm of the factor of all scores, for any classes only
    """

    where: ClassVar[str] = "disturb."
    flip: fields.Part = 0.5
    gain: Deviation = 0.2
    offset: Deviation = 0.2
    drift: Deviation = 0.03
    noise: Deviation = 0.03
    temperature: Deviation = 0.4


@dataclass(frozen=True)
class AdamW(Checked):
    """How the weights move: a linear rise of the rate over `warmup` steps, then a cosine towards 0.

    rate          the highest learning rate
    weight_decay  of all weights
    warmup        steps
    """

    where: ClassVar[str] = "optimiser."
    rate: fields.Positive = 3e-3
    weight_decay: fields.NotNegative = 1e-3
    warmup: fields.CountOrNone = 50

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

    name: fields.ModelName
    segmenter: fields.Text
    steps: fields.Count
    train: Annotated[tuple[Moments, ...], MinLen(1), Expected("a list of at least one source")]
    trains: Literal["attention"] = "attention"
    labels: str = "camvid11"
    class_head: bool = False
    half: Annotated[float, Interval(gt=0, lt=1)] = 0.5
    batch: fields.Count = 8
    crop: fields.Size = "80x64"
    seed: fields.CountOrNone = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    disturb: Disturb = field(default_factory=Disturb)
    optimiser: AdamW = field(default_factory=AdamW)
    loss: AttentionLoss = field(default_factory=AttentionLoss)
    licence: str = ""

    distributed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_shared(multiple_of=4)
        _ = self.label_set

    @property
    def label_set(self) -> LabelSet:
        return label_set(self.labels)


RECIPE = AttentionRecipe

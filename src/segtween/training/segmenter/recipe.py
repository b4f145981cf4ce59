"""A recipe for a segmenter: network, data, augmentation, loss and how the weights move."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from segtween.labels import LabelSet, label_set
from segtween.networks import Initial, network
from segtween.training.fields import check
from segtween.training.recipe import Augment, BaseRecipe, Source

Precision = Literal["bfloat16", "float16", "float32"]


@dataclass(frozen=True)
class Optimiser:
    """How the weights move.

    kind            adamw or sgd (momentum 0.9)
    rate            learning rate of the layers that begin random
    encoder_factor  the encoder's rate relative to that, where it begins with ImageNet weights
    weight_decay    of convolution filters; norms and biases have none
    warmup          steps over which the rate rises from 0
    schedule        how the rate falls to 0 at the last step: cosine, or poly (power 0.9)
    """

    kind: Literal["adamw", "sgd"] = "adamw"
    rate: float = 1e-3
    encoder_factor: float = 0.25
    weight_decay: float = 1e-4
    warmup: int = 0
    schedule: Literal["cosine", "poly"] = "cosine"

    def __post_init__(self) -> None:
        check(self.kind in ("adamw", "sgd"), "optimiser.kind", self.kind, "adamw or sgd")
        check(self.rate > 0, "optimiser.rate", self.rate, "a number above 0")
        check(self.encoder_factor > 0, "optimiser.encoder_factor", self.encoder_factor, "a number above 0")
        check(self.weight_decay >= 0, "optimiser.weight_decay", self.weight_decay, "0 or more")
        check(self.warmup >= 0, "optimiser.warmup", self.warmup, "0 or more steps")
        check(self.schedule in ("cosine", "poly"), "optimiser.schedule", self.schedule, "cosine or poly")

    def factor(self, step: int, steps: int) -> float:
        """Part of the full learning rate at a step (from 0): a linear rise, then a fall towards 0."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / (steps - self.warmup)
        if self.schedule == "poly":
            return float((1 - done) ** 0.9)
        return float(0.5 * (1 + np.cos(np.pi * done)))


@dataclass(frozen=True)
class Distil:
    """A trained network that teaches on the same crops (module `distil`); none where `teacher` is empty.

    teacher      a shipped name or model folder with the recipe's labels
    weight       of the divergence KL(teacher || learner), relative to the loss by labels
    temperature  by which both networks' logits are divided; the divergence is multiplied by its square
    features     weight of the distance between the decoders' maps, for SwiftNets; 0: none
    """

    teacher: str = ""
    weight: float = 1.0
    temperature: float = 1.0
    features: float = 0.0

    def __post_init__(self) -> None:
        check(0 <= self.weight <= 100, "distil.weight", self.weight, "a number in 0..100")
        check(self.temperature > 0, "distil.temperature", self.temperature, "a number above 0")
        check(0 <= self.features <= 100, "distil.features", self.features, "a number in 0..100")
        if not self.teacher:
            good = (self.weight, self.temperature, self.features) == (1.0, 1.0, 0.0)
            check(good, "distil.teacher", self.teacher, "a shipped name or model folder")
        check(self.weight + self.features > 0, "distil.weight", self.weight, "a number above 0, or distil.features")


@dataclass(frozen=True)
class Loss:
    """Cross-entropy at the labels' own size, ignored pixels left out.

    class_power     class c weighs (share of pixels of c) ** -class_power, scaled to mean 1 over pixels; 0: all equal
    weight_limit    no class weighs more than this many times the lightest
    hard_fraction   only this part of the pixels of a batch, those with the largest loss, counts; 1: all
    hard_threshold  all pixels count whose true class has less than this probability, and at least `hard_fraction` of
                    all (Wu et al. 2016, arXiv 1605.06885, section 3.3); 0: none by this
    boundary        extra weight of a pixel on a boundary between labels; it fades with the distance d to it as
                    exp(-d^2 / (2 boundary_sigma^2)) (Ronneberger et al., U-Net, MICCAI 2015, equation 2); 0: none
    boundary_sigma  in pixels of the sample
    overlap         weight of a second term, 1 - soft IoU averaged over classes; 0: none
    """

    class_power: float = 0.0
    weight_limit: float = 10.0
    hard_fraction: float = 1.0
    overlap: float = 0.0
    hard_threshold: float = 0.0
    boundary: float = 0.0
    boundary_sigma: float = 5.0

    def __post_init__(self) -> None:
        check(0 <= self.class_power <= 1, "loss.class_power", self.class_power, "a number in 0..1")
        check(self.weight_limit >= 1, "loss.weight_limit", self.weight_limit, "1 or more")
        check(0 < self.hard_fraction <= 1, "loss.hard_fraction", self.hard_fraction, "a number above 0, at most 1")
        check(0 <= self.overlap <= 10, "loss.overlap", self.overlap, "a number in 0..10")
        check(0 <= self.hard_threshold < 1, "loss.hard_threshold", self.hard_threshold, "0 or more, below 1")
        good = self.hard_threshold == 0 or self.hard_fraction < 1
        check(good, "loss.hard_fraction", self.hard_fraction, "less than 1, because there is a hard_threshold")
        check(0 <= self.boundary <= 100, "loss.boundary", self.boundary, "a number in 0..100")
        check(self.boundary_sigma > 0, "loss.boundary_sigma", self.boundary_sigma, "a number above 0")


@dataclass(frozen=True)
class Recipe(BaseRecipe):
    """Everything a training depends on but the place of the data.

    name         what the trained model is called
    network      an entry of segtween.networks.NETWORKS
    labels       label set of the model and of every source
    initial      what the encoder begins with: imagenet or random
    after        a recipe file beside this one: it is trained first, and this one begins with its last weights
    seed         of weights, order and augmentation
    steps        optimiser steps
    batch        samples in a step, over all processes
    accumulate   parts that a batch is worked through in, to save memory
    distil       a network that teaches this one besides the labels
    crop         WIDTHxHEIGHT of the training samples
    precision    bfloat16, float16 (autocast; weights stay float32; float16 on a GPU only) or float32
    train        sources, mixed by their shares
    evaluate     sources scored once, at the end, by the last weights
    licence      the line that travels with the weights
    """

    name: str
    network: str
    steps: int
    crop: str
    train: tuple[Source, ...]
    evaluate: tuple[Source, ...] = ()
    labels: str = "camvid11"
    initial: Initial = "random"
    seed: int = 0
    batch: int = 8
    precision: Precision = "bfloat16"
    augment: Augment = field(default_factory=Augment)
    optimiser: Optimiser = field(default_factory=Optimiser)
    loss: Loss = field(default_factory=Loss)
    licence: str = ""
    after: Recipe | None = None
    accumulate: int = 1
    distil: Distil = field(default_factory=Distil)

    later: ClassVar[dict[str, Any]] = {
        "accumulate": 1, "distil": asdict(Distil()), "hard_threshold": 0.0, "boundary": 0.0, "boundary_sigma": 5.0,
    }  # fmt: skip

    def __post_init__(self) -> None:
        check(bool(re.fullmatch(r"[\w.+-]+", self.name)), "name", self.name, "letters, digits, dots and dashes")
        spec = network(self.network)
        check(self.initial in get_args(Initial), "initial", self.initial, "imagenet or random")
        check(self.initial == "random" or spec.imagenet, "initial", self.initial, f"random, for {self.network}")
        check(self.seed >= 0, "seed", self.seed, "0 or more")
        check(self.steps >= 1, "steps", self.steps, "1 or more")
        check(self.batch >= 2, "batch", self.batch, "2 or more, because of batch norms")
        check(self.precision in get_args(Precision), "precision", self.precision, "bfloat16, float16 or float32")
        good = self.accumulate >= 1 and self.batch % self.accumulate == 0
        check(good, "accumulate", self.accumulate, f"a divisor of batch, {self.batch}")
        good = all(side % spec.multiple_of == 0 for side in self.crop_hw)
        check(good, "crop", self.crop, f"sides that are multiples of {spec.multiple_of}")
        check(len(self.train) >= 1, "train", [], "at least one source")
        for group, sources in (("train", self.train), ("evaluate", self.evaluate)):
            names = [s.name for s in sources]
            check(len(set(names)) == len(names), f"{group}.name", names, "each name once")
        if self.after is not None:
            for what in ("network", "labels", "initial"):
                own, first = getattr(self, what), getattr(self.after, what)
                check(own == first, what, own, f"{first}, as in {self.after.name}, which comes before")
        check(self.optimiser.warmup < self.steps, "optimiser.warmup", self.optimiser.warmup, "less than steps")
        _ = self.label_set

    @property
    def label_set(self) -> LabelSet:
        return label_set(self.labels)


RECIPE = Recipe

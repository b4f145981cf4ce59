"""A recipe for a segmenter: network, data, augmentation, loss and optimiser."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Interval, MinLen

from segtween.labels import LabelSet, label_set
from segtween.networks import Initial, network
from segtween.training import fields
from segtween.training.fields import Checked, check
from segtween.training.recipe import Augment, BaseRecipe, Source
from segtween.validation import Expected

Sources = Annotated[tuple[Source, ...], MinLen(1), Expected("a list of at least one source")]


@dataclass(frozen=True)
class Optimiser(Checked):
    """How the weights move.

    kind            adamw or sgd (momentum 0.9)
    rate            learning rate of the layers that begin random
    encoder_factor  the encoder's rate relative to that, where it begins with ImageNet weights
    weight_decay    of convolution filters; norms and biases have none
    warmup          steps over which the rate rises from 0
    schedule        how the rate falls to 0 at the last step: cosine, or poly (power 0.9)
    """

    where: ClassVar[str] = "optimiser."
    kind: Literal["adamw", "sgd"] = "adamw"
    rate: fields.Positive = 1e-3
    encoder_factor: fields.Positive = 0.25
    weight_decay: fields.NotNegative = 1e-4
    warmup: fields.CountOrNone = 0
    schedule: Literal["cosine", "poly"] = "cosine"

    def factor(self, step: int, steps: int) -> float:
        """Part of the full learning rate at a step (from 0): a linear rise, then a fall towards 0."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / (steps - self.warmup)
        if self.schedule == "poly":
            return float((1 - done) ** 0.9)
        return float(0.5 * (1 + np.cos(np.pi * done)))


@dataclass(frozen=True)
class Distil(Checked):
    """A trained network that teaches on the same crops (module `distil`); none where `teacher` is empty.

    teacher      a shipped name or model folder with the recipe's labels
    weight       of the divergence KL(teacher || learner), relative to the loss by labels
    temperature  by which both networks' logits are divided; the divergence is multiplied by its square
    features     weight of the distance between the decoders' maps, for SwiftNets; 0: none
    """

    where: ClassVar[str] = "distil."
    teacher: str = ""
    weight: fields.Weight = 1.0
    temperature: fields.Positive = 1.0
    features: fields.Weight = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.teacher:
            good = (self.weight, self.temperature, self.features) == (1.0, 1.0, 0.0)
            check(good, "distil.teacher", self.teacher, "a shipped name or model folder")
        check(self.weight + self.features > 0, "distil.weight", self.weight, "a number above 0, or distil.features")


@dataclass(frozen=True)
class Loss(Checked):
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

    where: ClassVar[str] = "loss."
    class_power: fields.Part = 0.0
    weight_limit: fields.AtLeastOne = 10.0
    hard_fraction: Annotated[float, Interval(gt=0, le=1)] = 1.0
    overlap: Annotated[float, Interval(ge=0, le=10)] = 0.0
    hard_threshold: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    boundary: fields.Weight = 0.0
    boundary_sigma: fields.Positive = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        good = self.hard_threshold == 0 or self.hard_fraction < 1
        check(good, "loss.hard_fraction", self.hard_fraction, "less than 1, because there is a hard_threshold")


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

    name: fields.ModelName
    network: str
    steps: fields.Count
    crop: fields.Size
    train: Sources
    evaluate: tuple[Source, ...] = ()
    labels: str = "camvid11"
    initial: Initial = "random"
    seed: fields.CountOrNone = 0
    batch: Annotated[int, Ge(2), Expected("2 or more, because of batch norms")] = 8
    precision: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    augment: Augment = field(default_factory=Augment)
    optimiser: Optimiser = field(default_factory=Optimiser)
    loss: Loss = field(default_factory=Loss)
    licence: str = ""
    after: Recipe | None = None
    accumulate: fields.Count = 1
    distil: Distil = field(default_factory=Distil)

    later: ClassVar[dict[str, Any]] = {
        "accumulate": 1, "distil": asdict(Distil()), "hard_threshold": 0.0, "boundary": 0.0, "boundary_sigma": 5.0,
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        spec = network(self.network)
        check(self.initial == "random" or spec.imagenet, "initial", self.initial, f"random, for {self.network}")
        self.check_shared(("train", "evaluate"), multiple_of=spec.multiple_of)
        self.check_after("network", "labels", "initial")
        _ = self.label_set

    @property
    def label_set(self) -> LabelSet:
        return label_set(self.labels)


RECIPE = Recipe

"""A training recipe: one YAML file that says everything a training depends on but the place of the data.

Every field is checked when the recipe is made, and the error names the field. Each published weight has its
recipe in `recipes/`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from segtween.errors import SettingError
from segtween.labels import LabelSet, label_set
from segtween.networks import Initial, network
from segtween.training.fields import Range, build, check, check_range, parse_size, read_yaml
from segtween.types import SizeHW

Kind = Literal["list", "street"]
Precision = Literal["bfloat16", "float16", "float32"]


@dataclass(frozen=True)
class NameRange:
    """Frames of one recording, by number: `0016E5_07800..0016E5_08310` holds both ends and all between."""

    prefix: str
    first: int
    last: int

    def __contains__(self, name: object) -> bool:
        found = re.fullmatch(r"(.*?)(\d+)", str(name))
        return found is not None and found[1] == self.prefix and self.first <= int(found[2]) <= self.last

    @classmethod
    def parse(cls, text: Any) -> NameRange:
        found = re.fullmatch(r"(.*?)(\d+)\s*\.\.\s*(.*?)(\d+)", str(text))
        good = found is not None and found[1] == found[3] and int(found[2]) <= int(found[4])
        check(good, "exclude", text, "FIRST..LAST, two frame names of one recording, such as 0001_10..0001_20")
        assert found is not None
        return cls(found[1], int(found[2]), int(found[4]))


class Sampled:
    """What every source of a recipe says of its share, its names and its rendered clips."""

    share: float
    exclude: tuple[str, ...]
    seeds: tuple[int, int]
    frames: int
    stride: int
    size: str

    def check_shares_and_clips(self) -> None:
        check(self.share > 0, "share", self.share, "a number above 0")
        check(0 <= self.seeds[0] <= self.seeds[1], "seeds", list(self.seeds), "two numbers from 0, the smaller first")
        check(self.frames >= 1, "frames", self.frames, "1 or more")
        check(self.stride >= 1, "stride", self.stride, "1 or more")

    @property
    def ranges(self) -> tuple[NameRange, ...]:
        return tuple(NameRange.parse(text) for text in self.exclude)

    @property
    def size_hw(self) -> SizeHW:
        return parse_size(self.size, name="size")


class Cropped:
    """What every recipe says of its samples' size."""

    crop: str

    @property
    def crop_hw(self) -> SizeHW:
        return parse_size(self.crop, name="crop")


def digest(values: dict[str, Any]) -> str:
    """sha256 of a recipe's values: comments and the order of a file's lines do not count."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Source(Sampled):
    """Where images and labels come from.

    kind     list: a file of lines `image label`, paths beside that file; street: rendered, needs no data
    name     what the report calls it; by default the kind and the list or seeds
    share    part of the samples that comes from here, relative to the other sources' shares
    list     list: the file, below the data folder
    exclude  list: ranges of frame names that are left out, FIRST..LAST, both included
    seeds    street: first and last clip seed, both included
    frames   street: frames taken from each clip
    stride   street: every so many-th frame of a clip is taken, so that they differ
    size     street: WIDTHxHEIGHT of the rendered frames
    """

    kind: Kind
    name: str = ""
    share: float = 1.0
    list: str = ""
    exclude: tuple[str, ...] = ()
    seeds: tuple[int, int] = (0, 0)
    frames: int = 1
    stride: int = 10
    size: str = "480x360"

    def __post_init__(self) -> None:
        check(self.kind in get_args(Kind), "kind", self.kind, f"one of {', '.join(get_args(Kind))}")
        self.check_shares_and_clips()
        check((self.kind == "list") == bool(self.list), "list", self.list, "a file name, for kind list only")
        check(self.kind == "list" or not self.exclude, "exclude", self.exclude, "nothing for kind street")
        _ = self.ranges, parse_size(self.size, name="size")
        if not self.name:
            object.__setattr__(self, "name", self.list or f"street {self.seeds[0]}..{self.seeds[1]}")


@dataclass(frozen=True)
class Augment:
    """Random changes of a training sample, drawn evenly from each range; (1, 1) or 0 leaves them out.

    scale       size of the picture relative to the crop at which it just fills it
    aspect      stretch of width against height
    flip        chance of mirroring left and right, 0..1
    brightness  factor of all values
    contrast    factor of the distance from the mean value
    saturation  factor of the distance from grey
    hue         shift of the hue, in turns, -0.5..0.5
    """

    scale: Range = (1.0, 1.0)
    aspect: Range = (1.0, 1.0)
    flip: float = 0.5
    brightness: Range = (1.0, 1.0)
    contrast: Range = (1.0, 1.0)
    saturation: Range = (1.0, 1.0)
    hue: Range = (0.0, 0.0)

    def __post_init__(self) -> None:
        check_range("augment.scale", self.scale, low=0.1, high=10)
        check_range("augment.aspect", self.aspect, low=0.25, high=4)
        check(0 <= self.flip <= 1, "augment.flip", self.flip, "a number in 0..1")
        for name in ("brightness", "contrast", "saturation"):
            check_range(f"augment.{name}", getattr(self, name), low=0, high=4)
        check_range("augment.hue", self.hue, low=-0.5, high=0.5)


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


@dataclass(frozen=True)
class Distil:
    """A trained network that teaches on the same crops (segtween.training.distil); none where `teacher` is empty.

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


class Weighting(Protocol):
    """How classes are weighed against each other."""

    @property
    def class_power(self) -> float: ...
    @property
    def weight_limit(self) -> float: ...


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
class Recipe(Cropped):
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
        crop = parse_size(self.crop, name="crop")
        good = all(side % spec.multiple_of == 0 for side in crop)
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

    @property
    def sha256(self) -> str:
        """Of the values, not of the file: comments and order do not count; those of `after` do.

        Fields that came later do not count where they have their defaults, so that published hashes stay.
        """
        values = _without_later(asdict(self))
        if self.after is None:
            del values["after"]
        return digest(values)

    def with_steps(self, steps: int) -> Recipe:
        """The same recipe, and what comes before it, over another number of steps; a warm-up shrinks where it would
        not fit."""
        warmup = min(self.optimiser.warmup, max(0, steps - 1))
        after = None if self.after is None else self.after.with_steps(steps)
        return replace(self, steps=steps, optimiser=replace(self.optimiser, warmup=warmup), after=after)


_LATER = {
    "accumulate": 1, "distil": asdict(Distil()), "hard_threshold": 0.0, "boundary": 0.0, "boundary_sigma": 5.0,
}  # fmt: skip


def _without_later(values: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in values.items() if k not in _LATER or v != _LATER[k]}
    return {k: _without_later(v) if isinstance(v, dict) else v for k, v in kept.items()}


def load_recipe(path: str | Path) -> Recipe:
    """A segmenter's recipe from its YAML file; SettingError says which field is wrong."""
    path = Path(path)
    values = read_yaml(path)
    if isinstance(values, dict) and isinstance(values.get("after"), str):
        if (path.parent / values["after"]).resolve() == path.resolve():
            raise SettingError(f"after is {values['after']!r}, the recipe itself", expected="another recipe", do="")
        values["after"] = load_recipe(path.parent / values["after"])
    built: Recipe = build(Recipe, values)
    return built

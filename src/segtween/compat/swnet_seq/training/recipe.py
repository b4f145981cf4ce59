"""A recipe for what carries scores between key frames: flow network and guided refinement, on chains of frames.

The defaults are those of the reference system (docs/training.md). The segmenter is given and, by default, frozen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from segtween.labels import LabelSet, label_set
from segtween.networks import FLOWS
from segtween.training.fields import check
from segtween.training.recipe import Augment, BaseRecipe, Sampled

ClipKind = Literal["street", "dataset", "list-clips", "video"]
Edge = Literal["laplacian", "zero", "absent"]
Scores = Literal["fresh", "stored"]
STRIDE = 8  # of the grid that scores are carried on
MULTIPLE_OF = 32  # sides of what the guided refinement sees at 1/8


@dataclass(frozen=True)
class Clips(Sampled):
    """Where clips come from. Paths are below the data folder; absolute ones are taken as they are.

    kind        street: rendered, exact labels and flow; dataset: clips in a layout of `segtween evaluate`;
                list-clips: a file of lines `image label`, Cityscapes' names; video: files without labels
    name        what the report calls it; by default what is read
    share       part of the samples that comes from here, relative to the other sources' shares
    label_free  take no labels: distillation only (always so for video)
    seeds       street: first and last clip seed, both included
    frames      street: frames of each clip
    stride      street, video: every so many-th frame is taken
    size        street, video: WIDTHxHEIGHT of the frames; video: its own where this is empty
    layout      dataset: an entry of segtween.datasets.DATASETS
    root        dataset, list-clips: folder of the data set
    split       dataset: which of its parts; never one that is measured on
    exclude     dataset: ranges of frame names that end no chain, FIRST..LAST, both included
    list        list-clips: the file of lines; its paths are below `root`, else beside it
    files       video: the files
    """

    kind: ClipKind
    name: str = ""
    share: float = 1.0
    label_free: bool = False
    seeds: tuple[int, int] = (0, 0)
    frames: int = 30
    stride: int = 1
    size: str = ""
    layout: str = ""
    root: str = ""
    split: str = "train"
    exclude: tuple[str, ...] = ()
    list: str = ""
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self.kind in get_args(ClipKind), "kind", self.kind, f"one of {', '.join(get_args(ClipKind))}")
        self.check_shares_and_clips()
        for name, kind in (("layout", "dataset"), ("list", "list-clips"), ("files", "video")):
            given = bool(getattr(self, name))
            check(given == (self.kind == kind), name, getattr(self, name), f"something for kind {kind} only")
        check(self.kind == "dataset" or not self.exclude, "exclude", self.exclude, "nothing but for kind dataset")
        if self.kind == "street" and not self.size:
            object.__setattr__(self, "size", "480x360")
        _ = self.ranges, self.size and self.size_hw
        if not self.name:
            object.__setattr__(self, "name", self._default_name())

    def _default_name(self) -> str:
        if self.kind == "street":
            return f"street {self.seeds[0]}..{self.seeds[1]}"
        return self.list or ", ".join(Path(f).name for f in self.files) or f"{self.layout} {self.split}"


@dataclass(frozen=True)
class ChainLoss:
    """ce x (cross-entropy + distil x divergence from the segmenter's own scores), on the last frame of a chain.

    ce            weight of both
    distil        weight of the divergence relative to the cross-entropy; without labels it is all there is
    class_power   class c weighs (share of pixels of c) ** -class_power, scaled to mean 1 over pixels; 0: all equal
    weight_limit  no class weighs more than this many times the lightest
    label_stride  the cross-entropy looks at every so many-th pixel of rows and columns
    photometric   weight of the difference between the warped previous small image and the current one
    flow          weight of the distance to the true flow, in pixels of the small image, where a source has it
    """

    ce: float = 10.0
    distil: float = 10.0
    class_power: float = 0.0
    weight_limit: float = 10.0
    label_stride: int = 1
    photometric: float = 0.0
    flow: float = 0.0

    def __post_init__(self) -> None:
        for name in ("ce", "distil", "photometric", "flow"):
            check(getattr(self, name) >= 0, f"loss.{name}", getattr(self, name), "0 or more")
        check(0 <= self.class_power <= 1, "loss.class_power", self.class_power, "a number in 0..1")
        check(self.weight_limit >= 1, "loss.weight_limit", self.weight_limit, "1 or more")
        check(1 <= self.label_stride <= STRIDE, "loss.label_stride", self.label_stride, f"1 to {STRIDE}")


@dataclass(frozen=True)
class Rates:
    """How the weights move.

    kind          sgd (Nesterov momentum 0.9) or adam
    intra         learning rate of the intra network
    guide         of the guide network
    flow          of the flow network
    segmenter     of the segmenter, with finetune_all
    weight_decay  of all weights
    every         steps after which all rates are multiplied by `gamma`
    gamma         above 0, at most 1
    """

    kind: Literal["sgd", "adam"] = "sgd"
    intra: float = 0.002
    guide: float = 0.02
    flow: float = 0.02
    segmenter: float = 0.0002
    weight_decay: float = 5e-4
    every: int = 100
    gamma: float = 0.992

    def __post_init__(self) -> None:
        check(self.kind in ("sgd", "adam"), "optimiser.kind", self.kind, "sgd or adam")
        for name in ("intra", "guide", "flow", "segmenter"):
            check(getattr(self, name) > 0, f"optimiser.{name}", getattr(self, name), "a number above 0")
        check(self.weight_decay >= 0, "optimiser.weight_decay", self.weight_decay, "0 or more")
        check(self.every >= 1, "optimiser.every", self.every, "1 or more steps")
        check(0 < self.gamma <= 1, "optimiser.gamma", self.gamma, "a number above 0, at most 1")

    def factor(self, step: int, steps: int) -> float:
        """Part of all full rates at a step (from 0)."""
        del steps
        return self.gamma ** (step // self.every)


@dataclass(frozen=True)
class PropagationRecipe(BaseRecipe):
    """Everything the training of a propagation model depends on but the place of the data.

    trains          propagation: what tells this recipe from a segmenter's
    name            what the trained model is called
    segmenter       a shipped network, a model folder, or a weight file
    network         of a weight file: its network, where the weights do not say it
    labels          label set of a weight file and of every source; otherwise the segmenter's own
    scale           part of the frame's size at which the segmenter sees it
    scores          fresh: the segmenter sees every augmented frame; stored: each frame once, as it is and mirrored
                    (no other geometry, colours of the small images only), in the cache
    flow            flow-light or flownets
    edge            laplacian: guide with the label map's edge; zero: with that input silent; absent: without it
    initial         weight files of flow and refinement to begin with; otherwise random
    after           a recipe file beside this one: it is trained first, and this one begins with its flow network and,
                    where the edge is the same, its refinement
    train_flow      whether the flow network moves too
    finetune_all    whether the segmenter moves too
    freeze_norms    whether batch norms keep the statistics they begin with
    train           sources, mixed by their shares
    steps, epochs   one of both: optimiser steps, or rounds over as many samples as the sources have
    batch           samples in a step, over all processes
    accumulate      parts that a batch is worked through in, to save memory
    crop            WIDTHxHEIGHT of the samples
    chain           lengths of the chains; each step draws one
    gradient_steps  how many steps at a chain's end carry gradient
    precision       float32 or bfloat16 (autocast; weights stay float32)
    seed            of weights, order, augmentation and lengths
    early_stop      epochs without a better score after which the training ends; 0: never
    licence         the line that travels with the weights
    """

    name: str
    segmenter: str
    train: tuple[Clips, ...]
    trains: Literal["propagation"] = "propagation"
    network: str = ""
    labels: str = ""
    scale: float = 1.0
    scores: Scores = "fresh"
    flow: str = "flow-light"
    edge: Edge = "laplacian"
    initial: tuple[str, ...] = ()
    train_flow: bool = True
    finetune_all: bool = False
    freeze_norms: bool = False
    steps: int = 0
    epochs: int = 0
    batch: int = 8
    accumulate: int = 1
    crop: str = "1536x768"
    chain: tuple[int, ...] = (1, 2, 3, 4)
    gradient_steps: int = 2
    precision: Literal["float32", "bfloat16"] = "float32"
    augment: Augment = field(default_factory=Augment)
    optimiser: Rates = field(default_factory=Rates)
    loss: ChainLoss = field(default_factory=ChainLoss)
    seed: int = 1
    early_stop: int = 0
    licence: str = ""
    after: PropagationRecipe | None = None

    def __post_init__(self) -> None:
        check(self.trains == "propagation", "trains", self.trains, "propagation, or nothing for a segmenter")
        check(bool(re.fullmatch(r"[\w.+-]+", self.name)), "name", self.name, "letters, digits, dots and dashes")
        trained = [name for name in FLOWS if name != "flownet2s"]
        check(self.flow in trained, "flow", self.flow, f"one of {', '.join(trained)}")
        for name, kind in (("edge", Edge), ("scores", Scores)):
            check(
                getattr(self, name) in get_args(kind), name, getattr(self, name), f"one of {', '.join(get_args(kind))}"
            )
        check(0 < self.scale <= 2, "scale", self.scale, "a number above 0, at most 2")
        check(len(self.train) >= 1, "train", [], "at least one source")
        names = [s.name for s in self.train]
        check(len(set(names)) == len(names), "train.name", names, "each name once")
        check((self.steps >= 1) != (self.epochs >= 1), "steps", self.steps, "1 or more, or epochs instead, not both")
        check(self.batch >= 1, "batch", self.batch, "1 or more")
        good = self.accumulate >= 1 and self.batch % self.accumulate == 0
        check(good, "accumulate", self.accumulate, f"a divisor of batch, {self.batch}")
        good = all(side % MULTIPLE_OF == 0 for side in self.crop_hw)
        check(good, "crop", self.crop, f"sides that are multiples of {MULTIPLE_OF}")
        good = len(self.chain) >= 1 and all(1 <= n <= 30 for n in self.chain)
        check(good, "chain", list(self.chain), "lengths in 1..30")
        check(self.gradient_steps >= 1, "gradient_steps", self.gradient_steps, "1 or more")
        check(self.precision in ("float32", "bfloat16"), "precision", self.precision, "float32 or bfloat16")
        check(self.seed >= 0, "seed", self.seed, "0 or more")
        check(self.early_stop >= 0, "early_stop", self.early_stop, "0 or more epochs")
        if self.scores == "stored":
            still = self.augment.scale == self.augment.aspect == (1.0, 1.0)
            check(still, "augment.scale", list(self.augment.scale), "[1, 1], as aspect, because scores is stored")
            check(not self.finetune_all, "finetune_all", True, "false, because scores is stored")
        if self.after is not None:
            for what in ("segmenter", "labels", "flow"):
                own, first = getattr(self, what), getattr(self.after, what)
                check(own == first, what, own, f"{first}, as in {self.after.name}, which comes before")
        _ = self.label_set

    @property
    def label_set(self) -> LabelSet | None:
        """The label set that is given; None where it is the segmenter's."""
        return label_set(self.labels) if self.labels else None


RECIPE = PropagationRecipe

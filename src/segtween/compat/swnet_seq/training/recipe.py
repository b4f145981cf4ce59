"""A recipe for what propagates scores between key frames: flow network and guided refinement, on chains of frames.

The defaults are those of the reference system (docs/training.md). The segmenter is given and, by default, frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval, MinLen

from segtween.labels import LabelSet, label_set
from segtween.training import fields
from segtween.training.fields import Checked, check
from segtween.training.recipe import Augment, BaseRecipe, Excluded, Sampled
from segtween.validation import Expected

STRIDE = 8  # of the grid that scores are propagated on
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

    kind: Literal["street", "dataset", "list-clips", "video"]
    name: str = ""
    share: fields.Positive = 1.0
    label_free: bool = False
    seeds: fields.Seeds = (0, 0)
    frames: fields.Count = 30
    stride: fields.Count = 1
    size: fields.SizeOrNone = ""
    layout: str = ""
    root: str = ""
    split: str = "train"
    exclude: Excluded = ()
    list: str = ""
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, kind in (("layout", "dataset"), ("list", "list-clips"), ("files", "video")):
            given = bool(getattr(self, name))
            check(given == (self.kind == kind), name, getattr(self, name), f"something for kind {kind} only")
        check(self.kind == "dataset" or not self.exclude, "exclude", self.exclude, "nothing but for kind dataset")
        if self.kind == "street" and not self.size:
            object.__setattr__(self, "size", "480x360")
        read = self.list or ", ".join(Path(f).name for f in self.files) or f"{self.layout} {self.split}"
        self.named("" if self.kind == "street" else read)


@dataclass(frozen=True)
class ChainLoss(Checked):
    """ce x (cross-entropy + distil x divergence from the segmenter's own scores), on the last frame of a chain.

    ce            weight of both
    distil        weight of the divergence relative to the cross-entropy; without labels it is all there is
    class_power   class c weighs (share of pixels of c) ** -class_power, scaled to mean 1 over pixels; 0: all equal
    weight_limit  no class weighs more than this many times the lightest
    label_stride  the cross-entropy looks at every so many-th pixel of rows and columns
    photometric   weight of the difference between the warped previous small image and the current one
    flow          weight of the distance to the true flow, in pixels of the small image, where a source has it
    """

    where: ClassVar[str] = "loss."
    ce: fields.NotNegative = 10.0
    distil: fields.NotNegative = 10.0
    class_power: fields.Part = 0.0
    weight_limit: fields.AtLeastOne = 10.0
    label_stride: Annotated[int, Interval(ge=1, le=STRIDE)] = 1
    photometric: fields.NotNegative = 0.0
    flow: fields.NotNegative = 0.0


@dataclass(frozen=True)
class Rates(Checked):
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

    where: ClassVar[str] = "optimiser."
    kind: Literal["sgd", "adam"] = "sgd"
    intra: fields.Positive = 0.002
    guide: fields.Positive = 0.02
    flow: fields.Positive = 0.02
    segmenter: fields.Positive = 0.0002
    weight_decay: fields.NotNegative = 5e-4
    every: fields.Count = 100
    gamma: Annotated[float, Interval(gt=0, le=1)] = 0.992

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

    name: fields.ModelName
    segmenter: str
    train: Annotated[tuple[Clips, ...], MinLen(1), Expected("a list of at least one source")]
    trains: Literal["propagation"] = "propagation"
    network: str = ""
    labels: str = ""
    scale: Annotated[float, Interval(gt=0, le=2)] = 1.0
    scores: Literal["fresh", "stored"] = "fresh"
    flow: Literal["flow-light", "flownets"] = "flow-light"
    edge: Literal["laplacian", "zero", "absent"] = "laplacian"
    initial: tuple[str, ...] = ()
    train_flow: bool = True
    finetune_all: bool = False
    freeze_norms: bool = False
    steps: fields.CountOrNone = 0
    epochs: fields.CountOrNone = 0
    batch: fields.Count = 8
    accumulate: fields.Count = 1
    crop: fields.Size = "1536x768"
    chain: Annotated[
        tuple[Annotated[int, Interval(ge=1, le=30)], ...], MinLen(1), Expected("a list of lengths in 1..30")
    ] = (1, 2, 3, 4)
    gradient_steps: fields.Count = 2
    precision: Literal["float32", "bfloat16"] = "float32"
    augment: Augment = field(default_factory=Augment)
    optimiser: Rates = field(default_factory=Rates)
    loss: ChainLoss = field(default_factory=ChainLoss)
    seed: fields.CountOrNone = 1
    early_stop: fields.CountOrNone = 0
    licence: str = ""
    after: PropagationRecipe | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check((self.steps >= 1) != (self.epochs >= 1), "steps", self.steps, "1 or more, or epochs instead, not both")
        self.check_shared(multiple_of=MULTIPLE_OF)
        if self.scores == "stored":
            still = self.augment.scale == self.augment.aspect == (1.0, 1.0)
            check(still, "augment.scale", list(self.augment.scale), "[1, 1], as aspect, because scores is stored")
            check(not self.finetune_all, "finetune_all", True, "false, because scores is stored")
        self.check_after("segmenter", "labels", "flow")
        _ = self.label_set

    @property
    def label_set(self) -> LabelSet | None:
        """The label set that is given; None where it is the segmenter's."""
        return label_set(self.labels) if self.labels else None


RECIPE = PropagationRecipe

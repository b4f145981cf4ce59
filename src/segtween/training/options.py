"""How and where a recipe is trained: what changes no weight but where they begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

CHECKPOINT, BEFORE = "checkpoint.pt", "before"
"""In the folder of a training: its checkpoint, and the folder of the training that came before."""


@dataclass(frozen=True)
class Epoch:
    """What `TrainOptions.on_epoch` is called with after each epoch.

    `number` counts from 1; `step` is that of the whole training; `loss` is the epoch's mean; `rates` are those of the
    last step. `state_dict` and `state_dict_of` hold the refinement's and the flow network's weights on the CPU,
    `segmenter` the segmenter's where it is trained too.
    """

    number: int
    step: int
    loss: float
    rates: dict[str, float]
    state_dict: dict[str, Any]
    state_dict_of: dict[str, Any]
    segmenter: dict[str, Any] | None


@dataclass(frozen=True)
class TrainOptions:
    """Where a training reads and writes, and where it reports to.

    out         folder of checkpoint, events, report and, in `model`, of what was trained
    data_root   the folder below which list files are found
    cache       what is rendered, decoded and computed once; `out/cache` by default
    resume      whether to go on from `out/checkpoint.pt` where there is one
    device      auto, cpu or cuda
    provenance  what travels with the weights, besides what the training knows itself
    events      TensorBoard's folder; `out/events` by default

    For recipes that train propagation alone:

    on_epoch    called in the first process after each epoch; if it returns a score (larger is better), the best epoch's
                weights are the ones that are kept, otherwise the last ones; without a score the recipe's `early_stop`
                goes by the epoch's mean loss
    init        further weight files to begin with, besides the recipe's `initial`: of each file those parts are taken
                that are of the recipe's networks
    readers     the number of threads that load a batch's samples in parallel; the weights do not depend on it
    """

    out: Path
    data_root: Path | None = None
    cache: Path | None = None
    resume: bool = True
    device: str = "auto"
    provenance: dict[str, Any] = field(default_factory=dict)
    events: Path | None = None
    on_epoch: Callable[[Epoch], float | None] | None = None
    init: tuple[str | Path, ...] = ()
    readers: int = 0

    @property
    def cache_folder(self) -> Path:
        return self.cache or self.out / "cache"

    @property
    def model(self) -> Path:
        return self.out / "model"

    def before(self) -> TrainOptions:
        """Those of the training that comes before this one, in a folder inside this one's, with the same cache."""
        return replace(
            self, out=self.out / BEFORE, cache=self.cache_folder, provenance={}, events=None, on_epoch=None, init=()
        )

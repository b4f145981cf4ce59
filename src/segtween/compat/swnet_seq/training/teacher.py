"""The segmenter whose scores are propagated: a trained network in torch, asked for scores on the grid of 1/8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from segtween.compat.swnet_seq.training.recipe import STRIDE, PropagationRecipe
from segtween.errors import ModelError, SettingError
from segtween.labels import LabelSet
from segtween.models.weights import sha256_of
from segtween.networks import NETWORKS, Network, fit_size, network
from segtween.networks.bisenet import keep_corners
from segtween.networks.checkpoints import read_checkpoint
from segtween.networks.fitting import identify, load_network
from segtween.networks.portable import CHECKPOINTS
from segtween.training.augment import normalise
from segtween.training.segmenter.distil import load_frozen


@dataclass(frozen=True)
class Teacher:
    """A segmenter in torch with its labels; it sees frames at `scale` of their size."""

    name: str
    net: Any
    spec: Network
    labels: LabelSet
    sha256: str
    scale: float

    @property
    def device(self) -> torch.device:
        found: torch.device = next(self.net.parameters()).device
        return found

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, 3, H, W) RGB in 0..1 -> (scores (N, C, H/8, W/8), logits at the network's own stride)."""
        size_hw = images.shape[-2:]
        seen_hw = fit_size(
            (round(size_hw[0] * self.scale), round(size_hw[1] * self.scale)), multiple_of=self.spec.multiple_of
        )
        if seen_hw != size_hw:
            images = F.interpolate(images, size=seen_hw, mode="bilinear", align_corners=False)
        seen = normalise(images, mean=self.spec.mean, std=self.spec.std)
        logits = self.net(seen.contiguous(memory_format=torch.channels_last)).float()
        return keep_corners(logits.contiguous(), (size_hw[0] // STRIDE, size_hw[1] // STRIDE)), logits


def open_teacher(recipe: PropagationRecipe, *, data_root: Path | None, device: torch.device) -> Teacher:
    """The recipe's segmenter in eval mode.

    Raises ModelError for weights that do not fit or a model that was not made with one of our networks, SettingError
    where the labels of a weight file are not given.
    """
    path = Path(recipe.segmenter)
    if path.suffix in CHECKPOINTS:
        teacher = _from_file(recipe, path if path.is_file() or data_root is None else data_root / path)
    else:
        teacher = _from_record(recipe)
    teacher.net.to(device, memory_format=torch.channels_last).eval()
    return teacher


def _from_file(recipe: PropagationRecipe, path: Path) -> Teacher:
    labels = recipe.label_set
    if labels is None:
        raise SettingError(f"segmenter {path} does not say its labels", expected="labels: NAME", do="add it")
    name = recipe.network
    if not name:
        fits = [identify(state) for state in read_checkpoint(path).parts.values()]
        name = next((fit.kind.network for fit in fits if fit is not None and fit.kind.network in NETWORKS), "")
    if not name:
        raise ModelError(
            f"segmenter {path} is like no known network", expected=f"one of {', '.join(NETWORKS)}", do="give another"
        )
    net = load_network(path, name, classes=len(labels))
    return Teacher(path.name, net, network(name), labels, sha256_of(path), recipe.scale)


def _from_record(recipe: PropagationRecipe) -> Teacher:
    net, spec, labels, digest = load_frozen(recipe.segmenter, what="segmenter")
    if recipe.label_set is not None and recipe.label_set.names != labels.names:
        raise SettingError(
            f"labels is {recipe.labels!r}, with segmenter {recipe.segmenter}", expected=labels.name, do="leave it out"
        )
    return Teacher(recipe.segmenter, net, spec, labels, digest, recipe.scale)

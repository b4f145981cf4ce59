"""Distillation from a trained network on the same crops (Hinton et al. 2015, arXiv 1503.02531).

Teacher and learner see one and the same augmented crop (Beyer et al., Knowledge distillation: A good teacher is patient
and consistent, CVPR 2022, section 3.1). The teacher is frozen, in eval mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from segtween.errors import ModelError, SettingError
from segtween.labels import LabelSet
from segtween.models.finding import find_record
from segtween.models.weights import load_weights
from segtween.networks import NETWORKS, Network, build, network
from segtween.networks.swiftnet import SwiftNet
from segtween.training.segmenter.recipe import Distil, Recipe

Outputs = tuple[Tensor, list[Tensor]]


@dataclass(frozen=True)
class Teacher:
    """A frozen network; `sha256` is that of its weights."""

    net: Any
    spec: Network
    sha256: str

    @torch.no_grad()
    def __call__(self, images: Tensor, *, of: Network) -> Outputs:
        """Images (N, 3, H, W), normalised as network `of` wants them -> `forward` of them with this network."""
        pairs = [(torch.tensor(a), torch.tensor(b)) for a, b in ((of.mean, self.spec.mean), (of.std, self.spec.std))]
        (own_mean, mean), (own_std, std) = pairs
        factor, shift = own_std / std, (own_mean - mean) / std
        normalised = images * factor.view(1, 3, 1, 1).to(images.device) + shift.view(1, 3, 1, 1).to(images.device)
        return forward(self.net, normalised)


def open_teacher(recipe: Recipe, *, device: torch.device) -> Teacher | None:
    """The recipe's teacher, or None.

    Raises ModelError for one that is not one of our networks, SettingError for other labels than the recipe's, a crop
    that does not fit it, or features where either network has none to compare.
    """
    asked = recipe.distil
    if not asked.teacher:
        return None
    net, spec, labels, digest = load_frozen(asked.teacher, what="distil.teacher")
    if labels.names != recipe.label_set.names:
        raise SettingError(
            f"distil.teacher {asked.teacher} has labels {labels.name}",
            expected=recipe.labels,
            do="give another teacher",
        )
    if any(side % spec.multiple_of for side in recipe.crop_hw):
        raise SettingError(
            f"crop is {recipe.crop}, with distil.teacher {asked.teacher}",
            expected=f"sides that are multiples of {spec.multiple_of}",
            do="correct the recipe",
        )
    if asked.features and not {recipe.network, spec.name} <= WITH_MAPS:
        raise SettingError(
            f"distil.features is {asked.features}, from {spec.name} to {recipe.network}",
            expected=f"both of {', '.join(sorted(WITH_MAPS))}",
            do="leave it out",
        )
    return Teacher(net.to(device, memory_format=torch.channels_last).eval().requires_grad_(False), spec, digest)


WITH_MAPS = frozenset({"swiftnet-r18", "swiftnet-lite0"})


def load_frozen(model: str, *, what: str) -> tuple[Any, Network, LabelSet, str]:
    """A shipped name or model folder as torch module, its entry, its labels and its weights' sha256.

    ModelError, which calls it `what`, for one that was not made with one of our networks.
    """
    record = find_record(model)
    name = cast(str, record.provenance.get("network", ""))
    if name not in NETWORKS or record.weights is None:
        raise ModelError(
            f"{what} {model} is not one of our networks in torch",
            expected=f"a model folder made from one of {', '.join(NETWORKS)}",
            do="export one with `segtween export` or `segtween train`",
        )
    net = build(name, classes=len(record.labels))
    known = {key: torch.from_numpy(value) for key, value in load_weights(record).items()}
    # What the graph does without (counters, constants of the input) keeps its value.
    net.load_state_dict({**net.state_dict(), **known})
    return net, network(name), record.labels, record.weights.sha256 or f"random {record.weights.random_seed}"


def forward(net: Any, images: Tensor) -> Outputs:
    """Logits (N, classes, h, w), and the maps of the decoder, coarsest first; none for networks other than SwiftNet."""
    if not isinstance(net, SwiftNet):
        return net(images), []
    maps = net.maps(images)
    return net.logits(maps[-1]), maps


def distil_loss(learner: Outputs, teacher: Outputs, settings: Distil) -> Tensor:
    """weight T^2 KL(teacher || learner) per cell at the learner's grid, plus features x distance of the maps."""
    logits, taught = learner[0].float(), teacher[0].float()
    loss = logits.new_zeros(())
    if settings.weight:
        if taught.shape[2:] != logits.shape[2:]:
            taught = F.interpolate(taught, size=logits.shape[2:], mode="bilinear", align_corners=False)
        t = settings.temperature
        own, target = F.log_softmax(logits / t, 1), F.log_softmax(taught / t, 1)
        loss = loss + settings.weight * t * t * (target.exp() * (target - own)).sum(1).mean()
    if settings.features:
        loss = loss + settings.features * map_distance(learner[1], teacher[1])
    return loss


def map_distance(maps: Sequence[Tensor], taught: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of maps (N, C, h, w), relative to the variance of the teacher's channels, averaged over
    the pairs (Romero et al., FitNets, ICLR 2015, arXiv 1412.6550: hints from inner layers)."""
    each = []
    for own, given in zip(maps, taught, strict=True):
        target = given.float()
        each.append(F.mse_loss(own.float(), target) / target.var((0, 2, 3)).mean())
    return torch.stack(each).mean()

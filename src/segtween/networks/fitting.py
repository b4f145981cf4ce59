"""Which network a state dict is of, and loading it into a module: strict by name and shape."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segtween.errors import ModelError
from segtween.networks import FLOWS, NETWORKS, REFINERS, build, build_flow, build_refiner
from segtween.networks.checkpoints import Checkpoint, State, read_checkpoint

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
CLASSES_IN = ("logits.conv.weight", "heads.2.conv_1x1.weight", "grm.intra_net.intra_net.6.weight")
SIMILAR = 0.5  # share of a network's keys that a file must hold to look like it
# Counters that older releases did not store, and biases that FlowNet2-S does not have where the propagation code's
# layout does.
ZERO_IF_ABSENT = re.compile(r"(^|\.)num_batches_tracked$|^upsampled_flow\d_to_\d\.bias$")
# Constants that belong to the model record, and BiSeNet's heads that only training runs.
KEPT_IF_ABSENT = re.compile(r"(^|\.)(img_mean|img_std)$|^heads\.[01]\.")


@dataclass(frozen=True)
class Kind:
    """A network with everything that decides its shapes; `classes` is 0 for a flow network."""

    network: str
    classes: int = 0
    edge: bool = True

    def __str__(self) -> str:
        classes = f" with {self.classes} classes" if self.classes else ""
        return f"{self.network}{classes}{'' if self.edge else ' and without edge'}"


@dataclass(frozen=True)
class Fit:
    """How a state dict compares with a network: keys it lacks, keys too many, keys of another shape (got, wanted)."""

    kind: Kind
    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    wrong: tuple[tuple[str, Shape, Shape], ...]
    similarity: float

    @property
    def whole(self) -> bool:
        """Fits; what it may lack is known without it."""
        return not self.surplus and not self.wrong and not self.needed

    @property
    def needed(self) -> list[str]:
        """Missing keys whose values are not known without the file."""
        return [key for key in self.missing if not ZERO_IF_ABSENT.search(key) and not KEPT_IF_ABSENT.search(key)]

    def __str__(self) -> str:
        parts = [f"{len(self.needed)} keys missing ({shortened(self.needed)})"] if self.needed else []
        parts += [f"{len(self.surplus)} surplus ({shortened(self.surplus)})"] if self.surplus else []
        if self.wrong:
            key, got, wanted = self.wrong[0]
            more = ", ..." if len(self.wrong) > 1 else ""
            parts.append(f"{len(self.wrong)} of another shape ({key} {_by(got)} instead of {_by(wanted)}{more})")
        return ", ".join(parts) or "complete"


def shortened(keys: Iterable[str], *, most: int = 4) -> str:
    """All keys where they are few, else how many there are under each module's name."""
    keys = sorted(keys)
    if len(keys) <= most:
        return ", ".join(keys)
    groups = Counter(".".join(key.split(".")[:-1][:3]) or key for key in keys)
    shown = [f"{name}.* {count}" for name, count in groups.most_common(most)]
    return ", ".join(shown) + (", ..." if len(groups) > most else "")


def compare(state: Mapping[str, Tensor], kind: Kind) -> Fit:
    """How `state` fits the network `kind`."""
    wanted = shapes_of(kind)
    got = {key: tuple(value.shape) for key, value in state.items()}
    wrong = tuple((k, got[k], wanted[k]) for k in sorted(wanted.keys() & got.keys()) if got[k] != wanted[k])
    missing = tuple(sorted(wanted.keys() - got.keys()))
    surplus = tuple(sorted(got.keys() - wanted.keys()))
    same = len(wanted) - len(missing) - len(wrong)
    return Fit(kind, missing, surplus, wrong, same / len(wanted.keys() | got.keys()))


def identify(state: Mapping[str, Tensor]) -> Fit | None:
    """The known network that `state` is nearest to; None if it is like none."""
    best = max((compare(state, kind) for kind in _candidates(state)), key=lambda fit: fit.similarity)
    return best if best.similarity >= SIMILAR else None


def load_into(net: Any, state: Mapping[str, Tensor], *, kind: Kind, source: str) -> None:
    """Fill `net`, a module of `kind`, with `state`.

    Raises ModelError that lists missing and surplus keys and other shapes, and names the network that the weights
    look like; also for values that are not finite.
    """
    fit = compare(state, kind)
    if not fit.whole:
        found = identify(state)
        looks = _looks_like(state)
        if found is not None and found.kind == kind:
            looks = "get the whole file, or the one for this form of the network"
        raise ModelError(f"{source} does not fit {kind}: {fit}", expected=f"the weights of {kind}", do=looks)
    for key, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ModelError(f"{source} holds values in {key} that are not finite", expected="numbers", do="train anew")
    own = net.state_dict()
    absent = {key: torch.zeros_like(own[key]) for key in fit.missing if ZERO_IF_ABSENT.search(key)}
    net.load_state_dict({**own, **absent, **state})


def load_network(path: str | Path, network: str, *, part: str | None = None, classes: int | None = None) -> Any:
    """A module of a known network, in eval mode, with the weights of a file (any that `read_checkpoint` reads).

    `classes` are the file's own unless given. Of several parts, the one that is of this network is taken. Raises
    ModelError for what does not fit, SettingError for an unknown network or part.
    """
    checkpoint = read_checkpoint(path)
    name, state = _part_for(checkpoint, network, part)
    found = kind_of(state, network)
    kind = Kind(network, found.classes if classes is None else classes, found.edge)
    if kind.classes < 1 and network not in FLOWS:
        raise ModelError(
            f"{path} ({name}) has no layer that says its number of classes: {compare(state, Kind(network, 1))}",
            expected=f"the weights of {network}",
            do=_looks_like(state),
        )
    net = build_kind(kind)
    load_into(net, state, kind=kind, source=f"{path} ({name})")
    return net.eval()


def build_kind(kind: Kind) -> Any:
    """A fresh module."""
    if kind.network in FLOWS:
        return build_flow(kind.network)
    if kind.network in REFINERS:
        return build_refiner(kind.network, classes=kind.classes, edge="laplacian" if kind.edge else "absent")
    return build(kind.network, classes=kind.classes)


def kind_of(state: Mapping[str, Tensor], network: str) -> Kind:
    """`network` with the classes and edge that the state's shapes say; classes 0 where they say nothing."""
    if network in FLOWS:
        return Kind(network)
    classes = next((state[key].shape[0] for key in CLASSES_IN if key in state and state[key].ndim == 4), 0)
    guide = state.get("grm.guide.guide_conv.0.weight")
    edge = network not in REFINERS or guide is None or guide.ndim != 4 or guide.shape[1] != classes
    return Kind(network, classes, edge)


@functools.lru_cache(maxsize=32)
def shapes_of(kind: Kind) -> Shapes:
    """Key -> shape of the network's state dict, without its memory."""
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in build_kind(kind).state_dict().items()}


def _candidates(state: Mapping[str, Tensor]) -> list[Kind]:
    kinds = (kind_of(state, name) for name in (*NETWORKS, *FLOWS, *REFINERS))
    return [Kind(k.network, max(k.classes, 1), k.edge) if k.network not in FLOWS else k for k in kinds]


def _part_for(checkpoint: Checkpoint, network: str, part: str | None) -> tuple[str, State]:
    if part is None and len(checkpoint.parts) > 1:
        fits = {name: identify(state) for name, state in checkpoint.parts.items()}
        fitting = [name for name, fit in fits.items() if fit is not None and fit.kind.network == network]
        if not fitting:
            holds = (f"{name}: {fit.kind if fit else 'no known network'}" for name, fit in fits.items())
            raise ModelError(
                f"{checkpoint.path} holds {', '.join(holds)}",
                expected=f"the weights of {network}",
                do="give another file (docs/networks.md)",
            )
        part = fitting[0] if len(fitting) == 1 else None
    return checkpoint.part(part)


def _looks_like(state: Mapping[str, Tensor]) -> str:
    fit = identify(state)
    return f"it looks like {'none of the known networks' if fit is None else fit.kind}; give another file"


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "one number"

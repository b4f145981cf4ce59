"""Which preprocessing a network was trained with, tried on a picture: the usual ones, ranked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from segtween.build import build_every_frame
from segtween.errors import LabelError, ModelError
from segtween.metrics.segmentation import Segmentation
from segtween.models.records import Channels, InputRecord, ModelRecord, Triple
from segtween.ops.cpu import softmax
from segtween.segmenters.network import open_network
from segtween.segmenters.scores import Scores
from segtween.types import IGNORE, Labels, Progress, Rgb, format_size, size_of, steps

USUAL: dict[str, tuple[float, Triple, Triple]] = {
    "torchvision": (1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "-1 to 1": (1.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "0 to 1": (1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "0 to 255": (255.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "0 to 255 without ImageNet's mean": (255.0, (123.675, 116.28, 103.53), (1.0, 1.0, 1.0)),
}
"""Name -> scale, mean, std, for red, green, blue."""
CLEAR_LEAD = 0.01
"""mIoU by which the first must be ahead of the second to be taken for right."""
_NORMALISATION = ("input.scale", "input.mean", "input.std")


@dataclass(frozen=True)
class Attempt:
    """One preprocessing and how it does. `miou` is None without labels; `entropy` of a cell's class probabilities, and
    that of their mean over all cells, in bits, are None for networks that give labels alone."""

    name: str
    input: InputRecord
    miou: float | None
    cell_entropy: float | None
    mean_entropy: float | None

    @property
    def figure(self) -> float:
        """What attempts are ranked by, higher is better: mIoU, or without labels how much more is known of a cell than
        of the picture as a whole (mutual information), so that neither doubt nor one class everywhere wins."""
        if self.miou is not None:
            return self.miou
        return (self.mean_entropy or 0.0) - (self.cell_entropy or 0.0)


def try_preprocessing(
    record: ModelRecord, rgb: Rgb, truth: Labels | None = None, *, threads: int = 0, progress: Progress | None = None
) -> list[Attempt]:
    """The record's own preprocessing, and where it is guessed all usual ones, the best first.

    `truth` are the picture's labels, train ids (H, W), 255 = ignore. Raises LabelError where they are of another size,
    ModelError without them for a network that gives labels alone, and what `open_network` raises.
    """
    _check(record, rgb, truth)
    candidates = list(_candidates(record))
    attempts, step = [], steps(progress, len(candidates))
    for name, pixels in candidates:
        attempts.append(_attempt(replace(record, input=pixels), name, rgb, truth, threads))
        step()
    return sorted(attempts, key=lambda attempt: -attempt.figure)


def confirmed(record: ModelRecord, attempts: list[Attempt]) -> ModelRecord:
    """The record with the best preprocessing; no guess any more where its mIoU is clearly ahead of the next."""
    best, others = attempts[0], attempts[1:]
    lead = best.figure - max((attempt.figure for attempt in others), default=-1.0)
    is_clear = best.miou is not None and lead >= CLEAR_LEAD
    decided = (*_NORMALISATION, "input.channels") if is_clear else ()
    return replace(record, input=best.input, guessed=tuple(n for n in record.guessed if n not in decided))


def _check(record: ModelRecord, rgb: Rgb, truth: Labels | None) -> None:
    if truth is None and (record.output.kind in ("labels", "yolo-seg")):
        raise ModelError(
            f"{record.graph} gives no scores, of which the entropy could be told",
            expected="a picture with labels",
            do="give the label image, too",
        )
    if truth is not None and truth.shape != rgb.shape[:2]:
        raise LabelError(
            f"labels of {format_size(size_of(truth))} for a picture of {format_size(size_of(rgb))}",
            expected="one size",
            do="give the labels that belong to the picture",
        )
    if truth is not None and (truth == IGNORE).all():
        raise LabelError("the label image holds no class", expected="labels to compare with", do="give another picture")


def _candidates(record: ModelRecord) -> Iterator[tuple[str, InputRecord]]:
    own = record.input
    orders: tuple[Channels, ...] = ("RGB", "BGR") if "input.channels" in record.guessed else (own.channels,)
    known = {"as proposed": (own.scale, own.mean, own.std)}
    if set(_NORMALISATION) & set(record.guessed):
        known |= {name: values for name, values in USUAL.items() if values != known["as proposed"]}
    for order in orders:
        for name, (scale, mean, std) in known.items():
            turned = order != (own.channels if name == "as proposed" else "RGB")
            if turned:
                mean, std = mean[::-1], std[::-1]
            yield name, replace(own, channels=order, scale=scale, mean=mean, std=std)


def _attempt(record: ModelRecord, name: str, rgb: Rgb, truth: Labels | None, threads: int) -> Attempt:
    segmenter = open_network(record, threads=threads)
    miou = cells = mean = None
    if truth is not None:
        measured = Segmentation(segmenter.labels)
        engine = build_every_frame(segmenter)
        measured.update(engine.step(rgb).labels, truth)
        miou = float(measured.compute()["miou"] or 0.0)
    elif record.output.kind != "labels":
        cells, mean = _entropies(segmenter(rgb))
    return Attempt(name, record.input, miou, cells, mean)


def _entropies(scores: Scores) -> tuple[float, float]:
    """Bits: mean over the cells, and of the mean over the cells."""
    shares = softmax(np.ascontiguousarray(scores, np.float32)).reshape(len(scores), -1).astype(np.float64)
    return float(_bits(shares).mean()), float(_bits(shares.mean(axis=1, keepdims=True))[0])


def _bits(shares: np.ndarray) -> np.ndarray:
    return -(shares * np.log2(np.maximum(shares, 1e-12))).sum(axis=0)

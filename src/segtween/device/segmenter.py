"""Networks of `segtween.networks` on a device: frame in, logits out, nothing leaves its memory."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segtween.device import Fast, eager
from segtween.device.graphs import AsyncCopy, Captured, recorder
from segtween.device.preprocess import Normalisation
from segtween.errors import ModelError, ScoresError
from segtween.interfaces import Segmenter, Selecting, notes_of, segmented
from segtween.labels import LabelSet
from segtween.models.records import ModelRecord, OutputRecord
from segtween.models.weights import load_weights
from segtween.networks import NETWORKS
from segtween.networks.plain_torch import filled
from segtween.segmenters.network import (
    Scale,
    check_scale,
    choose_labels,
    describe_record,
    input_size,
    notes_of_record,
    scale_at,
)
from segtween.segmenters.scores import LEAST_PROBABILITY
from segtween.types import SizeHW


class DeviceSegmenter:
    """RGB (H, W, 3) uint8 on the device -> logits (C, h, w) float32 there, at the network's stride.

    `net` is a module with the record's input and output, where it is not one of `segtween.networks`. The frame is
    resized as `segtween.segmenters.network` does, to within a grey level. In half precision where `fast` says so.
    Scores that are not finite are noticed at the next call on a card, so that nobody has to wait for them.

    Raises ModelError for a network that has no definition in torch, SettingError for a scale out of range, ScoresError.
    """

    def __init__(
        self,
        record: ModelRecord,
        *,
        device: torch.device,
        fast: Fast,
        scale: Scale = 1.0,
        labels: LabelSet | None = None,
        kernels: Any = eager,
        net: Any = None,
    ) -> None:
        if net is None and not is_in_torch(record):
            raise ModelError(
                f"{record.name} has no definition in torch here",
                expected=f"a model of {', '.join(NETWORKS)}",
                do="give another model=, or device='cpu'",
            )
        self.record, self.scale, self.device, self.fast = record, check_scale(scale, record), device, fast
        self.labels = choose_labels(record, labels)
        self._kernels, dtype = kernels, torch.float16 if fast.half else torch.float32
        self._normalisation = Normalisation.of(record.input, dtype)
        if net is None:
            net = filled(str(record.provenance["network"]), classes=len(self.labels), weights=load_weights(record))
        self._net: Any = net.to(device=device, dtype=dtype, memory_format=torch.channels_last)
        self._compiled = fast.compiled
        self._run = Captured(self._scores, record=recorder(device) if fast.graphs else None)
        self._remarks = list[str]()
        do = "check the network's weights and preprocessing" + (", or leave half out" if fast.half else "")
        self._finite = FiniteScores(record.name, do=do)

    @property
    def notes(self) -> list[str]:
        """One line for each thing to know before relying on the numbers."""
        return [*notes_of_record(self.record), *self._remarks, *self._run.notes]

    def __call__(self, rgb: Tensor) -> Tensor:
        self._finite.check()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.compile's, when it sees a new size
            if self._compiled:
                self._compile(rgb)
            scores, finite = self._run(rgb)
        self._finite.note(finite)
        return scores

    def input_size(self, size_hw: SizeHW) -> SizeHW:
        return input_size(self.record, size_hw, scale=self.scale)

    def scale_at(self, size_hw: SizeHW) -> float:
        return scale_at(self.record, size_hw, scale=self.scale)

    def describe(self) -> dict[str, Any]:
        return {
            **describe_record(self.record, labels=self.labels, scale=self.scale),
            "runtime": "torch",
            "runtime_version": torch.__version__,
            "device": self.device.type,
            "precision": "float16" if self.fast.half else "float32",
        }

    def _scores(self, rgb: Tensor) -> Sequence[Tensor]:
        image = self._kernels.preprocess(rgb, self.input_size((rgb.shape[0], rgb.shape[1])), self._normalisation)
        scores = as_logits(self._net(image)[0].float().contiguous(), self.record.output)
        return scores, torch.isfinite(scores).all()

    def _compile(self, rgb: Tensor) -> None:
        """Through torch.compile from here on, if that works for this frame."""
        self._compiled, uncompiled = False, self._net
        self._net = torch.compile(uncompiled)
        try:
            self._scores(rgb)
        except Exception as error:  # it raises whatever its compilers do
            self._net = uncompiled
            self._remarks.append(f"torch.compile fails here ({str(error).strip().splitlines()[0][:160]})")


def as_logits(scores: Tensor, output: OutputRecord) -> Tensor:
    """Scores (C, h, w) as `segmenters.answers.scored` has them, but for what all classes have in common."""
    is_probability = output.kind == "probabilities"
    if output.threshold is None:
        return scores.clamp(min=LEAST_PROBABILITY).log() if is_probability else scores
    if is_probability:
        scores = scores.logit(eps=LEAST_PROBABILITY)
    return torch.cat([torch.full_like(scores[:1], output.threshold).logit(), scores])


class FiniteScores:
    """Whether scores were finite, asked one frame later on a card, so that nobody has to wait for it. `do` is what the
    error of the network `name` says."""

    def __init__(self, name: str, *, do: str) -> None:
        self._name, self._do = name, do
        self._frames = 0
        self._found: AsyncCopy | None = None

    def note(self, is_finite: Tensor) -> None:
        """Of the next frame's scores; on the processor it is asked at once."""
        self._frames += 1
        self._found = AsyncCopy(is_finite)
        if is_finite.device.type == "cpu":
            self.check()

    def check(self) -> None:
        """ScoresError, once, where the latest were not."""
        if self._found is not None and not self._found.read():
            self._found = None
            raise ScoresError(
                f"network {self._name!r} gave scores that are not finite in frame {self._frames - 1} of those it "
                "was given",
                expected="finite numbers",
                do=self._do,
            )


class ProcessorSegmenter:
    """Any other segmenter, on the processor: frames are fetched, scores sent. It says so in `notes`, and `why`."""

    def __init__(self, inner: Segmenter, *, device: torch.device, why: str = "") -> None:
        self.inner, self.device, self.labels = inner, device, inner.labels
        note = (
            f"{inner.describe().get('name', 'the segmenter')} runs on the processor: frames are fetched from the device"
            + (f" ({why})" if why else "")
        )
        self.notes = [*notes_of(inner), note]
        if isinstance(inner, Selecting):
            self.select = inner.select

    def __call__(self, rgb: Tensor) -> Tensor:
        return self._sent(self.inner(rgb.cpu().numpy()))

    def detailed(self, rgb: Tensor) -> tuple[Tensor, Tensor | None]:
        """The scores and their detail (`interfaces.Detailed`)."""
        scores, detail = segmented(self.inner, rgb.cpu().numpy())
        return self._sent(scores), None if detail is None else self._sent(detail)

    def _sent(self, values: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()


def is_in_torch(record: ModelRecord) -> bool:
    """Whether `segtween.networks` defines the network that the record's weights are of, and it sees whole frames."""
    whole = record.input.window_stride_hw is None and record.input.fit == "stretch"
    return str(record.provenance.get("network")) in NETWORKS and record.weights is not None and whole

"""Networks of ONNX files on a device: frame in, logits out, with ONNX Runtime's inputs and outputs bound to tensors.

The frame is preprocessed in torch, the graph reads the result where it lies and writes its scores into a tensor there
(ONNX Runtime's IO binding); nothing is fetched.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from segtween.device import eager
from segtween.device.preprocess import Normalisation
from segtween.device.segmenter import FiniteScores, as_logits
from segtween.runtimes.onnxruntime import OnnxRuntime, Place
from segtween.segmenters.network import NetworkSegmenter
from segtween.segmenters.scores import reduced_size
from segtween.types import SizeHW

_DTYPES = {np.float16: torch.float16, np.float32: torch.float32, np.float64: torch.float64, np.uint8: torch.uint8}


def why_not(inner: Any, device: torch.device) -> str | None:
    """Why a segmenter's scores cannot stay on the device, in words; None where they can."""
    if not isinstance(inner, NetworkSegmenter) or not isinstance(inner.runtime, OnnxRuntime):
        return "ONNX Runtime does not run it"
    if not inner.runtime.runs_on(device.type):
        return f"ONNX Runtime runs it with {inner.runtime.provider}"
    seen, said = inner.record.input, inner.record.output
    if seen.window_stride_hw is not None or seen.fit != "stretch":
        return "it sees frames in windows, or fitted into its size"
    if said.kind not in ("logits", "probabilities") or said.threshold is not None:
        return "it answers with labels, masks or classes scored each for itself"
    return None if len(inner.runtime.inputs) == 1 else "it has several inputs"


class BoundSegmenter:
    """RGB (H, W, 3) uint8 on the device -> logits (C, h, w) float32 there, of a network that ONNX Runtime holds there
    (`why_not` says of which). Resized as `segtween.segmenters.network` does, to within a grey level.

    Scores that are not finite are noticed at the next call on a card, so that nobody has to wait for them: ScoresError.
    ModelError where the graph refuses the frame's size.
    """

    def __init__(self, inner: NetworkSegmenter, *, device: torch.device, kernels: Any = eager) -> None:
        self.inner, self.device, self.labels, self.record = inner, device, inner.labels, inner.record
        self.scale, self._runtime = inner.scale, cast(OnnxRuntime, inner.runtime)
        self._kernels, self._dtype = kernels, _DTYPES[self._runtime.types[0]]
        self._answer_dtype = _DTYPES[self._runtime.types[1]]
        self._normalisation = Normalisation.of(inner.record.input, self._dtype)
        self._shapes: dict[SizeHW, tuple[int, ...]] = {}
        self._finite = FiniteScores(inner.record.name, do="check the network's weights and preprocessing")

    @property
    def notes(self) -> list[str]:
        """One line for each thing to know before relying on the numbers."""
        return self.inner.notes

    def __call__(self, rgb: Tensor) -> Tensor:
        self._finite.check()
        with torch.no_grad():
            image = self._kernels.preprocess(rgb, self.input_size((rgb.shape[0], rgb.shape[1])), self._normalisation)
            scores = self._logits(self._run(image))
            self._finite.note(torch.isfinite(scores).all())
        return scores

    def input_size(self, size_hw: SizeHW) -> SizeHW:
        return self.inner.input_size(size_hw)

    def scale_at(self, size_hw: SizeHW) -> float:
        return self.inner.scale_at(size_hw)

    def describe(self) -> dict[str, Any]:
        return {**self.inner.describe(), "device": self.device.type}

    def _run(self, image: Tensor) -> Tensor:
        """The graph's answer to (1, 3, h, w); its shape is asked for once for each size."""
        size_hw = image.shape[2], image.shape[3]
        image = (image.permute(0, 2, 3, 1) if self.record.input.layout == "NHWC" else image).contiguous()
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()  # the runtime has a stream of its own
        if size_hw not in self._shapes:
            self._shapes[size_hw] = self._runtime.run_bound(_place(image), None)
        answer = torch.empty(self._shapes[size_hw], dtype=self._answer_dtype, device=self.device)
        self._runtime.run_bound(_place(image), _place(answer))
        return answer

    def _logits(self, answer: Tensor) -> Tensor:
        layout, stride = self.record.output.layout, self.record.output.stride
        planes = (answer[0] if layout.startswith("N") else answer).float()
        planes = as_logits(planes.movedim(layout.removeprefix("N").index("C"), 0), self.record.output)
        return reduce_planes(planes, reduced_size((planes.shape[1], planes.shape[2]), stride)).contiguous()


def reduce_planes(planes: Tensor, grid_hw: SizeHW) -> Tensor:
    """`segmenters.scores.reduce_planes` in torch: (C, H, W) -> (C, h, w), the values at the cells' centres."""
    size_hw = planes.shape[1], planes.shape[2]
    factor = size_hw[0] // grid_hw[0]
    is_exact = factor % 2 == 0 and size_hw == (grid_hw[0] * factor, grid_hw[1] * factor)
    if size_hw == grid_hw:
        return planes
    if is_exact:
        return _at_centres(_at_centres(planes, factor).transpose(1, 2), factor).transpose(1, 2)
    return F.interpolate(planes[None], size=grid_hw, mode="bicubic", align_corners=False)[0]


def _at_centres(planes: Tensor, factor: int) -> Tensor:
    """(C, H, W) -> (C, H / factor, W): the value in the middle of each group of rows, from the four rows around it."""
    groups, first = planes.shape[1] // factor, factor // 2 - 2
    if first < 0:
        planes, first = torch.cat([planes[:, :1], planes, planes[:, -1:]], 1), 0
    a, b, c, d = (planes[:, first + k :: factor][:, :groups] for k in range(4))
    return 0.75 * (b + c) - 0.25 * (a + d)


def _place(values: Tensor) -> Place:
    dtype = next(kind for kind, of in _DTYPES.items() if of == values.dtype)
    return Place(values.device.type, values.device.index or 0, dtype, tuple(values.shape), values.data_ptr())

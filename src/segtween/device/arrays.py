"""The engine's array operations on torch tensors, the twin of `segtween.ops.cpu`, which says what each returns.

Convention (docs/conventions.md): backward flow (h, w, 2), current(x, y) = previous(x + dx, y + dy), in pixels of its
own grid, resizing scales its vectors; pixel centres on integers; resizing is half-pixel-centred. Arrays have the shapes
that they have in NumPy. Given the same arrays both twins give the same within 1e-5, and the same labels but where two
classes are within 1e-4 of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segtween.device import eager, matching
from segtween.device.sampling import along, gather, resize_flow, resize_planes
from segtween.errors import SettingError
from segtween.geometry import shrink_to
from segtween.ops.searches import SEARCHES, describe_matching
from segtween.ops.threads import Made
from segtween.types import ScoreKind, ScoreMap, SizeHW, check_rgb


class TorchOps:
    """Array operations on one device; everything stays there.

    `kernels` has `labels_along`, `blend_along` and others fused (`segtween.device.kernels`), or is `eager`.
    """

    def __init__(self, device: torch.device, *, kernels: Any = eager, keeps_frame: bool = False) -> None:
        self.device, self.kernels = device, kernels
        self._keeps, self._frame = keeps_frame, (None, None)

    def image(self, rgb: Any) -> Any:
        """The frame in the device's memory: (H, W, 3) uint8, from NumPy or torch. SettingError for anything else.

        With `keeps_frame` an array that is given again is not sent again.
        """
        if not isinstance(rgb, Tensor):
            if self._keeps and self._frame[0] is rgb:
                return self._frame[1]
            image = torch.from_numpy(np.ascontiguousarray(check_rgb(rgb))).to(self.device)
            self._frame = (rgb, image) if self._keeps else (None, None)
            return image
        if rgb.dtype != torch.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
            raise SettingError(
                f"frame is {rgb.dtype} of shape {tuple(rgb.shape)}",
                expected="an RGB image, torch.uint8 of shape (height, width, 3)",
                do="convert it, from (3, height, width) with .permute(1, 2, 0)",
            )
        return rgb.to(self.device).contiguous()

    def host(self, values: Any, *, like: Any) -> Any:
        """Values as a caller wants them who gave a frame `like` this: a tensor's stay where they are, and may still be
        on their way."""
        return values if isinstance(like, Tensor) or not isinstance(values, Tensor) else values.cpu().numpy()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """What the work of a frame is done in: this card, without gradients."""
        with torch.no_grad(), self.here():
            yield

    def sibling(self) -> TorchOps:
        """The same for another stream."""
        return TorchOps(self.device, kernels=self.kernels)

    def each(self, works: Sequence[Callable[[], Made]]) -> list[Made]:
        """What several works return: one after the other, as each has the whole card."""
        return [work() for work in works]

    mixed_cells = 0.0
    """Every pixel is interpolated, none by cells."""

    @property
    def name(self) -> str:
        """The card's, for people."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "torch on the processor"

    @property
    def threads(self) -> int:
        """torch's on the processor."""
        return int(torch.get_num_threads())

    def forget_peak(self) -> None:
        """`peak_mib` counts from here."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_mib(self) -> float | None:
        """The most memory of the card that tensors of this process held at a time; None on a processor."""
        return torch.cuda.max_memory_allocated(self.device) / 2**20 if self.device.type == "cuda" else None

    def here(self) -> Any:
        """A context in which this is the current card, as kernels and recordings need it."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def wait(self) -> None:
        """Returns when everything that was asked for is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def score_map(self, logits: Tensor, *, kind: ScoreKind, most_cells: int | None, image_hw: SizeHW) -> ScoreMap:
        values = logits.float().contiguous()
        if most_cells is not None and values.shape[1] * values.shape[2] > most_cells:
            values = resize_planes(values, shrink_to(image_hw, cells=most_cells))
        return ScoreMap(torch.softmax(values, 0) if kind == "probabilities" else values, kind, image_hw)

    def warp(self, values: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        if tuple(flow.shape) != (*values.shape[1:], 2):
            raise SettingError(
                f"flow of shape {tuple(flow.shape)} for values of shape {tuple(values.shape)}",
                expected=f"a flow of shape {(*values.shape[1:], 2)}",
                do="resize the flow to the values' grid",
            )
        x, y = along(flow)
        return gather(values, x, y), x.inside & y.inside

    compose_flow = staticmethod(eager.compose_flow)

    def residual(self, current: Tensor, previous: Tensor, flow: Tensor) -> Tensor:
        return self.kernels.residual(_grey(current), _grey(previous), flow.contiguous())

    def follow(
        self,
        reliability: Tensor | None,
        composed: Tensor | None,
        flow: Tensor,
        error: Tensor,
        *,
        grid_hw: SizeHW,
        tolerance: float,
    ) -> tuple[Tensor, Tensor]:
        if reliability is not None and tuple(reliability.shape) != grid_hw:
            reliability = self.resize(reliability, grid_hw)
        return self.kernels.follow(reliability, composed, flow, error, grid_hw=grid_hw, tolerance=tolerance)

    def blend(self, fresh: Tensor, history: Tensor, composed: Tensor | None, share: Tensor) -> Tensor:
        grid = fresh.shape[1], fresh.shape[2]
        share = self.resize(share, grid)
        if composed is None:
            return fresh + share * (history - fresh)
        return self.kernels.blend_along(fresh, history, self.resize_flow(composed, grid), share)

    resize_flow = staticmethod(resize_flow)

    def resize(self, plane: Tensor, grid_hw: SizeHW) -> Tensor:
        return resize_planes(plane[None], grid_hw)[0]

    def labels(self, scores: ScoreMap, size_hw: SizeHW, *, composed: Tensor | None = None) -> Any:
        return self.kernels.labels_along(scores.values, composed, size_hw)

    def mixed_labels(
        self,
        first: tuple[ScoreMap, Tensor | None],
        second: tuple[ScoreMap, Tensor | None],
        share: Tensor,
        size_hw: SizeHW,
    ) -> Tensor:
        (one, near), (other, far) = first, second
        return eager.mixed_labels_along((one.values, near), (other.values, far), share, size_hw)

    def confidence(
        self,
        first: tuple[ScoreMap, Tensor | None],
        second: tuple[ScoreMap, Tensor | None] | None = None,
        share: Tensor | None = None,
        *,
        step: int = 1,
    ) -> Tensor:
        values = self._led(*first)
        if second is not None and share is not None:
            values = values + self.resize(share, first[0].grid_hw) * (self._led(*second) - values)
        rows, columns = first[0].inside_hw
        values = values[:, :rows:step, :columns:step]
        return (torch.softmax(values, 0) if first[0].kind == "logits" else values).amax(0).clamp(max=1)

    def _led(self, scores: ScoreMap, composed: Tensor | None) -> Tensor:
        """Scores where composed flow leads, on their own grid."""
        if composed is None:
            return scores.values
        return self.warp(scores.values, self.resize_flow(composed, scores.grid_hw))[0]

    appearance = staticmethod(matching.appearance)

    def match(self, composed: Tensor, now: Any, key: Any, *, quality: str) -> Tensor:
        return matching.match(composed, now.coarse, key.coarse, SEARCHES[quality].coarse)

    def match_labels(
        self, labels: Tensor, sources: Any, now: Any, share: Tensor | None = None, *, quality: str
    ) -> Tensor:
        grid, size_hw = (now.fine.shape[0], now.fine.shape[1]), (labels.shape[0], labels.shape[1])
        here = labels if size_hw == grid else labels[_centre(size_hw[0], grid[0])][:, _centre(size_hw[1], grid[1])]
        search = SEARCHES[quality].fine
        changed, read = torch.zeros(grid, dtype=torch.bool, device=self.device), []
        for scores, composed, key in sources:
            flow, differs = matching.match_fine(resize_flow(composed, grid), now.fine, key.fine, search, here)
            changed |= differs
            scale = torch.tensor([size_hw[1] / grid[1], size_hw[0] / grid[0]], device=self.device)
            read.append((scores.values, matching.enlarged_cells(flow, size_hw) * scale))
        if share is None:
            found = eager.labels_along(*read[0], size_hw)
        else:
            part = matching.enlarged_cells(self.resize(share, grid), size_hw)
            found = eager.mixed_labels_along(read[0], read[1], part, size_hw)
        return torch.where(matching.enlarged_cells(changed, size_hw), found, labels)

    describe_matching = staticmethod(describe_matching)

    def mixed_label_maps(self, first: Any, second: Any, share: Any) -> Any:  # noqa: ARG002
        raise SettingError("propagation of label images on a device", expected="device cpu", do="leave the device out")

    def describe(self) -> dict[str, Any]:
        return {"arrays": "torch"}


def _centre(length: int, cells: int) -> Tensor:
    """The pixel of each cell's centre, along one axis."""
    return torch.from_numpy(((np.arange(cells) + 0.5) * (length / cells)).astype(np.int64))


def _grey(image: Tensor) -> Tensor:
    """(h, w) uint8: the image itself, or the mean of its colours."""
    return image if image.ndim == 2 else image.float().mean(2).round().to(torch.uint8)

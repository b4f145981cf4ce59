"""What the network of every framework keeps to, and how one with random weights gets an answer worth comparing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import segtween
from fakes import panning

CLASSES = ("road", "sky", "tree", "car", "house", "person")
SIZE_HW = (96, 160)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHIFT = 0.2
LEAST_SHARE, FEWEST = 0.05, 4


def clip(size_hw: tuple[int, int] = SIZE_HW, frames: int = 12) -> list[Any]:
    return panning(frames, size_hw, step=2, seed=5, cell=24)


def normalised(rgb: Any, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> torch.Tensor:
    values = (np.float32(rgb) / 255 - np.float32(mean)) / np.float32(std)
    return torch.from_numpy(np.moveaxis(values, -1, -3).copy())


def balanced(
    net: Any, last: Sequence[nn.Module], *, size_hw: tuple[int, int] = SIZE_HW, mean: Any = MEAN, std: Any = STD
) -> Any:
    """A network with random weights whose classes all win somewhere on `clip`: norms have the clip's statistics, and
    `last`, the convolutions whose sum is the scores, give every class mean 0 and variance 1 there."""
    images = normalised(np.stack(clip(size_hw)), mean, std)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        net.train()
        net(images)
        net.eval()
        seen: list[torch.Tensor] = []
        hooks = [module.register_forward_hook(lambda _, __, out: seen.append(out)) for module in last]
        net(images)
        for hook in hooks:
            hook.remove()
        grid = seen[0].shape[2:]
        total = sum(nn.functional.interpolate(out, grid, mode="bilinear") for out in seen)
        deviation, offset = total.std(dim=(0, 2, 3)), total.mean(dim=(0, 2, 3))  # type: ignore[union-attr]
        for i, module in enumerate(last):
            module.weight /= deviation[:, None, None, None]  # type: ignore[operator]
            bias = torch.zeros_like(offset) if module.bias is None else module.bias
            module.bias = nn.Parameter((bias - (offset if i == 0 else 0)) / deviation)
    return net


def enlarged(scores: torch.Tensor, size_hw: tuple[int, int]) -> Any:
    """The labels (H, W) of logits (1, C, h, w)."""
    full = nn.functional.interpolate(scores, size_hw, mode="bilinear", align_corners=False)
    return full[0].argmax(dim=0).numpy()


class FrameworkContract:
    """`made` builds the network once: what `segtween.load` takes, and a function of a frame that gives the framework's
    own labels of it."""

    size_hw: ClassVar[tuple[int, int]] = SIZE_HW
    options: ClassVar[dict[str, Any]] = {}
    mean: ClassVar[tuple[float, float, float]] = MEAN
    least_equal: ClassVar[float] = 0.999

    @classmethod
    def made(cls, folder: Path) -> tuple[Any, Any]:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
        torch.manual_seed(1)
        return cls.made(tmp_path_factory.mktemp("network"))

    def load(self, model: Any, **options: Any) -> Any:
        return segtween.load(model, **{"threads": 2, **self.options, **options})

    def test_labels_at_key_frames_are_the_framework_s_own(self, network: tuple[Any, Any]) -> None:
        """12 frames, the network on every 5th, no fusion; and the export is told."""
        model, own = network
        frames = clip(self.size_hw)
        seg = self.load(model, interval=4, mode="causal", history_weight=0.0)
        results = list(seg.stream(frames))
        assert len(results) == len(frames)
        assert [result.index for result in results if result.is_key] == [0, 5, 10]
        for index in (0, 5, 10):
            expected = own(frames[index])
            shares = np.bincount(expected.ravel(), minlength=len(CLASSES)) / expected.size
            assert (shares >= LEAST_SHARE).sum() >= FEWEST, f"too few classes to tell anything: {shares.round(3)}"
            equal = float((results[index].labels == expected).mean())
            assert equal >= self.least_equal, f"frame {index}: {equal:.4%} equal"
        (told,) = (note for note in seg.engine.notes if "exported from torch" in note)
        assert float(told.rpartition("labels agree at ")[2].partition("%")[0]) > 99.9

    def test_another_channel_mean_gives_other_labels(self, network: tuple[Any, Any]) -> None:
        model, own = network
        shifted = (self.mean[0] + SHIFT, *self.mean[1:])
        frame = clip(self.size_hw)[0]
        labels = self.load(model, mean=shifted, preset="every-frame").step(frame).labels
        assert float((labels == own(frame)).mean()) < self.least_equal

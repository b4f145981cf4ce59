"""The engine on a device: `segtween.engine` with tensors, and, on a card, with the work of a frame recorded.

    eager       the engine's own step: every part is called by itself
    recorded    frames between key frames are one call that is replayed (`segtween.device.graphs`): view, flow, trust,
                path and labels, before it is known whether they are a scene cut's. That and the trust come back as two
                numbers, the only thing that a frame waits for; after a cut its labels are made again from the network.
                At key frames the network is at work before they are read.

Both give the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segtween.device.arrays import TorchOps
from segtween.device.cuts import DeviceCuts, cut_score
from segtween.device.graphs import AsyncCopy, Captured, Recorder
from segtween.engine import Clock, Engine, History, Past
from segtween.geometry import stride_grid
from segtween.interfaces import Situation
from segtween.schedule.fixed import FixedInterval
from segtween.types import Result, ScoreMap, SizeHW


class DeviceEngine(Engine):
    """Takes what `Engine` takes, its parts on a device, and `record`, how calls are recorded (None: they are not).

    Frames are NumPy arrays, whose labels come back as such, or tensors, whose labels stay in the device's memory and
    may still be on their way. With `timed` every stage ends when the device has done it, so that its time is its own;
    else a stage's time is that of asking for it, and waiting shows where a number is read.
    """

    ops: TorchOps

    def __init__(self, *parts: Any, record: Recorder | None = None, timed: bool = False, **others: Any) -> None:
        super().__init__(*parts, **others)
        self.clock = partial(Clock, self.ops.wait) if timed else Clock
        can = record is not None and not timed and self.flow is not None and not self.carry.resample
        self._record = record if can else None
        self._arrive = Captured(self._arriving, record=self._record)
        self._between = Captured(self._labelled, record=self._record)
        self._join = Captured(self._joined, record=self._record)

    def step(self, rgb: Any, *, pts_seconds: float | None = None) -> Result:
        with torch.no_grad(), self.ops.here():
            image = self.ops.image(rgb)
            past = self._past
            same = past is not None and past.scores.image_hw == (image.shape[0], image.shape[1])
            if self._record is None or past is None or not same:
                result = super().step(image, pts_seconds=pts_seconds)
            else:
                result = self._recorded(image, past, pts_seconds)
        if isinstance(rgb, Tensor):
            return replace(result, reliability=None)  # its memory is used again for the next frame
        trust: Any = result.reliability
        reliability = None if trust is None else self.ops.host(trust)
        return replace(result, labels=self.ops.host(result.labels), reliability=reliability)

    @property
    def notes(self) -> list[str]:
        """One line for each thing that is done in another way than was asked for."""
        parts = (self._arrive, self._between, self._join, self.flow)
        return list(dict.fromkeys(note for part in parts for note in getattr(part, "notes", ())))

    def segment(self, rgb: Any) -> Any:
        with self.ops.here():
            return self.segmenter(self.ops.image(rgb))

    def _recorded(self, rgb: Tensor, past: Past, pts_seconds: float | None) -> Result:
        clock, size_hw, scores = self.clock(), past.scores.image_hw, past.scores
        situation = Situation(self._count, past.distance + 1, _NONE, _NONE, past.took_ms)
        is_fixed = isinstance(self.schedule, FixedInterval)
        is_key = is_fixed and self.schedule.is_key(situation)
        with clock("propagate"):
            given = rgb, past.view, *self._way(past)
            made = self._arrive(*given) if is_key else self._between(*given, scores.values)
            view, trust, path, numbers = *made[:3], AsyncCopy(made[3])
        logits = None
        if is_key:
            with clock("segment"):
                logits = self.segment(rgb)  # begins before the numbers are there
        with clock("propagate"):
            is_cut = isinstance(self.cuts, DeviceCuts) and self.cuts.is_cut(numbers.read()[0])
            if not is_fixed and not is_cut:
                trusted = np.full((1, 1), numbers.read()[1], np.float32)
                is_key = self.schedule.is_key(replace(situation, reliability=trusted))
        if not is_key and not is_cut:
            self._past = Past(view, scores, path, trust, situation.distance, clock.total_ms)
            carried = partial(self._mixed, scores, path, None)
            flags = {"is_key": False, "distance": situation.distance, "is_cut": False, "reliability": trust}
            return self._result(made[4], carried, clock, pts_seconds, **flags)
        if logits is None:
            with clock("segment"):
                logits = self.segment(rgb)
        with clock("label"):
            if is_cut:
                scores = self._fuse(logits, None, size_hw)
                labels = self.ops.labels(scores, size_hw)
            else:
                values, labels = self._join(logits, scores.values, path, trust, rgb[..., :0])
                scores = replace(scores, values=values)
        self._past = Past(view, scores, None, None, 0, clock.total_ms)
        return self._result(labels, scores, clock, pts_seconds, is_key=True, distance=0, is_cut=is_cut)

    def _way(self, past: Past) -> tuple[Tensor, Tensor]:
        """Trust and path; of a key frame, all trust and no way to go."""
        if past.path is not None and past.reliability is not None:
            return past.reliability, past.path
        grid = stride_grid((past.view.shape[0], past.view.shape[1]), 2)
        return torch.ones(grid, device=self.ops.device), torch.zeros((*grid, 2), device=self.ops.device)

    def _arriving(self, rgb: Tensor, before: Tensor, trust: Tensor, path: Tensor) -> Sequence[Tensor]:
        """View, trust and path of a frame that follows; and whether it follows at all, and how far it is trusted."""
        assert self.flow is not None
        view: Any = self.flow.prepare(rgb)
        motion = self.flow(view, before)
        error = self.ops.difference(view, before, motion)
        grid = trust.shape[0], trust.shape[1]
        trust, path = self.ops.follow(trust, path, motion, error, grid_hw=grid, tolerance=self.carry.tolerance)
        return view, trust, path, torch.stack((cut_score(view, error), trust.mean()))

    def _labelled(self, rgb: Tensor, before: Tensor, trust: Tensor, path: Tensor, scores: Tensor) -> Sequence[Tensor]:
        arrived = self._arriving(rgb, before, trust, path)
        size_hw: SizeHW = rgb.shape[0], rgb.shape[1]
        carried: Any = ScoreMap(scores, self.carry.kind, size_hw)
        return *arrived, self.ops.labels(carried, size_hw, path=arrived[2])

    def _joined(self, logits: Tensor, before: Tensor, path: Tensor, trust: Tensor, frame: Tensor) -> Sequence[Tensor]:
        """A key frame's scores, blended with the history, and its labels; `frame` (H, W, 0) has its size."""
        size_hw: SizeHW = frame.shape[0], frame.shape[1]
        carried: Any = ScoreMap(before, self.carry.kind, size_hw)
        situation = Situation(0, 0, _NONE, _NONE, 0.0)
        scores: Any = self._fuse(logits, History(carried, path, trust, situation), size_hw)
        return scores.values, self.ops.labels(scores, size_hw)


_NONE = np.zeros((1, 1), np.float32)

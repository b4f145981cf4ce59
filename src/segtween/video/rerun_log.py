"""`clip.rrd`, a recording for the Rerun viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from segtween.errors import from_extra
from segtween.labels import LabelSet
from segtween.types import Frame, Result, Rgb, SourceInfo
from segtween.video.staging import Staged, sink_errors

EVERY = 32
"""Pixels from one arrow to the next."""


class Arrows:
    """Called with one frame after the other: where things were in the frame before, and how far they moved since,
    (n, 2) pixels x, y each, a point every 32; none of the first frame."""

    def __init__(self) -> None:
        self._before: Any = None

    def __call__(self, rgb: Rgb) -> tuple[Any, Any]:
        import cv2

        before, now = self._before, cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        self._before = now
        if before is None or min(now.shape) < EVERY:
            return np.zeros((0, 2)), np.zeros((0, 2))
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST).calc(now, before, None)
        rows, columns = (np.arange(EVERY // 2, side, EVERY) for side in now.shape)
        vectors = -flow[rows[:, None], columns].reshape(-1, 2)
        return np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2) - vectors, vectors


class RerunLog:
    """Frames, labels with the names and colours of their classes, and confidence as pictures; arrows from where things
    were in the frame before, by OpenCV's DIS, for the eye alone; key frames as lines of text; the time of each stage
    and the mean confidence as curves. On the timelines `frame` and `time`.

    Raises MissingExtraError without rerun-sdk.
    """

    def __init__(self, target: Path, info: SourceInfo, labels: LabelSet) -> None:
        self._rerun = from_extra("rerun", "save='rrd'", extra="rerun")
        self.staged = Staged(target)
        self._name, self._labels = info.name, labels
        self._stream: Any = None
        self._arrows = Arrows()

    def write(self, frame: Frame, result: Result) -> None:
        with sink_errors(self.staged.target):
            if self._stream is None:
                self._begin()
            self._log(frame, result)

    def _begin(self) -> None:
        rerun = self._rerun
        self._stream = rerun.RecordingStream("segtween", recording_id=self._name)
        self._stream.save(str(self.staged.part))
        pairs = enumerate(zip(self._labels.names, self._labels.colours, strict=True))
        context = [rerun.AnnotationInfo(id=i, label=name, color=colour) for i, (name, colour) in pairs]
        self._stream.log("frame/labels", rerun.AnnotationContext(context), static=True)

    def _log(self, frame: Frame, result: Result) -> None:
        rerun, log = self._rerun, self._stream.log
        self._stream.set_time("frame", sequence=frame.index)
        self._stream.set_time("time", duration=float(frame.pts_seconds))
        log("frame", rerun.Image(frame.rgb).compress(jpeg_quality=85))
        log("frame/labels", rerun.SegmentationImage(result.labels, opacity=0.5))
        log("confidence", rerun.DepthImage(np.ascontiguousarray(result.confidence), meter=1.0))
        log("mean_confidence", rerun.Scalars(result.mean_confidence))
        origins, vectors = self._arrows(frame.rgb)
        log("frame/flow", rerun.Arrows2D(origins=origins, vectors=vectors, radii=0.5))
        for stage, ms in result.stages_ms.items():
            log(f"milliseconds/{stage}", rerun.Scalars(ms))
        if result.is_key:
            log("key_frames", rerun.TextLog(f"key frame {frame.index}{', a new scene' if result.is_cut else ''}"))

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        with sink_errors(self.staged.target):
            stream.disconnect()
        self.staged.commit()

    abort = close

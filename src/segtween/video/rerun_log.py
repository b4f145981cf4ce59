"""`clip.rrd`, a recording for the Rerun viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from segtween.errors import MissingExtraError
from segtween.labels import LabelSet
from segtween.types import Frame, Result, SourceInfo
from segtween.video.staging import Staged, sink_errors


class RerunLog:
    """Frames, labels with the names and colours of their classes, and confidence as pictures; key frames as lines of
    text; the time of each stage and the mean confidence as curves. On the timelines `frame` and `time`.

    Raises MissingExtraError without rerun-sdk.
    """

    def __init__(self, target: Path, info: SourceInfo, labels: LabelSet) -> None:
        try:
            import rerun
        except ImportError:
            raise MissingExtraError("save='rrd'", extra="rerun") from None
        self.staged, self._rerun = Staged(target), rerun
        self._name, self._labels = info.name, labels
        self._stream: Any = None

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
        log("mean_confidence", rerun.Scalars(float(result.confidence.mean())))
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

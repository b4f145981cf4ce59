"""Measures, each with `update` per frame, `compute` at the end and `reset` (docs/evaluation.md).

| member | measures |
| --- | --- |
| `segmentation.Segmentation` | mIoU from one pooled confusion matrix |
| `boundary.TruthEdges` | boundary F, and mIoU near label edges |
| `temporal.TemporalConsistency` | TC: temporal consistency along the motion |
| `temporal.VideoConsistency` | VC8, VC16: constancy where the truth is constant |
| `temporal.KeyFlicker` | label changes at key frames over those elsewhere |
| `consistency.ConsistencyMeter` | the same for any video, without a truth; flicker |
| `vspw.VspwMeasures` | mIoU, TC, VC8, VC16 by the rules of VSPW's public scripts |
| `calibration.Calibration` | expected calibration error of confidence, or of reliability |
| `timing.Timing` | medians and quartiles of stage times |
| `bootstrap.absolute`, `bootstrap.difference` | 95% intervals |
"""

from segtween.metrics.bootstrap import Bootstrap, Interval
from segtween.metrics.calibration import Calibration
from segtween.metrics.consistency import ConsistencyMeter
from segtween.metrics.segmentation import Segmentation
from segtween.metrics.temporal import KeyFlicker, TemporalConsistency, VideoConsistency
from segtween.metrics.timing import Timing
from segtween.metrics.vspw import VspwMeasures

__all__ = [
    "Bootstrap",
    "Calibration",
    "ConsistencyMeter",
    "Interval",
    "KeyFlicker",
    "Segmentation",
    "TemporalConsistency",
    "Timing",
    "VideoConsistency",
    "VspwMeasures",
]

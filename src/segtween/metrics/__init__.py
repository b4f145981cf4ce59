"""Measures, each with `update` per frame, `compute` at the end and `reset` (docs/evaluation.md).

| member | measures |
| --- | --- |
| `segmentation.Segmentation` | mIoU from one pooled confusion matrix |
| `temporal.TemporalConsistency` | TC: steadiness along the motion |
| `temporal.VideoConsistency` | VC8, VC16: constancy where the truth is constant |
| `temporal.KeyFlicker` | label changes at key frames over those elsewhere |
| `steadiness.SteadinessMeter` | the same for any video, without a truth; flicker |
| `timing.Timing` | medians and quartiles of stage times |
| `bootstrap.absolute`, `bootstrap.difference` | 95% intervals |
"""

from segtween.metrics.bootstrap import Bootstrap, Interval
from segtween.metrics.segmentation import Segmentation
from segtween.metrics.steadiness import SteadinessMeter
from segtween.metrics.temporal import KeyFlicker, TemporalConsistency, VideoConsistency
from segtween.metrics.timing import Timing

__all__ = [
    "Bootstrap",
    "Interval",
    "KeyFlicker",
    "Segmentation",
    "SteadinessMeter",
    "TemporalConsistency",
    "Timing",
    "VideoConsistency",
]

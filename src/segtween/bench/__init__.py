"""How fast a method is, and what its speed depends on (docs/evaluation.md).

| module | what it measures |
| --- | --- |
| `speed` | milliseconds per frame at several intervals, against the network on every frame and `baselines` |
| `roofline` | how far each stage is from what memory and processor allow |
| `cold_start` | from the start of a process to its first labels |
| `sweeps` | how cost grows with pixels, classes, the interval and the length of the video |
| `streams` | several streams with one network against separate runs |
| `real_time` | latency of labels when frames come at a rate |
| `on_device` | speed on a graphics card |
| `machine` | what processor, runtime and cards offer |

All but sweeps give a `report.Report`.
"""

from segtween.bench.plan import Plan, moving_clip
from segtween.bench.speed import bench, bench_modes, bench_presets
from segtween.bench.speed_report import BenchReport

__all__ = ["BenchReport", "Plan", "bench", "bench_modes", "bench_presets", "moving_clip"]

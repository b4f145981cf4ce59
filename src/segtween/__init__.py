"""Video semantic segmentation: the network on key frames, optical flow in between.

    import segtween
    seg = segtween.load("swiftnet-lite0.camvid", interval=4)
    seg.run("drive.mp4", "out/", save=["overlay", "labels"])
    for result in seg.stream("rtsp://camera/1"):
        print(result.pts_seconds, result.is_key, result.labels.shape)

Names are loaded when they are first used, so importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segtween._version import __version__

if TYPE_CHECKING:
    from segtween.api import Segtween, load
    from segtween.engine import Engine
    from segtween.errors import SegtweenError
    from segtween.evaluation import evaluate
    from segtween.labels import LabelMap, LabelSet, label_set
    from segtween.results import Result
    from segtween.types import Frame, Method, ScoreMap

_HOME = {
    "ScoreMap": "types",
    "Engine": "engine",
    "Frame": "types",
    "LabelMap": "labels",
    "LabelSet": "labels",
    "Method": "types",
    "Result": "results",
    "SegtweenError": "errors",
    "Segtween": "api",
    "evaluate": "evaluation",
    "label_set": "labels",
    "load": "api",
}

__all__ = [
    "Engine",
    "Frame",
    "LabelMap",
    "LabelSet",
    "Method",
    "Result",
    "ScoreMap",
    "Segtween",
    "SegtweenError",
    "__version__",
    "evaluate",
    "label_set",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'segtween' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"segtween.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

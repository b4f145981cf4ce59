"""Flow estimators: backward flow between two frames on a grid of their own.

| name | what it is |
| --- | --- |
| `dis` | Dense Inverse Search (Kroeger et al., ECCV 2016) |
| `zero` | no motion: the previous result stays where it is (a baseline) |
| `network.NetworkFlow` | a flow network as ONNX (`models.component_search` finds its file) |
| `stored.StoredFlow` | files, computed elsewhere |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from segtween.errors import unknown
from segtween.interfaces import FlowEstimator


def _dis(**options: Any) -> FlowEstimator:
    from segtween.flow.dis import DisFlow

    return DisFlow(**options)


def _zero(**options: Any) -> FlowEstimator:
    from segtween.flow.zero import ZeroFlow

    options.pop("quality", None)
    options.pop("threads", None)
    return ZeroFlow(**options)


FLOWS: dict[str, Callable[..., FlowEstimator]] = {"dis": _dis, "zero": _zero}


def open_flow(name: str, **options: Any) -> FlowEstimator:
    """A flow estimator by name; SettingError lists the names."""
    if name not in FLOWS:
        raise unknown(f"flow {name!r}", name, FLOWS)
    return FLOWS[name](**options)

"""What turns one frame into class scores.

| `--model` | what it is |
| --- | --- |
| `NAME` | a network that comes with the package (`segtween models`) |
| `FILE.onnx` | any ONNX segmentation network with a sidecar `FILE.onnx.yaml` |
| `FOLDER` | a folder with `model.yaml` |
| `FILE.npz` | stored scores |
| `module:function`, `file.py:function` | any Python callable RGB -> (C, h, w) |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from segtween.interfaces import Segmenter
from segtween.labels import LabelSet
from segtween.types import Rgb

Form = Literal["callable", "function", "scores", "network"]
_FUNCTION = re.compile(r"(.+\.py|[A-Za-z_][\w.]*):[A-Za-z_]\w*")


def _callable(model: Any, *, label_set: Any, **_: Any) -> Segmenter:
    from segtween.segmenters.function import CallableSegmenter

    return CallableSegmenter(model, label_set)


def _function(model: Any, *, label_set: Any, **_: Any) -> Segmenter:
    from segtween.segmenters.function import CallableSegmenter, load_function

    return CallableSegmenter(load_function(str(model)), label_set, name=str(model))


def _scores(model: Any, *, label_set: Any, **_: Any) -> Segmenter:
    from segtween.segmenters.cached import GivenScores

    return GivenScores(model, label_set)


def _network(model: Any, **options: Any) -> Segmenter:
    from segtween.models.finding import find_record
    from segtween.segmenters.network import open_network

    return open_network(find_record(model), **options)


SEGMENTERS: dict[Form, Callable[..., Segmenter]] = {
    "callable": _callable,
    "function": _function,
    "scores": _scores,
    "network": _network,
}


def form_of(model: str | Path | Callable[[Rgb], Any]) -> Form:
    """Which of the forms above `model` has."""
    if callable(model):
        return "callable"
    if Path(model).suffix.lower() == ".npz":
        return "scores"
    return "function" if _FUNCTION.fullmatch(str(model)) and not Path(model).exists() else "network"


def open_segmenter(
    model: str | Path | Callable[[Rgb], Any],
    *,
    runtime: str = "openvino",
    provider: str | None = None,
    precision: str | None = None,
    threads: int = 0,
    scale: float = 1.0,
    label_set: str | Path | LabelSet | Sequence[str] | None = None,
    background: bool = False,
) -> Segmenter:
    """A segmenter of any of the forms above.

    `runtime`, `provider`, `precision` (None: float32), `threads` and `scale` concern networks only. `label_set` is a
    label set's name, a YAML file, or a list of names; it replaces the model's own. `background`: the threads that a
    network's runtime starts give way to all others, as late keys need it (`ops.threads.lower_priority`).

    Raises ModelError, LabelError, ScoresError, SettingError or MissingExtraError.
    """
    return SEGMENTERS[form_of(model)](
        model,
        runtime=runtime,
        provider=provider,
        precision=precision or "float32",
        threads=threads,
        scale=scale,
        label_set=label_set,
        background=background,
    )

"""What turns one frame into class scores.

`SEGMENTERS` is the table of all forms that a model may have; the first row that accepts it opens it. A new form is one
file here, one row there and one subclass of `tests/segmenters/segmenter_contract.py` (CONTRIBUTING.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segtween.errors import SettingError
from segtween.interfaces import Segmenter
from segtween.labels import Which
from segtween.types import Rgb

Model = str | Path | Callable[[Rgb], Any] | Segmenter
_FUNCTION = re.compile(r"(.+\.py|[A-Za-z_][\w.]*):[A-Za-z_]\w*")


def _truth(model: Any, **_: Any) -> Segmenter:
    return model


def _callable(model: Any, *, label_set: Any, **_: Any) -> Segmenter:
    from segtween.segmenters.function import CallableSegmenter

    return CallableSegmenter(model, label_set)


def _function(model: Any, *, label_set: Any, **_: Any) -> Segmenter:
    from segtween.segmenters.function import CallableSegmenter, load_function

    return CallableSegmenter(load_function(str(model)), label_set, name=str(model))


def _scores(model: Any, *, label_set: Any, **_: Any) -> Segmenter:
    from segtween.segmenters.cached import CachedScores

    return CachedScores(model, label_set)


def _network(model: Any, **options: Any) -> Segmenter:
    from segtween.models.finding import find_record
    from segtween.segmenters.network import open_network

    return open_network(find_record(model), **options)


def _is_truth(model: Any) -> bool:
    from segtween.segmenters.truth import TrueLabels

    return isinstance(model, TrueLabels)


def _is_function(model: Any) -> bool:
    return _FUNCTION.fullmatch(str(model)) is not None and not Path(model).exists()


@dataclass(frozen=True)
class SegmenterSpec:
    """One row of `SEGMENTERS`.

    name     of the form
    what     what a model of this form is, for documents
    accepts  whether a model has this form; asked in the table's order, the last row takes what is left
    open     (model, **options of `open_segmenter`) -> Segmenter
    """

    name: str
    what: str
    accepts: Callable[[Any], bool]
    open: Callable[..., Segmenter]


SEGMENTERS = (
    SegmenterSpec("truth", "true labels of a data set (`evaluation.truth`)", _is_truth, _truth),
    SegmenterSpec("callable", "any Python callable, RGB (H, W, 3) -> scores (C, h, w)", callable, _callable),
    SegmenterSpec("scores", "`FILE.npz`: stored scores", lambda m: Path(m).suffix.lower() == ".npz", _scores),
    SegmenterSpec("function", "`module:function` or `file.py:function`: such a callable", _is_function, _function),
    SegmenterSpec(
        "network",
        "a shipped network's name, `FILE.onnx`, `.xml` or `.pt2` with its sidecar, or a folder with `model.yaml`",
        lambda _: True,
        _network,
    ),
)


def segmenter_spec(model: Model) -> SegmenterSpec:
    """The row that is for a model. SettingError where none is."""
    for row in SEGMENTERS:
        if row.accepts(model):
            return row
    raise SettingError(f"model {model!r}", expected="; ".join(row.what for row in SEGMENTERS), do="give one of these")


def form_of(model: Model) -> str:
    """The name of a model's form."""
    return segmenter_spec(model).name


def open_segmenter(
    model: Model,
    *,
    runtime: str = "openvino",
    provider: str | None = None,
    precision: str | None = None,
    threads: int = 0,
    scale: float | Literal["auto"] = 1.0,
    label_set: Which | None = None,
    background: bool = False,
) -> Segmenter:
    """A segmenter of any of the forms above.

    `runtime`, `provider`, `precision` (None: float32), `threads` and `scale` concern networks only; scale auto brings
    frames near the size that the network was trained at, where its record says it. `label_set` is a label set's name, a
    YAML file, or a list of names; it replaces the model's own. `background`: the threads that a network's runtime
    starts run at background priority, as asynchronous key frames need it (`ops.threads.lower_priority`).

    Raises ModelError, LabelError, ScoresError, SettingError or MissingExtraError.
    """
    return segmenter_spec(model).open(
        model,
        runtime=runtime,
        provider=provider,
        precision=precision or "float32",
        threads=threads,
        scale=scale,
        label_set=label_set,
        background=background,
    )

"""What turns one frame into class scores.

`SEGMENTERS` is the table of all forms that a model may have; the first row that accepts it opens it. A new form is one
file here, one row there and one subclass of `tests/segmenters/segmenter_contract.py` (CONTRIBUTING.md).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Literal

from annotated_types import Interval, Predicate

from segtween.errors import SettingError
from segtween.interfaces import Segmenter
from segtween.labels import Which
from segtween.models.records import LARGEST_SIDE, Channels, Triple
from segtween.segmenters.truth import TrueLabels
from segtween.types import Rgb
from segtween.validation import Expected, validate

Model = str | Path | Callable[[Rgb], Any] | Segmenter
HUGGING_FACE = "hf:"
"""Begins the name or folder of a network in Hugging Face's form."""
_FUNCTION = re.compile(r"(.+\.py|[A-Za-z_][\w.]*):[A-Za-z_]\w*")


def _callable(model: Any, *, label_set: Any, **_: Any) -> Segmenter:
    from segtween.segmenters.function import CallableSegmenter

    return CallableSegmenter(model, label_set)


def _function(model: Any, *, label_set: Any, **options: Any) -> Segmenter:
    from segtween.segmenters.function import CallableSegmenter, load_function

    loaded = load_function(str(model))
    module = built_module(loaded, name=str(model))
    if module is not None:
        return open_segmenter(module, label_set=label_set, **options)
    _networks_alone("function", **options)
    return CallableSegmenter(loaded, label_set, name=str(model))


def _scores(model: Any, *, label_set: Any, **_: Any) -> Segmenter:
    from segtween.segmenters.cached import CachedScores

    return CachedScores(model, label_set)


def _network(model: Any, **options: Any) -> Segmenter:
    from segtween.models.finding import find_record
    from segtween.segmenters.network import open_network

    return open_network(find_record(model), **options)


def is_module(model: Any) -> bool:
    """Whether it is a `torch.nn.Module`; torch is not imported for that."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def _is_function(model: Any) -> bool:
    return not _is_hugging_face(model) and _FUNCTION.fullmatch(str(model)) is not None and not Path(model).exists()


def _is_hugging_face(model: Any) -> bool:
    return isinstance(model, str) and model.startswith(HUGGING_FACE)


_UNIT = Expected("three numbers for pixels from 0 to 1")
_Number = Annotated[float, Interval(ge=-1, le=1)]
_Means = Annotated[tuple[_Number, _Number, _Number], _UNIT]
_Deviations = Annotated[Triple, Predicate(lambda values: 0 < min(values) <= max(values) <= 1), _UNIT]
_Side = Annotated[int, Interval(ge=1, le=LARGEST_SIDE)]


@dataclass(frozen=True)
class Preprocessing:
    """What a network in torch sees, where nothing is stored with it or something else is to hold.

    mean, std  of pixels in 0..1, in the order of `channels`
    channels   RGB or BGR
    size_hw    every frame is resized to it; None: any size, unless the network itself says one
    """

    mean: _Means | None = None
    std: _Deviations | None = None
    channels: Channels | None = None
    size_hw: Annotated[tuple[_Side, _Side], Expected("(height, width) in pixels")] | None = None

    @classmethod
    def of(cls, **given: Any) -> Preprocessing:
        """Of plain values; SettingError names the one that is wrong."""
        return validate(cls, given, whole="preprocessing", do="correct the argument")

    @property
    def given(self) -> list[str]:
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]


@dataclass(frozen=True)
class SegmenterSpec:
    """One row of `SEGMENTERS`.

    name      of the form
    what      what a model of this form is, for documents
    accepts   whether a model has this form; asked in the table's order, the last row takes what is left
    open      (model, **options of `open_segmenter`) -> Segmenter; or "module:function" of it, imported when it is first
              used
    in_torch  "module:function", (model, label_set, Preprocessing) -> `adapters.modules.TorchNetwork`, for what torch
              can run on a device; None where it cannot
    """

    name: str
    what: str
    accepts: Callable[[Any], bool]
    open: Callable[..., Segmenter] | str
    in_torch: str | None = None


SEGMENTERS = (
    SegmenterSpec(
        "truth", "true labels of a data set (`evaluation.truth`)", lambda m: isinstance(m, TrueLabels), lambda m, **_: m
    ),
    SegmenterSpec(
        "module",
        "a `torch.nn.Module`, or `file.py:build` that returns one",
        is_module,
        "segtween.adapters.modules:open_module",
        in_torch="segtween.adapters.modules:torch_network",
    ),
    SegmenterSpec("callable", "any Python callable, RGB (H, W, 3) -> scores (C, h, w)", callable, _callable),
    SegmenterSpec(
        "huggingface",
        "`hf:NAME` or `hf:FOLDER`: a network of the Hugging Face hub, or a folder in its form",
        _is_hugging_face,
        "segtween.adapters.huggingface:open_hugging_face",
        in_torch="segtween.adapters.huggingface:torch_network",
    ),
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
    return segmenter_spec(model).name


def built_module(loaded: Any, *, name: str) -> Any:
    """The `torch.nn.Module` that an object is, or that it builds when it is called without arguments; None for a
    function of a frame. ModelError for what fails, or builds something else."""
    if is_module(loaded):
        return loaded
    from segtween.segmenters.function import build

    return build(loaded, name=name, is_right=is_module)


def in_torch(model: Model, *, label_set: Any, preprocessing: Preprocessing | None) -> Any:
    """The `adapters.modules.TorchNetwork` of a model that torch runs by itself; None for all others."""
    if form_of(model) == "function":
        from segtween.segmenters.function import load_function

        model = built_module(load_function(str(model)), name=str(model)) or model
    row = segmenter_spec(model)
    if row.in_torch is None:
        _networks_alone(row.name, **_given(preprocessing))
        return None
    return resolve_name(row.in_torch)(model, label_set=label_set, preprocessing=preprocessing or Preprocessing())


def _given(preprocessing: Preprocessing | None) -> dict[str, Any]:
    return {"preprocessing": preprocessing} if preprocessing is not None and preprocessing.given else {}


_DOES_NOTHING: dict[str, tuple[Any, ...]] = {
    "scale": (1, "auto"),
    "precision": (None, "float32", "auto"),
    "runtime": ("openvino",),
    "provider": (None,),
}
"""Options of networks, and those of their values that ask nothing of other models."""


def _networks_alone(
    form: str, *, preprocessing: Preprocessing | None = None, threshold: float | None = None, **options: Any
) -> None:
    """SettingError for what a model of another form than a network cannot be given."""
    for name, values in _DOES_NOTHING.items():
        if name in options and options[name] not in values:
            raise SettingError(
                f"{name}={options[name]} for a model of form {form}",
                expected="a shipped network, an ONNX file or a network in torch",
                do="leave it out: functions and stored scores are taken as they are",
            )
    if threshold is not None:
        raise SettingError(
            f"threshold={threshold} for a model of form {form}",
            expected="a network whose classes are scored each for itself",
            do="leave it out",
        )
    if preprocessing is not None:
        raise SettingError(
            f"{preprocessing.given[0]}= for a model of form {form}",
            expected="a network in torch",
            do="leave it out: a record says what its network sees, and a function prepares frames itself",
        )


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
    preprocessing: Preprocessing | None = None,
    threshold: float | None = None,
) -> Segmenter:
    """A segmenter of any of the forms above.

    `runtime`, `provider`, `precision` (None: float32), `threads` and `scale` concern networks only; scale auto brings
    frames near the size that the network was trained at, where its record says it. `label_set` is a label set's name, a
    YAML file, or a list of names; it replaces the model's own. `background`: the threads that a network's runtime
    starts run at background priority, as asynchronous key frames need it (`ops.threads.lower_priority`).
    `preprocessing` concerns networks in torch. `threshold`, above 0 and below 1, replaces that of a network whose
    classes are scored each for itself: a class is where its probability is above it.

    Raises ModelError, LabelError, ScoresError, SettingError or MissingExtraError.
    """
    row = segmenter_spec(model)
    own = _given(preprocessing)
    if row.name == "network":
        _networks_alone(row.name, **own)
    elif row.in_torch is None and row.name != "function":
        _networks_alone(
            row.name, **own, threshold=threshold, scale=scale, precision=precision, runtime=runtime, provider=provider
        )
    opener = resolve_name(row.open) if isinstance(row.open, str) else row.open
    return opener(
        model,
        **own,
        runtime=runtime,
        provider=provider,
        precision=precision or "float32",
        threads=threads,
        scale=scale,
        label_set=label_set,
        background=background,
        threshold=threshold,
    )

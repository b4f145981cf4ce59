"""What stands in a network's file beside its graph, and in the files that its library writes beside it.

| library | where |
| --- | --- |
| Ultralytics | the file's metadata, or `metadata.yaml` beside it |
| MMDeploy | `pipeline.json`, `deploy.json`, `detail.json` |
| transformers, Optimum | `config.json`, `preprocessor_config.json` |
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segtween.errors import LabelError, ModelError
from segtween.labels import LABEL_SETS, LabelSet, label_set
from segtween.models.onnx_file import metadata
from segtween.models.records import LARGEST_SIDE, QUERY_KINDS, resampling_of
from segtween.segmenters.inspect.draft import Fact, Facts
from segtween.segmenters.inspect.outputs import BINARY, USUAL_THRESHOLD
from segtween.segmenters.merging import LARGEST_OVERLAP, LEAST_CONFIDENCE
from segtween.types import is_whole
from segtween.validation import read_yaml

_ZERO, _ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_LONGEST_LITERAL = 100_000


def facts_beside(path: Path) -> Facts:
    """Everything that is known of a network's record without its graph. ModelError for files of another form, and for
    networks that their library made for another task."""
    found: Facts = {}
    for read in (_ultralytics, _mmdeploy, _transformers):
        found = read(path) | found
    return found


def _facts(source: str, values: Mapping[str, Any]) -> Facts:
    return {name: Fact(value, source) for name, value in values.items() if value is not None}


def _unreadable(source: str, place: str, value: Any, expected: str) -> ModelError:
    return ModelError(
        f"{place} in {source} is {str(value)[:80]!r}", expected=expected, do="correct it, or take the file away"
    )


def _read(path: Path) -> Any:
    """The values of a JSON or YAML file, None where there is none."""
    if not path.is_file():
        return None
    return read_yaml(path, what="file", expected="what the library wrote", do="correct or remove it", error=ModelError)


def _get(values: Any, *keys: str) -> Any:
    """What stands at a place, None where nothing does."""
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _entries(source: str, place: str, values: Any, key: str) -> dict[str, Any]:
    """Entries of a list, none where it is not there, by what each of them has for a key."""
    if values is not None and not isinstance(values, list):
        raise _unreadable(source, place, values, "a list")
    return {str(_get(entry, key)): entry for entry in values or []}


def _side_pair(source: str, place: str, height: Any, width: Any) -> tuple[int, int]:
    if not all(is_whole(side, least=1, most=LARGEST_SIDE) for side in (height, width)):
        raise _unreadable(source, place, f"{width}x{height}", f"width and height from 1 to {LARGEST_SIDE}")
    return height, width


def _names(source: str, place: str, names: Any) -> list[str]:
    """Class names in the order of their numbers, of a list or a mapping."""
    if isinstance(names, Mapping):
        try:
            numbered = {int(key): str(name) for key, name in names.items()}
        except (TypeError, ValueError):
            numbered = {}
        is_whole = sorted(numbered) == [*range(len(numbered))]
        found: Any = [numbered[i] for i in range(len(numbered))] if is_whole else None
    else:
        found = names
    if not isinstance(found, (list, tuple)) or not found:
        raise _unreadable(source, place, names, "class names, numbered from 0")
    return [str(name) for name in found]


def _label_set(source: str, place: str, names: list[str]) -> LabelSet:
    known = next((own for own in LABEL_SETS.values() if list(own.names) == names), None)
    try:
        return known or label_set(names)
    except LabelError as error:
        raise ModelError(f"{place} in {source}: {error.got}", expected=error.expected, do=error.do) from None


# ── Ultralytics ───────────────────────────────────────────────────────────────────────────────


def _ultralytics(path: Path) -> Facts:
    source = "metadata" if path.suffix == ".onnx" else "metadata.yaml"
    said: Any = metadata(path) if path.suffix == ".onnx" else _read(path.with_name(source))
    if not isinstance(said, Mapping) or not {"task", "names"} <= said.keys():
        return {}
    task = str(said["task"])
    if task not in ("segment", "semantic"):
        raise ModelError(
            f"{path.name} is made for the task {task!r}, as its {source} says",
            expected="segment or semantic",
            do="export a segmentation network",
        )
    names = _names(source, "names", _literal(said["names"]))
    has_background = task == "segment" or len(names) == 1
    if has_background:
        names = [BINARY[0] if BINARY[0] not in names else f"({BINARY[0]})", *names]
    stride = _literal(said.get("stride"))
    is_dynamic = _get(_literal(said.get("args", "")), "dynamic")
    return _facts(
        source,
        {
            "input.channels": "RGB",
            "input.scale": 1.0,
            "input.mean": _ZERO,
            "input.std": _ONE,
            "input.fit": "letterbox",
            "input.resampling": "bilinear",
            "input.multiple_of": stride if isinstance(stride, int) and 0 < stride <= 1024 and is_dynamic else None,
            "labels": _label_set(source, "names", names),
            "classes": len(names),
        }
        | (
            {"output.kind": "yolo-seg", "output.threshold": LEAST_CONFIDENCE, "output.iou": LARGEST_OVERLAP}
            if task == "segment"
            else {"output.threshold": USUAL_THRESHOLD if has_background else None}
        ),
    )


def _literal(text: Any) -> Any:
    """What a text stands for that Python's repr wrote; the text itself where it is none."""
    if not isinstance(text, str) or len(text) > _LONGEST_LITERAL:
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


# ── MMDeploy ──────────────────────────────────────────────────────────────────────────────────


def _mmdeploy(path: Path) -> Facts:
    deploy = _read(path.with_name("deploy.json"))
    if path.name not in _entries("deploy.json", "models", _get(deploy, "models"), "net"):
        return {}
    if (task := _get(deploy, "task")) != "Segmentor":
        raise ModelError(
            f"{path.name} is a {task}, as deploy.json says", expected="a Segmentor", do="deploy a segmentation network"
        )
    source = "pipeline.json"
    tasks = _get(_read(path.with_name(source)), "pipeline", "tasks")
    by_module = _entries(source, "pipeline.tasks", tasks, "module")
    facts = _mm_input(_get(by_module.get("Transform"), "transforms"))
    image = _get(by_module.get("Net"), "input_map", "img")
    facts |= _facts(source, {"input.name": image if isinstance(image, str) else None})
    return facts | _mm_output(path, _get(by_module.get("mmseg"), "params"))


def _mm_input(transforms: Any) -> Facts:
    source = "pipeline.json"
    by_type = _entries(source, "transforms", transforms, "type")
    normalise, resize = by_type.get("Normalize"), by_type.get("Resize")
    facts = _facts(source, {"input.multiple_of": _get(by_type.get("Pad"), "size_divisor") or 1})
    if normalise is not None:
        values: dict[str, Any] = {"input.scale": 255.0, "input.channels": "RGB" if _get(normalise, "to_rgb") else "BGR"}
        for name in ("mean", "std"):
            values[f"input.{name}"] = _three(source, name, _get(normalise, name))
        facts |= _facts(source, values)
    if resize is not None and _get(resize, "interpolation") in (None, "bilinear"):
        facts |= _facts(source, {"input.resampling": "bilinear"})
    size = _get(resize, "size")
    if size is not None and _get(resize, "keep_ratio") is False:
        if not isinstance(size, list) or len(size) != 2:
            raise _unreadable(source, "Resize.size", size, "width and height")
        facts |= _facts(source, {"input.size": _side_pair(source, "Resize.size", size[1], size[0])})
    return facts


def _three(source: str, place: str, values: Any) -> tuple[float, ...]:
    numbers = values if isinstance(values, list) else [values]
    if len(numbers) != 3 or not all(isinstance(n, (int, float)) for n in numbers):
        raise _unreadable(source, place, values, "three numbers")
    return tuple(float(n) for n in numbers)


def _mm_output(path: Path, params: Any) -> Facts:
    channels, classes = _get(params, "out_channels"), _get(params, "num_classes")
    if classes is not None and type(classes) is not int:
        raise _unreadable("pipeline.json", "num_classes", classes, "a whole number")
    facts = _facts("pipeline.json", {"classes": classes})
    if channels == 1:
        facts |= _facts(
            "pipeline.json", {"output.threshold": _get(params, "threshold") or USUAL_THRESHOLD, "classes": 2}
        )
    detail = _read(path.with_name("detail.json"))
    trained = Path(str(_get(detail, "codebase", "config") or "")).name.lower()
    for known in LABEL_SETS.values():
        if len(known) == classes and known.name.rstrip("0123456789") in trained:
            facts |= _facts("detail.json", {"labels": known})
    return facts


# ── transformers ──────────────────────────────────────────────────────────────────────────────


def _transformers(path: Path) -> Facts:
    config = _read(path.with_name("config.json"))
    if not isinstance(config, Mapping) or "model_type" not in config:
        return {}
    kind, source = config["model_type"], "config.json"
    names = _get(config, "id2label")
    found: dict[str, Any] = {"output.kind": kind if kind in QUERY_KINDS else None}
    if names:
        own = _names(source, "id2label", names)
        found |= {"labels": _label_set(source, "id2label", own), "classes": len(own)}
    return _facts(source, found) | _transformers_input(_read(path.with_name("preprocessor_config.json")))


def _transformers_input(said: Any) -> Facts:
    source = "preprocessor_config.json"
    if not isinstance(said, Mapping):
        return {}
    factor = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0
    if not isinstance(factor, (int, float)) or factor <= 0:
        raise _unreadable(source, "rescale_factor", factor, "a number above 0")
    values: dict[str, Any] = {"input.channels": "RGB", "input.scale": round(255.0 * factor, 9)}
    for name, without in (("mean", _ZERO), ("std", _ONE)):
        is_used = said.get("do_normalize", True)
        values[f"input.{name}"] = _three(source, f"image_{name}", said.get(f"image_{name}")) if is_used else without
    size = said.get("size") if said.get("do_resize", True) else None
    height, width = _get(size, "height"), _get(size, "width")
    if height is not None and width is not None:
        values["input.size"] = _side_pair(source, "size", height, width)
    if said.get("do_resize", True):
        values["input.resampling"] = resampling_of(said.get("resample"))
    return _facts(source, values)

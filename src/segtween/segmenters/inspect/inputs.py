"""What the image input of a graph takes: layout and size are read, normalisation and channel order are guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from segtween.models.records import InputLayout
from segtween.segmenters.inspect.draft import Draft, unfit

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
USUAL_MULTIPLE = 32
PASSING = ("Convert", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Result", "Gather", "Identity", "Slice")
"""Operations that leave values as they are."""
_ARITHMETIC = ("Subtract", "Add", "Multiply", "Divide")
_ZERO, _ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def read_input(graph: Any, path: Path, draft: Draft) -> None:
    """Fills in the draft's `input`. ModelError for a graph that takes no image."""
    port = _image_port(graph, path, draft)
    draft.read("input.name", port.get_any_name())
    kind = port.get_element_type().get_type_name()
    if kind not in ("f32", "f16", "u8"):
        raise unfit(path, f"takes {kind} values", "an image of float32, float16 or uint8")
    _read_shape(port.get_partial_shape(), path, draft)
    draft.guess("input.channels", "BGR" if "bgr" in draft.get("input.name").lower() else "RGB")
    if kind == "u8":
        for name, value in (("scale", 255.0), ("mean", _ZERO), ("std", _ONE)):
            draft.read(f"input.{name}", value)
    elif (begins := _first_constant(port)) is None:
        _guess_normalisation(draft, 1.0, IMAGENET_MEAN, IMAGENET_STD)
    else:
        # Constants such as 123.7 or 1/255 at the very beginning mean pixels from 0 to 255; 0.485 means 0 to 1.
        _guess_normalisation(draft, 255.0 if begins > 1.5 or begins < 0.1 else 1.0, _ZERO, _ONE)


def _image_port(graph: Any, path: Path, draft: Draft) -> Any:
    fixed = draft.get("input.fixed", {})
    ports = [port for port in graph.inputs if not set(fixed) & set(port.get_names())]
    if len(ports) != 1:
        names = ", ".join(p.get_any_name() for p in graph.inputs) or "none"
        raise unfit(
            path,
            f"has {len(graph.inputs)} inputs ({names})",
            "one image input",
            "give the values of all others with fixed=, or under `input.fixed` in the sidecar",
        )
    return ports[0]


def _read_shape(shape: Any, path: Path, draft: Draft) -> None:
    if shape.rank.is_dynamic or len(shape) != 4:
        raise unfit(path, f"takes an input of shape {_plain_shape(shape)}", "an image (1, 3, H, W) or (1, H, W, 3)")
    sides = [None if d.is_dynamic else int(d.get_length()) for d in shape]
    if sides[0] not in (None, 1):
        raise unfit(path, f"takes {sides[0]} images at once", "one image (batch 1, or a batch that may change)")
    layout: InputLayout = "NHWC" if sides[1] != 3 and sides[3] == 3 else "NCHW"
    channels = sides["NCHW".index("C") if layout == "NCHW" else 3]
    if channels not in (None, 3):
        raise unfit(path, f"takes an input of shape {_plain_shape(shape)}", "an image of three channels")
    (draft.guess if channels is None else draft.read)("input.layout", layout)
    height, width = (sides[2], sides[3]) if layout == "NCHW" else (sides[1], sides[2])
    if height is not None and width is not None:
        draft.facts.pop("input.size", None)
        draft.read("input.size", (height, width))
        draft.read("input.multiple_of", 1)
        return
    draft.read("input.size", None)
    draft.guess("input.multiple_of", USUAL_MULTIPLE)


def _guess_normalisation(draft: Draft, scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """All three or none: one that is known says in which scale the others would be."""
    if not {"input.scale", "input.mean", "input.std"} & set(draft.facts):
        for name, value in (("scale", scale), ("mean", mean), ("std", std)):
            draft.guess(f"input.{name}", value)


def _first_constant(port: Any) -> float | None:
    """The largest constant of the first arithmetic on the input, None where the graph begins otherwise."""
    node = port.get_node()
    for _ in range(6):
        users = [t.get_node() for t in node.output(0).get_target_inputs()]
        users = [user for user in users if user.get_type_name() != "ShapeOf"]
        if len(users) != 1:
            return None
        node = users[0]
        if node.get_type_name() in _ARITHMETIC:
            constants = [i.get_source_output().get_node() for i in node.inputs()]
            values = [c.get_data() for c in constants if c.get_type_name() == "Constant"]
            return float(np.abs(values[0]).max()) if values else None
        if node.get_type_name() not in PASSING:
            return None
    return None


def _plain_shape(shape: Any) -> str:
    return "(" + ", ".join("?" if d.is_dynamic else str(d.get_length()) for d in shape) + ")"
